"""Uploads: a form that streams in, its file straight to scratch.

Covers: one file and a few fields of multipart/form-data, each within its limit while it comes; patience that ends.
Does not cover: where scratch is and who owns it (``runner/keeper``), what the fields mean (who asks).

Of a file at most 256 KiB are in memory, whatever its size; the parts of a form that are no file are small by limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from narrowboat.errors import MediaType, QueueFull, TooLarge, TooSlow, UsageError
from narrowboat.runner.keeper import Keeper, Upload
from narrowboat.sizes import MIB, format_size

FORM_TYPE = "multipart/form-data"
#: Uploads that come in at the same time. Each has :data:`_BUFFER` bytes in memory, and as much on its way to the disk.
AT_ONCE = 32
_BUFFER = 256 << 10
_ROOM = 32 * MIB  # scratch is asked for in such steps: what somebody says will come is not what comes
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
        upload: the file; None when there was none.
        name: of the file, as it was sent.
        size: of the file, in bytes.
        sha256: of its content.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    upload: Upload | None = None
    name: str = ""
    size: int = 0
    sha256: str = ""

    def last(self, name: str) -> str | None:
        """The last value of a field; None when there is none."""
        return self.fields[name][-1] if self.fields.get(name) else None


class Uploads:
    """Takes uploads in, a few at a time.

    Args:
        most: bytes that a file may have.
    """

    def __init__(self, keeper: Keeper, most: int) -> None:
        self._keeper = keeper
        self.most = most
        self.coming = 0

    @asynccontextmanager
    async def form(self, request: Request) -> AsyncIterator[Form]:
        """The form of a request, read whole. Its upload is removed on leaving when an error leaves.

        Raises:
            MediaType, UsageError: it is no form, or makes no sense. TooLarge: of the file, or of the fields.
            TooSlow: it comes too slowly. QueueFull: too many come already. DiskFull: there is no room for it.
        """
        boundary = _boundary(request)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self.most + MOST_FIELDS_BYTES:
            raise self.too_large(int(length))
        if self.coming >= AT_ONCE:
            raise QueueFull(f"{AT_ONCE} uploads come in already, which is as many as may be", retry_after_s=10)
        self.coming += 1
        reading = _Reading(self, self._keeper, boundary)
        try:
            try:
                await reading.read(request)
            finally:
                self.coming -= 1
            yield reading.form
        except BaseException:
            await reading.drop()
            raise

    def too_large(self, size: int) -> TooLarge:
        """Why a file of ``size`` bytes, or more, is not taken."""
        return TooLarge(
            f"the upload has {format_size(size)}, and may have {format_size(self.most)}",
            hint="cut it, or ask for a larger --max-upload",
            limit_bytes=self.most,
        )


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind.decode("latin-1") != FORM_TYPE:
        raise MediaType(f"the body is {kind.decode('latin-1')[:60] or 'of no named type'}, and has to be {FORM_TYPE}")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:
        raise UsageError("the form has no boundary, or one of more than 200 bytes", where="content-type")
    return boundary


class _Reading:
    """One form as it comes. The parser calls back without waiting; what it found is worked on after each piece."""

    def __init__(self, uploads: Uploads, keeper: Keeper, boundary: bytes) -> None:
        self.form = Form()
        self._uploads = uploads
        self._keeper = keeper
        self._found: list[tuple[Callable[[bytes], object], bytes]] = []
        self._parser = MultipartParser(boundary, self._callbacks())
        self._header, self._value = b"", b""
        self._head: dict[bytes, bytes] = {}
        self._head_size = self._fields_size = self._parts = 0
        self._name: str | None = None  # of the field that comes
        self._text = bytearray()
        self._file: IO[bytes] | None = None
        self._in_file = False
        self._buffer = bytearray()
        self._room = 0
        self._hash = hashlib.sha256()
        self._begins: str | None = None  # the name of a file that begins
        self._ended = False

    async def read(self, request: Request) -> None:
        began, size = time.monotonic(), 0
        async for piece in _pieces(request):
            size += len(piece)
            passed = time.monotonic() - began
            if passed > SLOW_S and size < passed * SLOWEST:
                raise TooSlow(f"the upload comes at {size / passed:.0f} bytes/s", limit_s=SLOW_S)
            try:
                self._parser.write(piece)
            except MultipartParseError as error:
                raise UsageError(f"the form makes no sense: {error}", where="the body") from None
            await self._work()
        if not self._ended:
            raise UsageError("the form was cut off", hint="send all of it", where="the body")
        await self._finish()

    async def drop(self) -> None:
        if self._file is not None:
            self._file.close()
        if self.form.upload is not None:
            await self._keeper.drop(self.form.upload)
            self.form.upload = None

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

    async def _work(self) -> None:
        found, self._found = self._found, []
        for work, data in found:
            work(data)
            if self._begins is not None:
                await self._begin_file(self._begins)
            if len(self._buffer) >= _BUFFER:
                await self._write()

    # -- parts --------------------------------------------------------------------------------------------------

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
        if self.form.upload is not None:
            raise UsageError("the form has more than one file", hint="one job has one source", where=name[:60])
        self._begins = options[b"filename"].decode("utf-8", "replace") or "upload"

    def _part_data(self, data: bytes) -> None:
        if not self._in_file:
            self._fields_size += len(data)
            if self._fields_size > MOST_FIELDS_BYTES:
                most = format_size(MOST_FIELDS_BYTES)
                raise TooLarge(f"the fields of the form have more than {most}", limit_bytes=MOST_FIELDS_BYTES)
            self._text += data
            return
        self.form.size += len(data)
        if self.form.size > self._uploads.most:
            raise self._uploads.too_large(self.form.size)
        self._buffer += data

    def _part_end(self, _: bytes) -> None:
        self._in_file = False
        if self._name is None:
            return
        try:
            self.form.fields.setdefault(self._name, []).append(self._text.decode("utf-8"))
        except UnicodeDecodeError:
            raise UsageError(f"the field {self._name[:60]!r} is no UTF-8", where=self._name[:60]) from None
        self._name, self._text = None, bytearray()

    def _end(self, _: bytes) -> None:
        self._ended = True

    # -- the file -----------------------------------------------------------------------------------------------

    async def _begin_file(self, name: str) -> None:
        self._begins, self._in_file = None, True
        self.form.name = name
        self.form.upload = await self._keeper.upload(name)
        self._file = self.form.upload.path.open("wb", buffering=0)

    async def _write(self) -> None:
        assert self._file is not None
        assert self.form.upload is not None
        if self.form.size > self._room:
            self._room = max(self._room + _ROOM, self.form.size)
            await self._keeper.make_room(self.form.upload, min(self._room, self._uploads.most))
        data, self._buffer = self._buffer, bytearray()
        await asyncio.to_thread(self._store, self._file, data)

    def _store(self, file: IO[bytes], data: bytearray) -> None:
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]

    async def _finish(self) -> None:
        if self._file is None:
            return
        if self._buffer:
            await self._write()
        await asyncio.to_thread(os.ftruncate, self._file.fileno(), self.form.size)  # room that was not needed
        self._file.close()
        self._file = None
        self.form.sha256 = self._hash.hexdigest()
        if self.form.size == 0:
            raise UsageError(f"the file {self.form.name[:60]!r} is empty (0 bytes)", where="file")


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                piece = await anext(stream, b"")
        except TimeoutError:
            raise TooSlow(f"nothing of the upload came for {STALL_S:.0f} s", limit_s=STALL_S) from None
        except ClientDisconnect:
            raise UsageError("the upload was cut off", where="the body") from None
        if not piece:
            return
        yield piece
