"""Fetching an address to scratch, in constant memory and within limits.

Covers: the steps :func:`validate` and :func:`fetch`: size cap, timeouts, lengths that are not kept, going on where an
earlier try (or an earlier worker) stopped. Loads in workers only.
Does not cover: single requests and their errors (``client.py``), how often (``tries.py``), whether what came is media
(``media/``), proxies.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.shown import safe_url
from narrowboat.sources.client import Passing, explain
from narrowboat.sources.filling import PIECE, Filling, finished, kept
from narrowboat.sources.part import Part
from narrowboat.sources.tries import Tries

_TRIES_TO_ASK = 2  # for a validator: the transfer that follows has tries of its own
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
            return {
                "validator": _validator(response),
                "bytes": _length(response),
                "type": _type(response),
                "final_url": safe_url(urljoin(inputs["url"], response.url or "")),
            }

    return tries.run(ask, most=_TRIES_TO_ASK)


def fetch(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: ``inputs["url"]`` as a file in scratch, ``source`` with the suffix of the address or the type.

    Further inputs: ``max_bytes`` (None for no cap), and in seconds ``connect_s`` (15), ``stall_s`` (30), ``deadline_s``
    (6 hours, for all of it), ``backoff_s`` (1, doubled with each try that brings nothing).

    Returns:
        ``path``, ``bytes``, ``validator`` (ETag, else Last-Modified, else None), ``type`` or None.

    Raises:
        SourceError: for good: 404, 410, other 4xx, a body longer than its declared length, an empty one, a web page.
        AddressRefused: the address guard is on, and does not let it through.
        FetchError: for now: no connection, cut, stalled, 429, 5xx, out of time. What came stays for the next attempt.
        TooLarge: above ``max_bytes``, declared or come. DiskFull: scratch is full. After both nothing is left.
        Interrupted: the step was asked to stop.
    """
    tries = Tries(inputs)
    part = Part.load(context.scratch() / "source.part", inputs["url"])
    transfer = _Transfer(tries, part, inputs["url"], inputs.get("max_bytes"))
    with kept(part):
        tries.run(transfer.once, part.size)
        path = finished(part, _extension(inputs["url"], part.type), safe_url(inputs["url"]))
    return {"path": str(path), "bytes": path.stat().st_size, "validator": part.validator, "type": part.type}


class _Transfer:
    def __init__(self, tries: Tries, part: Part, url: str, max_bytes: int | None) -> None:
        self._tries, self._part, self._url = tries, part, url
        self._shown = safe_url(url)
        self._filling = Filling(part, self._shown, max_bytes)

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
            self._filling.fill(lambda came: self._read(response, came))

    def _begin(self, response: urllib3.BaseHTTPResponse, done: int) -> None:
        """Go on with the part, or start it anew, as the answer's status tells."""
        if response.status == 206:
            total = self._rest(response, done)
            if total is None:
                self._part.remove()
                raise Passing(f"{self._shown} sent another part than was asked for")
        else:
            total = None if response.headers.get("Transfer-Encoding") else _length(response)
        if response.status == 206 and done:
            self._part.total = total
        else:
            self._part.start(_validator(response), total, _type(response))

    def _rest(self, response: urllib3.BaseHTTPResponse, done: int) -> int | None:
        """The whole length, where the answer is what follows ``done`` bytes of the same content; else None."""
        span = re.fullmatch(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19})", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != done:
            return None
        known = self._part.validator or ""
        told = response.headers.get("ETag" if known.startswith('"') else "Last-Modified", known)
        same = told == known and int(span[2]) == (self._part.total or int(span[2]))
        return int(span[2]) if same or done == 0 else None

    def _read(self, response: urllib3.BaseHTTPResponse, done: int) -> bytes:
        self._tries.check_time()
        complete = self._part.total is not None and done >= self._part.total
        self._tries.client.pace.stall_s = _AFTER_END if complete else self._tries.stall_s
        try:
            piece: bytes = response.read1(PIECE, decode_content=False)
            return piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if complete:  # no more came, and that is all that was to be seen
                return b""
            self._tries.check_time()
            raise explain(error, self._shown) from None


def _validator(response: urllib3.BaseHTTPResponse) -> str | None:
    return response.headers.get("ETag") or response.headers.get("Last-Modified") or None


def _length(response: urllib3.BaseHTTPResponse) -> int | None:
    """Bytes of the body, as declared; None where that is no number that a body could have."""
    text: str = response.headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,19}", text) else None


def _strong(validator: str | None) -> bool:
    """Whether a range may be asked for by it (RFC 9110, 13.1.5): a weak ETag allows other bytes."""
    return validator is not None and not validator.startswith("W/")


def _type(response: urllib3.BaseHTTPResponse) -> str | None:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() or None


def _extension(url: str, kind: str | None) -> str:
    found = _EXTENSION.search(urlsplit(url).path)
    return found[0].lower() if found else _EXTENSIONS.get(kind or "", "")
