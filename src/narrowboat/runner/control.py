"""The control socket: how another process asks the supervisor that holds a home.

Covers: one JSON object a line, one answer a line, on ``HOME/control.sock``; the server and the client.
Does not cover: what the requests do (``runner``). Only the owner of the home can connect (mode 0600).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from narrowboat.errors import NarrowboatError, StepFailed, from_json

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
        with _short(self._path) as short:
            self._server = await asyncio.start_unix_server(self._serve, short, limit=_MAX_REQUEST)
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


async def ask(home: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the supervisor of ``home``; None when there is none.

    Raises:
        NarrowboatError: as the supervisor answered.
    """
    try:
        with _short(home / "control.sock") as short:
            reader, writer = await asyncio.open_unix_connection(short, limit=1 << 26)
    except OSError:
        return None
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    except ConnectionError:
        return None
    finally:
        writer.close()
    if not line:
        return None
    reply = json.loads(line)
    if "error" in reply:
        raise from_json(reply["error"])
    answer: dict[str, Any] = reply["ok"]
    return answer


@contextlib.contextmanager
def _short(path: Path) -> Any:
    """A name for a socket path that may be longer than the 107 bytes that an address holds."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
