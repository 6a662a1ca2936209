"""HTTP/1.1 on asyncio, as little as the fakes need: bodies read in blocks, answers that go wrong on the way.

Covers: request line, headers, bodies by length and chunked, 100-continue, keep-alive, answers whole and streamed, and
answers that hang, drip, or are cut on the way.
Does not cover: TLS, HTTP/2, compression, what is answered (``server``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

#: Bytes read at once, the most that a connection holds, and the most of a request's headers.
BLOCK = 64 << 10
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
REASONS |= {413: "Payload Too Large", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway"}
REASONS |= {503: "Service Unavailable", 504: "Gateway Timeout"}

#: How an answer goes out. ``hang``: nothing until the client closes; the others stop or slow down on the way.
Delivery = Literal["whole", "hang", "hang_body", "cut", "cut_headers", "cut_body", "drip"]


class BadRequest(Exception):
    """What came is no HTTP that this server reads."""


class Gone(Exception):
    """The client has closed the connection."""


@dataclass(slots=True)
class Request:
    """One request; its body is still on the way."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: Body


@dataclass(slots=True)
class Response:
    """One answer: ``body`` whole, or as blocks that go out as they come (chunked)."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = "whole"
    drip_s: float = 0.05  # seconds between the bytes that drip


def json_response(value: Any, status: int = 200, **headers: str) -> Response:
    """An answer in JSON; ``_`` in the names of headers stands for ``-``."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = json.dumps(value).encode()
    return Response(status, body, {"Content-Type": "application/json; charset=UTF-8", **named})


class Body:
    """The body of a request, read once, in blocks of at most ``BLOCK`` bytes."""

    def __init__(self, reader: asyncio.StreamReader, headers: dict[str, str], on_first: Callable[[], None]) -> None:
        self._reader = reader
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._left = int(headers.get("content-length") or 0)
        self._on_first: Callable[[], None] | None = on_first
        self._ended = not self._chunked and self._left == 0
        self.length: int | None = None if self._chunked else self._left
        self.received = 0

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body.

        Raises:
            Gone: the client went away before the end.
        """
        if self._on_first is not None and not self._ended:
            self._on_first()
            self._on_first = None
        while not self._ended:
            if self._left == 0 and self._chunked and not await self._next_chunk():
                break
            block = await self._reader.read(min(self._left, BLOCK))
            if not block:
                raise Gone
            self._left -= len(block)
            self.received += len(block)
            self._ended = self._left == 0 and not self._chunked
            if self._left == 0 and self._chunked:
                await self._line()
            yield block

    async def read(self, most: int) -> bytes | None:
        """The whole body; None, and the rest skipped, when it has more than ``most`` bytes."""
        parts: list[bytes] | None = []
        async for block in self.blocks():
            if self.received > most:
                parts = None
            if parts is not None:
                parts.append(block)
        return None if parts is None else b"".join(parts)

    async def skip(self) -> None:
        """Read what nobody wanted."""
        async for _ in self.blocks():
            pass

    async def _next_chunk(self) -> bool:
        self._left = int((await self._line()).split(b";")[0], 16)
        if self._left:
            return True
        while await self._line():
            pass  # trailers
        self._ended = True
        return False

    async def _line(self) -> bytes:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise Gone
        return line.strip()


Handler = Callable[[Request, Callable[[], bool]], Awaitable[Response]]


class Server:
    """Listens on loopback and hands each request to ``handler``, which can ask whether the client is still there."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._closed = asyncio.Event()
        self.connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port, limit=BLOCK, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Close the listener and every connection, whatever is going on in it."""
        assert self._server is not None
        self._server.close()
        await self.drop()

    async def drop(self, but: asyncio.Task[Any] | None = None) -> None:
        """Close every connection but that of a task."""
        others = [task for task in self.connections if task is not but]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        writer.transport.max_size = BLOCK  # type: ignore[attr-defined]  # 256 KiB otherwise, for each connection at work
        try:
            while await self._one(reader, writer):
                pass
        except (Gone, BadRequest, ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        except asyncio.CancelledError:
            pass  # by drop(): this is the end of the task, and asyncio's streams would print it
        finally:
            self.connections.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; whether the connection is good for another."""
        request = await _read(reader, writer)
        if request is None:
            return False
        response = await self._handler(request, reader.at_eof)
        if response.delivery == "cut":
            return False
        await request.body.skip()
        if response.delivery == "hang":
            await _until_closed(reader)
            return False
        return await _send(response, reader, writer, close=request.headers.get("connection", "").lower() == "close")


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _ = first.split(" ")
    except ValueError:
        raise BadRequest(first) from None
    headers = {}
    for line in lines:
        name, colon, text = line.partition(":")
        if colon:
            headers[name.strip().lower()] = text.strip()
    wants_go = headers.get("expect", "").lower() == "100-continue"
    body = Body(reader, headers, lambda: writer.write(b"HTTP/1.1 100 Continue\r\n\r\n") if wants_go else None)
    url = urlsplit(target)
    return Request(method, unquote(url.path), dict(parse_qsl(url.query)), headers, body)


async def _send(response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, close: bool) -> bool:
    streamed = not isinstance(response.body, bytes)
    length = {"Transfer-Encoding": "chunked"} if streamed else {"Content-Length": str(len(response.body))}  # type: ignore[arg-type]
    headers = {**response.headers, **length, "Connection": "close" if close else "keep-alive"}
    head = f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Status')}\r\n"
    head += "".join(f"{name}: {text}\r\n" for name, text in headers.items()) + "\r\n"
    if response.delivery == "cut_headers":
        writer.write(head.encode("latin-1")[: len(head) // 2])
        await writer.drain()
        return False
    writer.write(head.encode("latin-1"))
    async for block in _blocks(response):
        writer.write(b"%x\r\n%b\r\n" % (len(block), block) if streamed else block)
        await writer.drain()
    if response.delivery == "hang_body":
        await _until_closed(reader)
    if response.delivery in ("hang_body", "cut_body"):
        return False
    if streamed:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return not close


async def _blocks(response: Response) -> AsyncIterator[bytes]:
    """The blocks of a body that go out: all, half of them, or byte by byte."""
    body = response.body
    if not isinstance(body, bytes):
        count = 0
        async for block in body:
            count += 1
            if response.delivery in ("cut_body", "hang_body") and count > 1:
                return
            yield block
    elif response.delivery == "drip":
        for at in range(len(body)):
            yield body[at : at + 1]
            await asyncio.sleep(response.drip_s)
    elif body:
        yield body[: len(body) // 2] if response.delivery in ("cut_body", "hang_body") else body


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(BLOCK):
            pass
