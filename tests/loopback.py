"""A loopback server whose answers a test writes byte by byte."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from narrowboat import context


@dataclass
class Request:
    number: int
    method: str
    path: str
    headers: dict[str, str]
    conn: socket.socket
    closing: threading.Event
    body: bytes = b""

    def send(self, status: str, body: bytes = b"", **headers: object) -> None:
        """An answer; ``Content_Length=None`` leaves the length out."""
        lines = {"Content-Length": len(body), **{key.replace("_", "-"): value for key, value in headers.items()}}
        head = "".join(f"{key}: {value}\r\n" for key, value in lines.items() if value is not None)
        self.conn.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + (b"" if self.method == "HEAD" else body))

    def hang(self) -> None:
        self.closing.wait(20)


Answer = Callable[[Request], None]


@dataclass
class Server:
    answer: Answer
    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._closing = threading.Event()
        self._listener = socket.create_server((self.host, 0))
        self._port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def url(self, path: str = "/talk.mp3") -> str:
        return f"http{'s' if self.tls else ''}://{self.host}:{self._port}{path}"

    def _serve(self) -> None:
        while not self._closing.is_set():
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(conn,), daemon=True).start()

    def _answer(self, conn: socket.socket) -> None:
        with conn, contextlib.suppress(OSError):  # a client may go, or not trust us
            self._one(self.tls.wrap_socket(conn, server_side=True) if self.tls else conn)

    def _one(self, conn: socket.socket) -> None:
        with conn.makefile("rb") as lines:
            first = lines.readline().decode().split()
            if not first:
                return
            headers = {}
            while line := lines.readline().decode().strip():
                key, _, value = line.partition(":")
                headers[key.lower()] = value.strip()
            body = lines.read(int(headers.get("content-length", 0)))
            request = Request(len(self.requests) + 1, first[0], first[1], headers, conn, self._closing, body)
            self.requests.append(request)
            self.answer(request)
            if self.tls:
                conn.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(answer: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Server:
        servers.append(Server(answer, tls, host))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@dataclass
class Scratch:
    path: Path
    progress: list[dict[str, object]]
    log: list[str]
    context: context.Context

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir())


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    """The folder that the step under test works in."""
    before = context.current()
    progress: list[dict[str, object]] = []
    log: list[str] = []
    folder = tmp_path / "scratch"
    folder.mkdir()
    own = context.Context(folder, progress.append, log.append)
    context.enter(own)
    yield Scratch(folder, progress, log, own)
    context.enter(before)
