"""Fetching an address to scratch, in constant memory and within limits.

Covers: the steps :func:`validate` and :func:`fetch`: size cap, timeouts, lengths that are not kept, going on where an
earlier try (or an earlier worker) stopped. Loads in workers only.
Does not cover: single requests and their errors (``client.py``), how often (``tries.py``), whether what came is media
(``media/``), proxies.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import urllib3

from narrowboat import context, disk
from narrowboat.errors import DiskFull, FetchError, SourceError, TooLarge
from narrowboat.shown import safe_url
from narrowboat.sizes import format_size
from narrowboat.sources.client import Passing, explain
from narrowboat.sources.part import Part
from narrowboat.sources.tries import Tries

PIECE = 1 << 16  # bytes
ROOM = 8 << 20  # bytes between two looks at the disk, and of what comes without a declared length
_AFTER_END = 1.0  # seconds to wait for bytes beyond the declared length, where the server keeps the connection
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_EXTENSIONS = {
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/aac": ".aac",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/webm": ".webm",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
}


def validate(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: what the server says about ``inputs["url"]`` without its body. HEAD, or GET where HEAD is refused.

    Further inputs, in seconds: ``connect_s``, ``stall_s``, ``deadline_s``, ``backoff_s``.

    Returns:
        ``validator`` (ETag, else Last-Modified, else None), ``bytes`` or None, ``type`` or None, ``final_url``
        (without secrets).

    Raises:
        SourceError: for good, such as 404. FetchError: for now, after some tries.
    """
    tries = Tries(inputs)

    def ask() -> dict[str, Any]:
        try:
            response = tries.client.open("HEAD", inputs["url"])
        except (SourceError, Passing):
            response = tries.client.open("GET", inputs["url"])
        with contextlib.closing(response):
            length = response.headers.get("Content-Length", "")
            return {
                "validator": _validator(response),
                "bytes": int(length) if length.isdecimal() else None,
                "type": _type(response),
                "final_url": safe_url(urljoin(inputs["url"], response.url or "")),
            }

    return tries.run(ask)


def fetch(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: ``inputs["url"]`` as a file in scratch, ``source`` with the suffix of the address or the type.

    Further inputs: ``max_bytes`` (None for no cap), and in seconds ``connect_s`` (15), ``stall_s`` (30), ``deadline_s``
    (6 hours, for all of it), ``backoff_s`` (1, doubled with each try that brings nothing).

    Returns:
        ``path``, ``bytes``, ``validator`` (ETag, else Last-Modified, else None), ``type`` or None.

    Raises:
        SourceError: for good: 404, 410, other 4xx, a body longer than its declared length, an empty one.
        FetchError: for now: no connection, cut, stalled, 429, 5xx, out of time. What came stays for the next attempt.
        TooLarge: above ``max_bytes``, declared or come. DiskFull: scratch is full. After both nothing is left.
        Interrupted: the step was asked to stop.
    """
    tries = Tries(inputs)
    part = Part.load(context.scratch() / "source.part", inputs["url"])
    transfer = _Transfer(tries, part, inputs["url"], inputs.get("max_bytes"))
    try:
        tries.run(transfer.once, part.size)
        path = context.scratch() / f"source{_extension(inputs['url'], part.type)}"
        size = part.size()
        if size == 0:
            raise SourceError(f"{safe_url(inputs['url'])} sent nothing (0 bytes)", reason="empty")
        part.finish(path)
    except (TooLarge, DiskFull, SourceError):
        part.remove()
        raise
    except OSError as error:
        part.remove()
        raise _disk_error(error, part.path) from None
    return {"path": str(path), "bytes": size, "validator": part.validator, "type": part.type}


class _Transfer:
    def __init__(self, tries: Tries, part: Part, url: str, max_bytes: int | None) -> None:
        self._tries, self._part, self._url, self._max = tries, part, url, max_bytes
        self._shown = safe_url(url)
        self._told = 0.0
        self._room = 0  # bytes up to which the disk was found to have room

    def once(self) -> None:
        """One request, from where the part ends; returns when the body is complete."""
        self._tries.check_time()
        done = self._part.size()
        headers = {}
        if done and _strong(self._part.validator):
            headers = {"Range": f"bytes={done}-", "If-Range": str(self._part.validator)}
        with contextlib.closing(self._tries.client.open("GET", self._url, headers)) as response:
            if response.status == 416 and done == self._part.total:
                return  # unchanged, and all of it came before
            if response.status == 416:
                self._part.remove()  # what is there does not fit any more
                raise Passing(f"{self._shown} has changed")
            if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
                raise SourceError(f"{self._shown} sends its content compressed, although asked not to")
            self._begin(response, done)
            with self._part.path.open("ab") as file:
                self._copy(response, file)

    def _begin(self, response: urllib3.BaseHTTPResponse, done: int) -> None:
        """Go on with the part, or start it anew, as the answer's status tells; check what it declares."""
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if response.status == 206:
            if span is None or int(span[1]) != done or int(span[2]) != (self._part.total or int(span[2])):
                self._part.remove()
                raise Passing(f"{self._shown} sent another part than was asked for")
            self._part.total = int(span[2])
        else:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() and not response.headers.get("Transfer-Encoding") else None
            self._part.start(_validator(response), total, _type(response))
        self._check_size(self._part.total or 0, "is")

    def _check_size(self, size: int, verb: str) -> None:
        if self._max is not None and size > self._max:
            raise TooLarge(
                f"{self._shown} {verb} {format_size(size)}, more than the {format_size(self._max)} allowed",
                hint="allow more with --max-download, or with MAX_FILE_SIZE_MB where that is set",
                limit_bytes=self._max,
            )

    def _copy(self, response: urllib3.BaseHTTPResponse, file: BinaryIO) -> None:
        done, total = self._part.size(), self._part.total
        self._make_room(done)
        while piece := self._read(response, done, total):
            done += len(piece)
            if total is not None and done > total:
                raise SourceError(
                    f"{self._shown} sent more than the {total} bytes it declared",
                    hint="the server or something in between is at fault",
                    declared_bytes=total,
                )
            self._check_size(done, "sent")
            if done > self._room:
                self._make_room(done)
            file.write(piece)
            self._tell(done, total)
        if total is not None and done < total:
            raise Passing(f"{self._shown} was cut after {done} of {total} bytes", bytes=done, declared_bytes=total)
        self._tell(done, total, last=True)

    def _make_room(self, done: int) -> None:
        """Before the first byte for all that is declared, and again on the way: others may fill the disk meanwhile."""
        self._room = done + ROOM
        if self._part.total is not None:
            context.make_room(self._part.path, self._part.total, self._shown)
        else:
            context.make_room(self._part.path, self._room, f"more of {self._shown}")

    def _read(self, response: urllib3.BaseHTTPResponse, done: int, total: int | None) -> bytes:
        self._tries.check_time()
        complete = total is not None and done >= total
        self._tries.client.pace.stall_s = _AFTER_END if complete else self._tries.stall_s
        try:
            piece: bytes = response.read1(PIECE, decode_content=False)
            return piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if complete:  # no more came, and that is all that was to be seen
                return b""
            self._tries.check_time()
            raise explain(error, self._shown) from None

    def _tell(self, done: int, total: int | None, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._told >= 0.2:
            self._told = now
            context.progress(done / total if total else 0.0, "fetch", bytes_done=done, bytes_total=total)


def _validator(response: urllib3.BaseHTTPResponse) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified") or None


def _strong(validator: str | None) -> bool:
    """Whether a range may be asked for by it (RFC 9110, 13.1.5): a weak ETag allows other bytes."""
    return validator is not None and not validator.startswith("W/")


def _type(response: urllib3.BaseHTTPResponse) -> str | None:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() or None


def _extension(url: str, kind: str | None) -> str:
    found = _EXTENSION.search(urlsplit(url).path)
    return found[0].lower() if found else _EXTENSIONS.get(kind or "", "")


def _disk_error(error: OSError, path: Path) -> DiskFull | FetchError:
    if error.errno in disk.FULL:
        return disk.full(path.parent, "what is fetched")
    return FetchError(f"{path} can't be written: {error.strerror or error}", path=str(path))
