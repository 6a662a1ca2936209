"""A running server of fakes, as tests and benchmarks hold it.

Covers: starting it in a process of its own, switches, what it has seen, ending it.
Does not cover: what it does (``server``).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

TESTS = Path(__file__).resolve().parents[1]
#: No proxy of the environment comes between.
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class EngineServer:
    """The control of a running server: ``url`` is Gemini's base, ``openai_url`` OpenAI's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.openai_url = f"{url}/v1"

    def set(self, **switches: Any) -> None:
        """Set switches (``fakes.switches``).

        Raises:
            ValueError: there is no such switch or value.
        """
        self._post("/__set", switches)

    def reset(self) -> None:
        """As at the start; connections that are open are closed."""
        self._post("/__reset", {})

    def log(self, op: str | None = None) -> list[dict[str, Any]]:
        """The requests as seen, oldest first; those of one operation (``fakes.faults.OPERATIONS``)."""
        entries: list[dict[str, Any]] = self._get("/__log")
        return [entry for entry in entries if op is None or entry["op"] == op]

    def files(self) -> list[dict[str, Any]]:
        """What lies in the store."""
        files: list[dict[str, Any]] = self._get("/__files")
        return files

    def state(self) -> dict[str, Any]:
        """Counts: calls at work and the most at once, files, connections."""
        state: dict[str, Any] = self._get("/__state")
        return state

    def _get(self, path: str) -> Any:
        with _OPEN(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def _post(self, path: str, value: Any) -> None:
        try:
            with _OPEN(self.url + path, data=json.dumps(value).encode(), timeout=60):
                pass
        except HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[EngineServer]:
    """A server in a process of its own, with arguments as on the command line, until the block ends."""
    command = [sys.executable, "-m", "fakes", *arguments]
    process = subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fakes did not start: exit code {process.wait(10)}")
        yield EngineServer(json.loads(line)["url"])
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
