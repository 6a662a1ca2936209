"""The control socket: how the supervisor that holds a home answers another process.

Covers: one JSON object a line, one answer a line, on ``HOME/control.sock``.
Does not cover: what the requests do (``runner``), asking (``asking``). Only the owner of the home can connect (0600).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from narrowboat.errors import NarrowboatError, StepFailed
from narrowboat.runner.asking import short

_MAX_REQUEST = 1 << 20
Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Serves the socket while it is entered."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> ControlServer:
        self._path.unlink(missing_ok=True)  # of a supervisor that was killed; the home's lock is ours
        with short(self._path) as path:
            self._server = await asyncio.start_unix_server(self._serve, path, limit=_MAX_REQUEST)
        self._path.chmod(0o600)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError, asyncio.LimitOverrunError):
            while line := await reader.readline():
                writer.write(json.dumps(await self._reply(line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": await self._answer(json.loads(line))}
        except NarrowboatError as error:
            return {"error": error.to_json()}
        except Exception as error:  # a bad request must not end the server
            return {"error": StepFailed(f"{type(error).__name__}: {error}").to_json()}
