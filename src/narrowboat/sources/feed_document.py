"""The document of a feed: an address as a small file in scratch, asked for only when it has changed.

Covers: the step :func:`get`: conditional requests, the size cap (after unpacking too), giving up early on what is no
document; :func:`looks_like`, what a document is by its first bytes. Loads in workers only.
Does not cover: single requests and their errors (``client``), how often (``tries``), reading it (``feed``).
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import urllib3

from narrowboat import context
from narrowboat.errors import SourceError, TooLarge
from narrowboat.shown import safe_url
from narrowboat.sizes import MIB, format_size
from narrowboat.sources.client import Passing, explain
from narrowboat.sources.tries import Tries

#: Bytes that are enough to tell what a document is.
HEAD = 1 << 14
_PIECE = 1 << 16  # bytes
_ROOM = 8 * MIB  # bytes between two looks at the disk
_DEADLINE_S = 300.0
_ACCEPT = "application/rss+xml, application/atom+xml, application/rdf+xml, application/xml;q=0.9, */*;q=0.5"
_FEEDS = {"rss", "feed", "rdf", "channel"}
_PAGES = {"html", "head", "body", "title", "meta", "script", "div"}
_TAG = re.compile(rb"<\s*([a-z][a-z0-9:._-]*)")


def get(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the document at ``inputs["url"]``, in scratch.

    Further inputs: ``max_bytes``; ``etag`` and ``modified``, as an earlier answer gave them, or None; in seconds
    ``connect_s``, ``stall_s``, ``deadline_s`` (300, for all of it), ``backoff_s``.

    Returns:
        ``{"unchanged": True}``, or ``path`` (None for what looks like ``other``: it is not read to its end), ``bytes``,
        ``looks`` (see :func:`looks_like`), ``etag``, ``modified``, ``charset`` and ``url`` (where it was found after
        redirects, with its secrets), each None where the server does not say.

    Raises:
        SourceError: for good, such as 404. FetchError: for now, after some tries.
        TooLarge: above ``max_bytes``, also after unpacking. DiskFull: scratch is full.
    """
    tries = Tries({"deadline_s": _DEADLINE_S, **inputs})
    return tries.run(lambda: _once(tries, inputs))


def looks_like(head: bytes) -> str:
    """What begins so: ``feed``, ``xml``, ``page`` (HTML), ``list`` (OPML), ``json`` or ``other``."""
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()  # UTF-16 and UTF-32 too
    if text.startswith(b"{"):
        return "json" if b"jsonfeed.org" in text else "other"
    if not text.startswith(b"<"):
        return "other"
    if text.startswith(b"<!doctype html"):
        return "page"
    found = _TAG.search(re.sub(rb"<!--.*?(-->|$)|<\?.*?(\?>|$)", b"", text, flags=re.DOTALL))
    name = found[1].rpartition(b":")[2].decode() if found else ""
    kinds = dict.fromkeys(_FEEDS, "feed") | dict.fromkeys(_PAGES, "page") | {"opml": "list"}
    return kinds.get(name, "xml" if text.startswith(b"<?xml") else "other")


def _once(tries: Tries, inputs: dict[str, Any]) -> dict[str, Any]:
    url = str(inputs["url"])
    asked = {"If-None-Match": inputs.get("etag"), "If-Modified-Since": inputs.get("modified")}
    headers = {"Accept": _ACCEPT} | {name: value for name, value in asked.items() if value}
    with contextlib.closing(tries.client.open("GET", url, headers)) as response:
        if response.status == 304:
            return {"unchanged": True}
        path = context.scratch() / "feed"
        size, looks = _keep(response, tries, path, safe_url(url), inputs["max_bytes"])
        charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", response.headers.get("Content-Type", ""), re.IGNORECASE)
        return {
            "path": None if looks == "other" else str(path),
            "bytes": size,
            "looks": looks,
            "etag": response.headers.get("ETag"),
            "modified": response.headers.get("Last-Modified"),
            "charset": charset[1] if charset else None,
            "url": urljoin(url, response.url or ""),
        }


def _keep(response: urllib3.BaseHTTPResponse, tries: Tries, path: Path, shown: str, most: int) -> tuple[int, str]:
    """Write the body to ``path``; its bytes, and what it looks like."""
    size, room, head = 0, 0, b""
    with path.open("wb") as file:
        for piece in _unpacked(response, tries, shown):
            size += len(piece)
            if size > most:
                raise TooLarge(
                    f"{shown} has more than {format_size(most)}, which is too large for a feed", limit_bytes=most
                )
            if size > room:
                room = size + _ROOM
                context.make_room(path, room, f"the feed {shown}")
            if len(head) < HEAD:
                head += piece[:HEAD]
                if len(head) >= HEAD and looks_like(head) == "other":
                    break
            file.write(piece)
    if size == 0:
        raise SourceError(f"{shown} sent nothing (0 bytes)", reason="empty")
    return size, looks_like(head)


def _unpacked(response: urllib3.BaseHTTPResponse, tries: Tries, shown: str) -> Iterator[bytes]:
    """The body in pieces. Some servers pack it although they are asked not to."""
    packing = response.headers.get("Content-Encoding", "identity").lower()
    if packing in ("identity", ""):
        yield from _pieces(response, tries, shown)
        return
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise SourceError(f"{shown} sends its content as {packing}, although asked not to")
    unpack = zlib.decompressobj(47)  # 15 for the largest window, and 32 to tell gzip from zlib
    try:
        for piece in _pieces(response, tries, shown):
            while piece:
                yield unpack.decompress(piece, _PIECE)
                piece = unpack.unconsumed_tail  # noqa: PLW2901 -- a bomb comes out piece by piece
    except zlib.error as error:
        raise SourceError(f"{shown} sends what is no {packing}: {error}") from None


def _pieces(response: urllib3.BaseHTTPResponse, tries: Tries, shown: str) -> Iterator[bytes]:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() and not response.headers.get("Transfer-Encoding") else None
    done = 0
    while total is None or done < total:
        tries.check_time()
        try:
            piece = response.read1(_PIECE, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            tries.check_time()
            raise explain(error, shown) from None
        if not piece:
            break
        done += len(piece)
        yield piece
    if total is not None and done < total:
        raise Passing(f"{shown} was cut after {done} of {total} bytes", bytes=done, declared_bytes=total)
