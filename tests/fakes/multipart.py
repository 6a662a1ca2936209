"""multipart/form-data, read as it comes: fields in memory, files to disk.

Covers: parts split at the boundary wherever the blocks end. Does not cover: encodings of parts, nested multiparts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from fakes.store import Spool, Store, Stored

MOST_FIELD = 1 << 20
NAME = re.compile(rb'name="([^"]*)"')
FILENAME = re.compile(rb'filename="([^"]*)"')
TYPE = re.compile(rb"content-type:\s*([^\r\n]+)", re.IGNORECASE)


class Malformed(ValueError):
    """The body is no form."""


@dataclass(slots=True)
class Form:
    """What came: every value of a field, in order, and the files."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, Stored] = field(default_factory=dict)

    def first(self, name: str, default: str = "") -> str:
        return self.fields.get(name, [default])[0]


async def read_form(blocks: AsyncIterator[bytes], content_type: str, store: Store) -> Form:
    """Read a form; what it holds on disk is the caller's to remove.

    Raises:
        Malformed: it is none, or ends in the middle.
    """
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if "multipart/form-data" not in content_type or found is None:
        raise Malformed("Content-Type must be multipart/form-data with a boundary")
    reader = _Reader(blocks, b"\r\n--" + found[1].encode())
    form = Form()
    try:
        await reader.preamble()
        while (head := await reader.head()) is not None:
            await _part(head, reader, form, store)
    except BaseException:
        for file in form.files.values():
            store.remove(file)
        raise
    return form


async def _part(head: bytes, reader: _Reader, form: Form, store: Store) -> None:
    name, filename, kind = NAME.search(head), FILENAME.search(head), TYPE.search(head)
    if name is None:
        raise Malformed("a part without a name")
    label = name[1].decode()
    if filename is None:
        value = b"".join([block async for block in reader.content()])
        if len(value) > MOST_FIELD:
            raise Malformed(f"the field {label} is too long")
        form.fields.setdefault(label, []).append(value.decode())
        return
    spool: Spool = store.spool(keep=True)
    try:
        await spool.take(reader.content())
    except BaseException:
        spool.remove()
        raise
    mime = kind[1].decode().strip() if kind else "application/octet-stream"
    form.files[label] = Stored("", filename[1].decode(), mime, spool.size, spool.sha.hexdigest(), spool.path)


class _Reader:
    """Blocks, split at the boundary."""

    def __init__(self, blocks: AsyncIterator[bytes], boundary: bytes) -> None:
        self._blocks = blocks
        self._boundary = boundary
        self._buffer = b"\r\n"  # so that the first boundary looks like the others

    async def preamble(self) -> None:
        async for _ in self.content():
            pass

    async def head(self) -> bytes | None:
        """The headers of the next part; None after the last one."""
        while len(self._buffer) < 2:
            await self._more()
        if self._buffer.startswith(b"--"):
            return None
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MOST_FIELD:
                raise Malformed("the headers of a part are too long")
            await self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self._buffer = b"\r\n" + self._buffer  # of an empty part the boundary follows at once
        return head

    async def content(self) -> AsyncIterator[bytes]:
        """The bytes up to the next boundary, which is taken away."""
        skip = 2  # the line end that was put before it
        while True:
            at = self._buffer.find(self._boundary)
            if at >= 0:
                if at > skip:
                    yield self._buffer[skip:at]
                self._buffer = self._buffer[at + len(self._boundary) :]
                return
            safe = len(self._buffer) - len(self._boundary)
            if safe > skip:
                yield self._buffer[skip:safe]
                self._buffer, skip = self._buffer[safe:], 0
            await self._more()

    async def _more(self) -> None:
        async for block in self._blocks:
            self._buffer += block
            return
        raise Malformed("the form ends in the middle")
