"""Uploads: a form that streams in, its file straight to scratch.

Covers: one file and a few fields of multipart/form-data, each within its limit while it comes; patience that ends.
Does not cover: where uploads lie and for how long (``runner/uploads``), what the fields mean (who asks).

Of a file about 512 KiB are in memory, whatever its size; the parts of a form that are no file are small by limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from narrowboat.errors import MediaType, QueueFull, TooLarge, TooSlow, UsageError
from narrowboat.runner.runner import Runner
from narrowboat.sizes import format_size

FORM_TYPE = "multipart/form-data"
#: Uploads that come in at the same time. Each has :data:`_BUFFER` bytes in memory, and as much on its way to the disk.
AT_ONCE = 32
_BUFFER = 256 << 10
MOST_FIELDS_BYTES = 1 << 20
MOST_PARTS = 64
_MOST_HEAD = 8 << 10  # bytes of one part's headers
#: Seconds without a byte, and bytes a second below which one gives up after the first minute.
STALL_S, SLOWEST, SLOW_S = 60.0, 1024, 60.0


@dataclass(slots=True)
class Form:
    """A form that has come in whole.

    Attributes:
        fields: values by name, in their order.
        source: the file, a source for a job; None when there was none.
        sha256: of its content.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    source: str | None = None
    sha256: str = ""

    def last(self, name: str) -> str | None:
        """The last value of a field; None when there is none."""
        return self.fields[name][-1] if self.fields.get(name) else None

    @property
    def file(self) -> str:
        """The file.

        Raises:
            UsageError: there is none.
        """
        if self.source is None:
            raise UsageError("the form has no file", hint="send it as the part 'file'", where="file")
        return self.source


class Forms:
    """Takes forms in, a few at a time.

    Args:
        most: bytes that a file may have.
    """

    def __init__(self, runner: Runner, most: int) -> None:
        self._runner = runner
        self.most = most
        self.coming = 0

    @asynccontextmanager
    async def form(self, request: Request) -> AsyncIterator[Form]:
        """The form of a request, read whole. On leaving, its file goes unless a job needs it.

        Raises:
            MediaType, UsageError: it is no form, or makes no sense. TooLarge: of the file, or of the fields.
            TooSlow: it comes too slowly. QueueFull: too many come already. DiskFull: there is no room for it.
        """
        boundary = _boundary(request)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.most + MOST_FIELDS_BYTES:
            raise TooLarge(
                f"the upload has {format_size(int(length))}, and may have {format_size(self.most)}",
                hint="cut it, or ask for a larger --max-upload",
                limit_bytes=self.most,
            )
        if self.coming >= AT_ONCE:
            raise QueueFull(f"{AT_ONCE} uploads come in already, which is as many as may be", retry_after_s=10)
        reading = _Reading(request, boundary, self._receive)
        try:
            self.coming += 1
            try:
                await reading.read()
            finally:
                self.coming -= 1
            yield reading.form
        finally:
            if reading.form.source is not None:
                await self._runner.keeper.release(reading.form.source)

    async def _receive(self, pieces: AsyncIterator[bytes], name: str) -> str:
        return await self._runner.receive(pieces, name, max_bytes=self.most)


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.decode("latin-1") != FORM_TYPE:
        raise MediaType(f"the body is {kind.decode('latin-1')[:60] or 'of no named type'}, and has to be {FORM_TYPE}")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise UsageError("the form has no boundary, or one of more than 200 bytes", where="content-type")
    return boundary


Receive = Callable[[AsyncIterator[bytes], str], Awaitable[str]]


class _Reading:
    """One form as it comes. The parser calls back without waiting; what it found is worked on after each piece."""

    def __init__(self, request: Request, boundary: bytes, receive: Receive) -> None:
        self.form = Form()
        self._pieces = _pieces(request)
        self._receive = receive
        self._found: deque[tuple[Callable[[bytes], object], bytes]] = deque()
        self._parser = MultipartParser(boundary, self._callbacks())
        self._header, self._value = b"", b""
        self._head: dict[bytes, bytes] = {}
        self._head_size = self._fields_size = self._parts = 0
        self._name: str | None = None  # of the field that comes
        self._file: str | None = None  # of the file that comes
        self._data = bytearray()  # of either
        self._hash = hashlib.sha256()
        self._ended = False

    async def read(self) -> None:
        """All of it."""
        while True:
            while self._found:
                self._work()
                if self._file is not None:
                    self.form.source = await self._receive(self._file_pieces(), self._file)
                    self.form.sha256 = self._hash.hexdigest()
            if not await self._more():
                break
        if not self._ended:
            raise _cut()

    async def _more(self) -> bool:
        """Parse what comes next; False when nothing does."""
        piece = await anext(self._pieces, b"")
        try:
            self._parser.write(piece)
        except MultipartParseError as error:
            raise UsageError(f"the form makes no sense: {error}", where="the body") from None
        return bool(piece)

    async def _file_pieces(self) -> AsyncIterator[bytes]:
        while self._file is not None:
            if self._found:
                self._work()
            elif not await self._more():
                raise _cut()
            if len(self._data) >= _BUFFER:
                yield self._taken()
        if self._data:
            yield self._taken()

    def _taken(self) -> bytes:
        piece = bytes(self._data)
        self._data.clear()
        self._hash.update(piece)
        return piece

    def _work(self) -> None:
        work, data = self._found.popleft()
        work(data)

    def _callbacks(self) -> Any:
        def later(work: Callable[[bytes], object]) -> Callable[[bytes, int, int], None]:
            return lambda data, start, end: self._found.append((work, data[start:end]))

        def now(work: Callable[[bytes], object]) -> Callable[[], None]:
            return lambda: self._found.append((work, b""))

        return {
            "on_part_begin": now(self._part_begin),
            "on_header_field": later(self._header_name),
            "on_header_value": later(self._header_value),
            "on_header_end": now(self._header_end),
            "on_headers_finished": now(self._head_end),
            "on_part_data": later(self._part_data),
            "on_part_end": now(self._part_end),
            "on_end": now(self._end),
        }

    # -- what the parser found ----------------------------------------------------------------------------------

    def _part_begin(self, _: bytes) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise UsageError(f"the form has more than {MOST_PARTS} parts", where="the body")
        self._head, self._head_size = {}, 0

    def _header_name(self, data: bytes) -> None:
        self._header += data
        self._grow_head(len(data))

    def _header_value(self, data: bytes) -> None:
        self._value += data
        self._grow_head(len(data))

    def _grow_head(self, more: int) -> None:
        self._head_size += more
        if self._head_size > _MOST_HEAD:
            raise UsageError(f"a part of the form has more than {_MOST_HEAD} bytes of headers", where="the body")

    def _header_end(self, _: bytes) -> None:
        self._head[self._header.lower()] = self._value
        self._header, self._value = b"", b""

    def _head_end(self, _: bytes) -> None:
        kind, options = parse_options_header(self._head.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in options:
            raise UsageError("a part of the form has no name", where="the body")
        name = options[b"name"].decode("utf-8", "replace")
        if b"filename" not in options:
            self._name = name
            return
        if self.form.source is not None:
            raise UsageError("the form has more than one file", hint="one job has one source", where=name[:60])
        self._file = options[b"filename"].decode("utf-8", "replace") or "upload"

    def _part_data(self, data: bytes) -> None:
        if self._file is None:
            self._fields_size += len(data)
            if self._fields_size > MOST_FIELDS_BYTES:
                most = format_size(MOST_FIELDS_BYTES)
                raise TooLarge(f"the fields of the form have more than {most}", limit_bytes=MOST_FIELDS_BYTES)
        self._data += data

    def _part_end(self, _: bytes) -> None:
        if self._file is not None:
            self._file = None
            return
        name = self._name or ""
        try:
            self.form.fields.setdefault(name, []).append(self._data.decode("utf-8"))
        except UnicodeDecodeError:
            raise UsageError(f"the field {name[:60]!r} is no UTF-8", where=name[:60]) from None
        self._data.clear()

    def _end(self, _: bytes) -> None:
        self._ended = True


def _cut() -> UsageError:
    return UsageError("the form was cut off", hint="send all of it", where="the body")


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """What comes of a body, for as long as it comes fast enough."""
    stream = request.stream()
    began, size = time.monotonic(), 0
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                piece = await anext(stream, b"")
        except TimeoutError:
            raise TooSlow(f"nothing of the upload came for {STALL_S:.0f} s", limit_s=STALL_S) from None
        except ClientDisconnect:
            raise _cut() from None
        if not piece:
            return
        yield piece
        size += len(piece)
        passed = time.monotonic() - began
        if passed > SLOW_S and size < passed * SLOWEST:
            raise TooSlow(f"the upload comes at {size / passed:.0f} bytes/s", limit_s=SLOW_S)
