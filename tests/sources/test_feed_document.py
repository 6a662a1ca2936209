"""The document of a feed as servers send it: unchanged, packed, too large, no document, cut, elsewhere."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import Request, Scratch, Server

from narrowboat.errors import FetchError, SourceError, TooLarge
from narrowboat.sources.feed_document import get

Serve = Callable[..., Server]
FEED = b'<?xml version="1.0"?><rss version="2.0"><channel><title>x</title></channel></rss>'


def ask(server: Server, path: str = "/feed.xml", **more: Any) -> dict[str, Any]:
    return get({"url": server.url(path), "max_bytes": 1 << 20, "backoff_s": 0.01, "stall_s": 0.5, **more})


def test_a_feed_and_what_its_server_says_of_it(serve: Serve, scratch: Scratch) -> None:
    server = serve(
        lambda r: r.send("200 OK", FEED, ETag='"1"', Last_Modified="x", Content_Type="text/xml; charset=utf-8")
    )
    found = ask(server)
    assert Path(found.pop("path")).read_bytes() == FEED
    assert found == {
        "bytes": len(FEED),
        "looks": "feed",
        "etag": '"1"',
        "modified": "x",
        "charset": "utf-8",
        "url": server.url("/feed.xml"),
    }
    assert "application/rss+xml" in server.requests[0].headers["accept"]
    assert "if-none-match" not in server.requests[0].headers


def test_unchanged(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("304 Not Modified", Content_Length=None))
    assert ask(server, etag='"1"', modified="then") == {"unchanged": True}
    headers = server.requests[0].headers
    assert (headers["if-none-match"], headers["if-modified-since"]) == ('"1"', "then")


def test_where_it_was_found_is_told_for_relative_addresses(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        if request.path == "/feed.xml":
            request.send("301 Moved", Location="/new/feed?key=1")
        else:
            request.send("200 OK", FEED)

    server = serve(answer)
    assert ask(server)["url"] == server.url("/new/feed?key=1")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_packed_although_asked_not_to(serve: Serve, scratch: Scratch, pack: Callable[[bytes], bytes]) -> None:
    packing = "gzip" if pack is gzip.compress else "deflate"
    found = ask(serve(lambda r: r.send("200 OK", pack(FEED), Content_Encoding=packing)))
    assert Path(found["path"]).read_bytes() == FEED


def test_what_says_it_is_packed_and_is_not(serve: Serve, scratch: Scratch) -> None:
    with pytest.raises(SourceError, match="is no gzip"):
        ask(serve(lambda r: r.send("200 OK", FEED, Content_Encoding="gzip")))
    with pytest.raises(SourceError, match="as br"):
        ask(serve(lambda r: r.send("200 OK", FEED, Content_Encoding="br")))


@pytest.mark.parametrize("packed", [False, True])
def test_too_large_also_when_it_is_unpacked(serve: Serve, scratch: Scratch, packed: bool) -> None:
    body = FEED + b" " * (2 << 20)
    headers = {"Content_Encoding": "gzip"} if packed else {}
    server = serve(lambda r: r.send("200 OK", gzip.compress(body) if packed else body, **headers))
    with pytest.raises(TooLarge, match=r"more than 1\.0 MiB, which is too large for a feed"):
        ask(server)


def test_what_is_no_document_is_not_read_to_its_end(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", b"ID3\x04" + bytes(1 << 15), Content_Length=10**9)
        request.hang()

    found = ask(serve(answer), stall_s=20)
    assert (found["path"], found["looks"]) == (None, "other")


def test_cut_and_whole_at_the_next_try(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", FEED[: len(FEED) // (3 - request.number)], Content_Length=len(FEED))

    server = serve(answer)
    assert Path(ask(server)["path"]).read_bytes() == FEED
    assert len(server.requests) == 2


def test_what_never_works(serve: Serve, scratch: Scratch) -> None:
    with pytest.raises(FetchError, match="answered 503"):
        ask(serve(lambda r: r.send("503 x")))
    with pytest.raises(SourceError, match="answered 404"):
        ask(serve(lambda r: r.send("404 x")))
    with pytest.raises(SourceError, match="sent nothing"):
        ask(serve(lambda r: r.send("200 OK")))
    with pytest.raises(FetchError, match="was cut after 10 of"):
        ask(serve(lambda r: r.send("200 OK", FEED[:10], Content_Length=len(FEED))))
