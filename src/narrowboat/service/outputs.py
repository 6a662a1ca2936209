"""Outputs over HTTP: whole or in part, unchanged since when, and harmless in a browser.

Covers: one range, validators, types, names for downloads.
Does not cover: which files there are (the journal says; what a request names is only compared with that).
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from narrowboat.errors import BadRange, NotFound
from narrowboat.service.files import File
from narrowboat.service.media_types import media_type
from narrowboat.service.operations import Answer, Call, Operation, Parameter
from narrowboat.service.shapes import ID

#: Bytes that are read and sent at once. Of who does not read what is sent, two of these are in memory.
_PIECE = 32 << 10
#: A page that is an output may run its own script and nothing else: no requests, no cookies, no forms, no frames.
_PAGE_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
)
_FILE_POLICY = "sandbox; default-src 'none'"
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


async def output(call: Call) -> Response:
    """An output of a job, by its file's name or its format's."""
    service = call.service
    row = await service.row(call.given["id"])
    return await serve(call, named(await service.files(row), row.id, call.given["name"]).path)


def named(files: list[File], job_id: str, name: str) -> File:
    """The file of that name, or of that format.

    Raises:
        NotFound: there is none.
    """
    for file in files:
        if name == file.path.name:
            return file
    for file in files:
        if name == file.format:
            return file
    names = ", ".join(file.path.name for file in files[:10])
    raise NotFound(f"job {job_id} has no output {name[:60]!r}", hint=f"it has {names}" if names else "it has none yet")


async def serve(call: Call, path: Path) -> Response:
    """A file, as the request's headers ask for it.

    Raises:
        NotFound: it is gone. BadRange: there is no such part of it.
    """
    try:
        file = await asyncio.to_thread(_open, path)
    except OSError:
        raise NotFound(f"the output {path.name} is gone", hint="retry the job with again: true") from None
    try:
        found = os.fstat(file.fileno())
        tag = f'"{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ino:x}"'
        headers = {**_headers(path.name), "etag": tag, "accept-ranges": "bytes"}
        asked = call.request.headers
        if _matches(asked.get("if-none-match"), tag):
            file.close()
            return Response(status_code=304, headers=headers)
        wanted = asked.get("range") if asked.get("if-range", tag) == tag else None
        part = _part(wanted, found.st_size)
    except BaseException:
        file.close()
        raise
    start, end = part or (0, found.st_size)
    headers["content-length"] = str(end - start)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{found.st_size}"
    if call.request.method == "HEAD":
        file.close()
        return Response(status_code=206 if part else 200, headers=headers)
    return StreamingResponse(_read(file, start, end), 206 if part else 200, headers)


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0)


def _headers(name: str) -> dict[str, str]:
    kind = media_type(name)
    page = kind.startswith("text/html")
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    shown = "inline" if page else "attachment"
    return {
        "content-type": kind,
        "content-disposition": f"{shown}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "content-security-policy": _PAGE_POLICY if page else _FILE_POLICY,
        "cache-control": "private, no-cache",
    }


def _matches(header: str | None, tag: str) -> bool:
    return header is not None and (
        header.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in header.split(",")]
    )


def _part(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None for all of it, also when several parts are asked for."""
    match = _RANGE.fullmatch(header.replace(" ", "")) if header is not None else None
    if match is None or (not match[1] and not match[2]):
        return None
    if match[1]:
        start, end = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
        if match[2] and int(match[2]) < int(match[1]):
            return None
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        raise BadRange(f"there is no byte {start} in {size}", size_bytes=size)
    return start, end


async def _read(file: IO[bytes], start: int, end: int) -> AsyncIterator[bytes]:
    try:
        while start < end:
            piece = await asyncio.to_thread(os.pread, file.fileno(), min(_PIECE, end - start), start)
            if not piece:
                return
            start += len(piece)
            yield piece
    finally:
        file.close()


_BYTES = {"application/octet-stream": {"type": "string", "format": "binary"}, "text/plain": {"type": "string"}}
_NAME = Parameter(
    "name", {"type": "string", "minLength": 1, "maxLength": 300}, "Name of an output's file, or its format.", "path"
)
ASKED = [
    Parameter("Range", {"type": "string"}, "A part, such as bytes=0-1023.", "header"),
    Parameter("If-None-Match", {"type": "string"}, "ETags that are here already.", "header"),
]
_TYPES = {kind: {"type": "string"} for kind in ("*/*",)}
ANSWERS = {
    200: Answer("The file.", _TYPES, {"ETag": "Changes with the file."}),
    206: Answer("The part that was asked for.", _TYPES, {"Content-Range": "Which part it is."}),
    304: Answer("It has not changed."),
}
_PATH = "/v1/jobs/{id}/outputs/{name}"
OPERATIONS = [
    Operation("GET", _PATH, output, "Download an output", ANSWERS, [ID, _NAME, *ASKED], problems=[416]),
    Operation("HEAD", _PATH, output, "Ask about an output", ANSWERS, [ID, _NAME, *ASKED], problems=[416]),
]
