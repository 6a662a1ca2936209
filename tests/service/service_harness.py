"""The real service as a process, on a home of the test's own, and a small client for it."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 60.0
BOUNDARY = "a-boundary-of-the-tests"
TINY = json.dumps({"model": "local:whisper-tiny.en"})
ENDED = ("done", "failed", "cancelled")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def form(file: bytes | None, name: str = "talk.wav", **fields: str) -> tuple[bytes, dict[str, str]]:
    """The body of a form and its headers."""
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    if file is not None:
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        parts.append(head.encode() + file + b"\r\n")
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


class Served:
    """A service that runs; ``key`` goes with every request when there is one."""

    def __init__(self, home: Path, *args: str, env: dict[str, str] | None = None) -> None:
        self.home = home
        self.args = args
        self.env = env or {}
        self.key: str | None = None
        self.lines: list[dict[str, Any]] = []
        self._said = threading.Condition()
        self.start()

    def start(self) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("NARROWBOAT_") or k == "NARROWBOAT_CACHE"}
        command = [sys.executable, "-m", "narrowboat", "serve", "--port", "0", "--home", str(self.home), *self.args]
        self.process = subprocess.Popen(
            command, env={**kept, **self.env}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.lines.clear()
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()
        self.url = self.wait_for("listening")["address"]

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            with self._said:
                self.lines.append(json.loads(line) if line.startswith("{") else {"event": "text", "text": line})
                self._said.notify_all()

    def wait_for(self, event: str, **facts: Any) -> dict[str, Any]:
        """The first line of the log that says so."""

        def found() -> dict[str, Any] | None:
            wanted = {"event": event, **facts}
            return next((line for line in self.lines if wanted.items() <= line.items()), None)

        with self._said:
            assert self._said.wait_for(lambda: found() is not None, PATIENCE_S), self.lines
            line = found()
        assert line is not None
        return line

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        json_: Any = None,
    ) -> Answer:
        given = dict(headers or {})
        if json_ is not None:
            body, given["content-type"] = json.dumps(json_).encode(), "application/json"
        if self.key is not None:
            given.setdefault("authorization", f"Bearer {self.key}")
        connection = self.connection()
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def upload(self, file: bytes, name: str = "talk.wav", path: str = "/v1/jobs", **fields: str) -> Answer:
        body, headers = form(file, name, **fields)
        return self.ask("POST", path, body, headers)

    def until_ended(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended, as its events tell."""
        with self.events(f"/v1/jobs/{job_id}/events") as events:
            for _ in events:
                pass
        job: dict[str, Any] = self.get(f"/v1/jobs/{job_id}").json
        assert job["state"] in ENDED, job
        return job

    @contextmanager
    def events(self, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """The events of a stream as they come: name and data."""
        connection = self.connection()
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()

        def read() -> Iterator[tuple[str, Any]]:
            name = ""
            for raw in answer:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    yield name, json.loads(line[6:])

        try:
            yield read()
        finally:
            connection.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def leftovers(self) -> list[Path]:
        """What lies in scratch."""
        return sorted(path for path in (self.home / "scratch").rglob("*") if path.is_file())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if self.process.stderr is not None:
            self.process.stderr.close()


def sound(seconds: float) -> bytes:
    """Silence as a wav file."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(int(seconds * 16000) * 2))
    return made.getvalue()


def repeated(path: Path, times: int, seconds: float | None = None) -> bytes:
    """A wav file, or its first seconds, so many times over."""
    made = io.BytesIO()
    with wave.open(str(path)) as given, wave.open(made, "wb") as file:
        file.setparams(given.getparams())
        frames = given.readframes(given.getnframes() if seconds is None else int(seconds * given.getframerate()))
        for _ in range(times):
            file.writeframes(frames)
    return made.getvalue()


def deadline() -> Iterator[None]:
    """Yields until patience ends; each turn is a request of its own, so nothing spins."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        yield
    raise AssertionError("it took too long")
