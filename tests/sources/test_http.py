"""Fetching: what a server may do, and what becomes of it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import Request, Scratch, Server

from narrowboat.errors import DiskFull, FetchError, Interrupted, SourceError, TooLarge
from narrowboat.sources.http import fetch, validate

BODY = bytes(range(256)) * 2000
Serve = Callable[..., Server]


def ask(server: Server, path: str = "/talk.mp3", **inputs: Any) -> dict[str, Any]:
    return {"url": server.url(path), "max_bytes": None, "stall_s": 5, "backoff_s": 0.01, "deadline_s": 20, **inputs}


def ranged(request: Request, body: bytes = BODY, tag: str = '"one"') -> None:
    """An honest server that knows ranges."""
    start = request.headers.get("range", "")
    if start and request.headers.get("if-range", tag) == tag:
        at = int(start.removeprefix("bytes=").rstrip("-"))
        if at >= len(body):
            request.send("416 Range Not Satisfiable", Content_Range=f"bytes */{len(body)}", ETag=tag)
            return
        span = f"bytes {at}-{len(body) - 1}/{len(body)}"
        request.send("206 Partial Content", body[at:], Content_Range=span, ETag=tag)
        return
    request.send("200 OK", body, ETag=tag)


def test_whole_file_arrives(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("200 OK", BODY, ETag='"v1"', Content_Type="audio/mpeg; x=y"))
    got = fetch(ask(server, "/a%20talk.MP3?key=secret"))
    assert Path(got["path"]).read_bytes() == BODY
    assert (got["bytes"], got["validator"], got["type"]) == (len(BODY), '"v1"', "audio/mpeg")
    assert scratch.names() == ["source.mp3"]
    assert scratch.progress[-1] == {
        "fraction": 1.0,
        "stage": "fetch",
        "bytes_done": len(BODY),
        "bytes_total": len(BODY),
    }
    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_suffix_comes_from_the_type_if_the_address_has_none(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("200 OK", BODY, Content_Type="audio/mp4"))
    assert Path(fetch(ask(server, "/episode/12"))["path"]).name == "source.m4a"


def test_chunked_without_length(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", Transfer_Encoding="chunked", Content_Length=None)
        for at in range(0, len(BODY), 50_000):
            piece = BODY[at : at + 50_000]
            request.conn.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        request.conn.sendall(b"0\r\n\r\n")

    got = fetch(ask(serve(answer)))
    assert Path(got["path"]).read_bytes() == BODY
    assert got["validator"] is None


def test_chunked_and_cut_is_never_taken_for_whole(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", Transfer_Encoding="chunked", Content_Length=None)
        request.conn.sendall(b"1000\r\n" + bytes(4096) + b"\r\n800\r\n" + bytes(100))

    with pytest.raises(FetchError, match=r"broke off the connection; given up after \d+ tries"):
        fetch(ask(serve(answer)))
    assert not list(scratch.path.glob("source.mp3"))


def test_body_until_the_connection_closes(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("200 OK", BODY, Content_Length=None))
    assert fetch(ask(server))["bytes"] == len(BODY)


@pytest.mark.parametrize(
    ("status", "words"), [("404 Nope", "404 Not Found"), ("410 Gone", "410 Gone"), ("403 x", "403")]
)
def test_final_answers_are_asked_once(serve: Serve, scratch: Scratch, status: str, words: str) -> None:
    server = serve(lambda r: r.send(status))
    with pytest.raises(SourceError, match=f"/talk.mp3 answered {words}") as caught:
        fetch(ask(server))
    assert caught.value.facts["status"] == int(status[:3])
    assert len(server.requests) == 1
    assert scratch.names() == []


def test_503_then_200(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        if request.number < 3:
            request.send("503 Busy")
        else:
            request.send("200 OK", BODY)

    server = serve(answer)
    assert fetch(ask(server))["bytes"] == len(BODY)
    assert len(server.requests) == 3
    assert len(scratch.log) == 2 and "answered 503 Service Unavailable; next try in" in scratch.log[0]


def test_503_for_ever_is_retryable(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("503 Busy"))
    with pytest.raises(FetchError, match="answered 503 Service Unavailable; given up after 4 tries") as caught:
        fetch(ask(server))
    assert caught.value.retryable and caught.value.facts["status"] == 503


def test_retry_after_is_waited_for_and_never_beyond_the_deadline(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("429 Slow", Retry_After="40"))
    with pytest.raises(FetchError, match="answered 429"):
        fetch(ask(server, deadline_s=5))  # 40 s would be too late, so it says so now
    assert len(server.requests) == 1

    def answer(request: Request) -> None:
        if request.number == 1:
            request.send("429 Slow", Retry_After="1")
        else:
            request.send("200 OK", BODY)

    fetch(ask(serve(answer)))
    assert "next try in 1.0 s" in scratch.log[-1]


def test_who_asks_for_more_time_than_is_waited_is_asked_once(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("503 Busy", Retry_After="3600"))
    with pytest.raises(
        FetchError, match=r"asks to be left alone for 3600 s, until 2\d{3}-\d\d-\d\d \d\d:\d\d UTC"
    ) as caught:
        fetch(ask(server))
    assert len(server.requests) == 1
    assert caught.value.facts["wait_s"] == 3600 and caught.value.facts["status"] == 503
    assert abs(caught.value.facts["not_before"] - time.time() - 3600) < 60
    with pytest.raises(FetchError, match="asks to be left alone for 999999999 s"):
        fetch(ask(serve(lambda r: r.send("429 x", Retry_After="9" * 50))))


def test_redirects_are_followed_and_loops_end(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        if request.path == "/final.mp3":
            request.send("200 OK", BODY)
        else:
            request.send("302 Found", Location="/final.mp3" if request.path == "/talk.mp3" else "/loop")

    server = serve(answer)
    assert fetch(ask(server))["bytes"] == len(BODY)
    with pytest.raises(SourceError, match="redirects more than 10 times"):
        fetch(ask(server, "/loop"))


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.org/a.mp3"])
def test_redirects_stay_within_http(serve: Serve, scratch: Scratch, target: str) -> None:
    server = serve(lambda r: r.send("302 Found", Location=target))
    with pytest.raises(SourceError, match=r"leads to .* (neither http nor https|can't be fetched)"):
        fetch(ask(server))


def test_credentials_are_not_carried_to_another_host(serve: Serve, scratch: Scratch) -> None:
    other = serve(lambda r: r.send("200 OK", BODY))
    server = serve(lambda r: r.send("302 Found", Location=other.url()))
    fetch({"url": server.url().replace("//", "//me:secret@")})
    assert "authorization" in server.requests[0].headers
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize("close", [True, False])
def test_longer_than_declared(serve: Serve, scratch: Scratch, close: bool) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", BODY + b"more", Content_Length=len(BODY))
        if not close:
            request.hang()

    with pytest.raises(SourceError, match=f"sent more than the {len(BODY)} bytes it declared"):
        fetch(ask(serve(answer)))
    assert scratch.names() == []


def test_server_that_keeps_the_connection_open_is_fine(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", BODY)
        request.hang()

    assert fetch(ask(serve(answer)))["bytes"] == len(BODY)


def test_shorter_than_declared_without_ranges(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("200 OK", BODY[:1000], Content_Length=len(BODY)))
    with pytest.raises(FetchError, match=f"was cut after 1000 of {len(BODY)} bytes") as caught:
        fetch(ask(server))
    assert caught.value.retryable
    assert not (scratch.path / "source.mp3").exists()


def test_cut_and_resumed_within_the_step(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        if request.number == 1:
            request.send("200 OK", BODY[:300_000], Content_Length=len(BODY), ETag='"one"')
        else:
            ranged(request)

    server = serve(answer)
    assert Path(fetch(ask(server))["path"]).read_bytes() == BODY
    assert server.requests[1].headers["range"] == "bytes=300000-"


@pytest.mark.parametrize("changed", [False, True])
def test_a_later_attempt_goes_on(serve: Serve, scratch: Scratch, changed: bool) -> None:
    new = BODY[::-1]
    phase = ["cut"]

    def answer(request: Request) -> None:
        if phase[0] == "cut":
            request.send(
                "200 OK" if request.number == 1 else "503 x", BODY[:1000], Content_Length=len(BODY), ETag='"one"'
            )
        else:
            ranged(request, new if changed else BODY, '"two"' if changed else '"one"')

    server = serve(answer)
    with pytest.raises(FetchError):
        fetch(ask(server))
    assert scratch.names() == ["source.part", "source.part.json"]
    phase[0] = "whole"
    got = fetch(ask(server))
    assert Path(got["path"]).read_bytes() == (new if changed else BODY)
    assert got["validator"] == ('"two"' if changed else '"one"')
    assert server.requests[-1].headers["range"] == "bytes=1000-"
    assert scratch.names() == ["source.mp3"]


def test_a_part_that_was_complete_is_used(serve: Serve, scratch: Scratch) -> None:
    server = serve(ranged)
    path = Path(fetch(ask(server))["path"])
    note = '{"url": "%s", "validator": "\\"one\\"", "total": %d, "type": null}'
    path.rename(scratch.path / "source.part")
    digest = hashlib.sha256(server.url().encode()).hexdigest()
    (scratch.path / "source.part.json").write_text(note % (digest, len(BODY)))
    assert Path(fetch(ask(server))["path"]).read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_part_of_another_address_is_not_used(serve: Serve, scratch: Scratch) -> None:
    (scratch.path / "source.part").write_bytes(b"other")
    (scratch.path / "source.part.json").write_text('{"url": "x", "validator": "\\"one\\"", "total": 9, "type": null}')
    server = serve(ranged)
    assert Path(fetch(ask(server))["path"]).read_bytes() == BODY
    assert "range" not in server.requests[0].headers


def test_weak_etags_are_not_resumed_by(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        body = BODY[:1000] if request.number == 1 else BODY
        request.send("200 OK", body, Content_Length=len(BODY), ETag='W/"one"')

    server = serve(answer)
    assert Path(fetch(ask(server))["path"]).read_bytes() == BODY
    assert "range" not in server.requests[1].headers


def test_a_wrong_part_starts_again(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        if request.number == 1:
            request.send("200 OK", BODY[:1000], Content_Length=len(BODY), ETag='"one"')
        elif "range" in request.headers:
            request.send("206 Partial Content", BODY[5:], Content_Range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}")
        else:
            request.send("200 OK", BODY, ETag='"one"')

    assert Path(fetch(ask(serve(answer)))["path"]).read_bytes() == BODY


def test_a_newer_part_of_the_same_length_starts_again(serve: Serve, scratch: Scratch) -> None:
    """A server that has no idea of If-Range sends what follows of something newer."""
    new = BODY[::-1]

    def answer(request: Request) -> None:
        if request.number == 1:
            request.send("200 OK", BODY[:1000], Content_Length=len(BODY), ETag='"one"')
        elif "range" in request.headers:
            span = f"bytes 1000-{len(BODY) - 1}/{len(BODY)}"
            request.send("206 Partial Content", new[1000:], Content_Range=span, ETag='"two"')
        else:
            request.send("200 OK", new, ETag='"two"')

    server = serve(answer)
    got = fetch(ask(server))
    assert (Path(got["path"]).read_bytes(), got["validator"]) == (new, '"two"')
    assert ["range" in request.headers for request in server.requests] == [False, True, False]


def test_a_part_that_nobody_asked_for(serve: Serve, scratch: Scratch) -> None:
    def whole(request: Request) -> None:
        span = f"bytes 0-{len(BODY) - 1}/{len(BODY)}"
        request.send("206 Partial Content", BODY, Content_Range=span, ETag='"one"')

    got = fetch(ask(serve(whole)))
    assert (Path(got["path"]).read_bytes(), got["validator"]) == (BODY, '"one"')
    Path(got["path"]).unlink()
    middle = serve(
        lambda r: r.send("206 Partial Content", BODY[9:], Content_Range=f"bytes 9-{len(BODY) - 1}/{len(BODY)}")
    )
    with pytest.raises(FetchError, match="sent another part than was asked for; given up after 4 tries"):
        fetch(ask(middle))


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "12, 12", "0x10", "twelve", ""])
def test_lengths_that_are_none_count_as_none(serve: Serve, scratch: Scratch, length: str) -> None:
    server = serve(lambda r: r.send("200 OK", BODY, Content_Length=length, ETag='"one"'))
    assert validate(ask(server))["bytes"] is None
    assert Path(fetch(ask(server))["path"]).read_bytes() == BODY


def test_declared_too_large_is_refused_before_the_body(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", Content_Length=10**12)
        request.hang()

    with pytest.raises(TooLarge, match=r"is 931 GiB, more than the [\d.]+ KiB allowed") as caught:
        fetch(ask(serve(answer), max_bytes=100_000))
    assert caught.value.facts["limit_bytes"] == 100_000
    assert scratch.names() == []


def test_endless_body_stops_at_the_cap(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", Content_Length=None)
        while True:
            request.conn.sendall(bytes(65536))

    with pytest.raises(TooLarge, match=r"more than the 1(\.0)? MiB allowed"):
        fetch(ask(serve(answer), max_bytes=1 << 20))
    assert scratch.names() == []


def test_stall_is_noticed(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", BODY[:1000], Content_Length=len(BODY))
        threading.Event().wait(0.5)

    with pytest.raises(FetchError, match="stalled; given up after"):
        fetch(ask(serve(answer), stall_s=0.1))


def test_drip_ends_at_the_deadline(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", Content_Length=None)
        while not request.closing.wait(0.05):
            request.conn.sendall(b"x")

    with pytest.raises(FetchError, match=r"not finished within 0.5 s"):
        fetch(ask(serve(answer), deadline_s=0.5))


def _drip(request: Request, piece: bytes) -> None:
    while not request.closing.wait(0.02):
        request.conn.sendall(piece)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"HTTP/1.1 200 O", b"K"),  # the first line
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),  # a header
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),  # heads without end
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", b" "),  # the length of a chunk
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
            b"X-A: b\r\n",
        ),  # what follows the last
    ],
)
def test_what_drips_without_end_ends_at_the_deadline(serve: Serve, scratch: Scratch, first: bytes, then: bytes) -> None:
    def answer(request: Request) -> None:
        request.conn.sendall(first)
        _drip(request, then)

    with pytest.raises(FetchError, match=r"not finished within 0.3 s|stalled|broke off"):
        fetch(ask(serve(answer), deadline_s=0.3))


def test_the_head_of_an_answer_has_less_time(serve: Serve, scratch: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("narrowboat.sources.client.HEAD_S", 0.2)

    def answer(request: Request) -> None:
        if request.number == 1:
            request.conn.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
            with contextlib.suppress(OSError):
                _drip(request, b"b")
        else:
            request.send("200 OK", BODY)

    assert fetch(ask(serve(answer)))["bytes"] == len(BODY)
    assert "stalled; next try" in scratch.log[0]


def test_no_server_no_name(scratch: Scratch, serve: Serve) -> None:
    server = serve(lambda r: None)
    server.close()
    with pytest.raises(FetchError, match=r"can't be reached: Connection refused; given up after 4 tries"):
        fetch(ask(server))
    with pytest.raises(FetchError, match="its name is not known here"):
        fetch({"url": "http://nowhere.invalid/a.mp3", "backoff_s": 0})


def test_empty_answer(serve: Serve, scratch: Scratch) -> None:
    with pytest.raises(SourceError, match="sent nothing"):
        fetch(ask(serve(lambda r: r.send("200 OK"))))
    assert scratch.names() == []


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"<!DOCTYPE html>" + b"x" * 5000, "text/html", "page"),
        (b"\xef\xbb\xbf \n<!-- a -->\n<html lang=en>" + b"x" * 5000, "audio/mpeg", "page"),
        (b'<?xml version="1.0"?>\n<!doctype HTML><html>', None, "page"),
        (b"expired", "audio/mpeg", "too_small"),
        (b"x" * 1023, None, "too_small"),  # by the name
    ],
)
def test_pages_in_the_place_of_a_file(
    serve: Serve, scratch: Scratch, body: bytes, kind: str | None, reason: str
) -> None:
    server = serve(lambda r: r.send("200 OK", body, Content_Type=kind))
    with pytest.raises(
        SourceError, match=r"sent a web page in the place of a file|too few for sound or video"
    ) as caught:
        fetch(ask(server))
    assert caught.value.facts["reason"] == reason
    assert (len(server.requests), scratch.names()) == (1, [])


@pytest.mark.parametrize(
    ("path", "body"), [("/a.pdf", b"%PDF-1.4 small"), ("/a.txt", b"<htm"), ("/a.mp3", b"x" * 1024)]
)
def test_what_is_small_and_no_page(serve: Serve, scratch: Scratch, path: str, body: bytes) -> None:
    assert Path(fetch(ask(serve(lambda r: r.send("200 OK", body)), path))["path"]).read_bytes() == body


def test_asked_to_stop_while_it_waits(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        scratch.context.stopping = True
        request.send("503 Busy", Retry_After="100")

    with pytest.raises(Interrupted):
        fetch(ask(serve(answer), deadline_s=1000))


def test_credentials_work_and_are_never_shown(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        known = "Basic " + base64.b64encode(b"me:s3cr/t").decode()
        request.send("404 x" if request.headers.get("authorization") == known else "401 x")

    server = serve(answer)
    url = server.url("/a.mp3?token=abc").replace("//", "//me:s3cr%2Ft@")
    with pytest.raises(SourceError, match="404") as caught:
        fetch({"url": url})
    for secret in ("s3cr", "me:", "abc"):
        assert secret not in str(caught.value)


def test_compressed_body_is_refused(serve: Serve, scratch: Scratch) -> None:
    with pytest.raises(SourceError, match="compressed"):
        fetch(ask(serve(lambda r: r.send("200 OK", BODY, Content_Encoding="gzip"))))


def test_asked_to_stop(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", BODY[:1000], Content_Length=len(BODY))
        scratch.context.stopping = True
        request.conn.sendall(BODY[1000:])

    with pytest.raises(Interrupted):
        fetch(ask(serve(answer)))


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ("Context(Path(sys.argv[2]))", "disk_full more of http"),
        # Room was given, and somebody else took it.
        ("Context(Path(sys.argv[2]), ask_room=lambda *_: None)", "disk_full no space left to write what is fetched"),
    ],
)
def test_full_disk_leaves_nothing(serve: Serve, tmp_path: Path, context: str, said: str) -> None:
    """On a file system of 300 KiB, where this machine lets one be made."""
    mount = ["unshare", "-Urm", "sh", "-ec", 'mount -t tmpfs -o size=300k none "$0"; exec "$@"', str(tmp_path)]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs leave to mount a small file system")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from narrowboat import context; from narrowboat.sources.http import fetch\n"
        f"context.enter(context.{context})\n"
        "try: fetch({'url': sys.argv[1]})\n"
        "except Exception as error: print(error.code, error, os.listdir(sys.argv[2]))\n"
    )
    server = serve(lambda r: r.send("200 OK", BODY, Content_Length=None))
    done = subprocess.run(
        [*mount, sys.executable, "-c", code, server.url(), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(said) and done.stdout.endswith("[]\n")


def test_no_space_for_the_declared_length(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        request.send("200 OK", Content_Length=1 << 60)

    with pytest.raises(DiskFull, match=r"needs 1048576 TiB in .* are free there, of which .* stay free") as caught:
        fetch(ask(serve(answer)))
    assert caught.value.facts["free_bytes"] > 0
    assert scratch.names() == []


def test_validate(serve: Serve, scratch: Scratch) -> None:
    server = serve(lambda r: r.send("200 OK", BODY, ETag='"v"', Content_Type="audio/mpeg"))
    got = validate(ask(server, "/a.mp3?k=1"))
    assert got == {
        "validator": '"v"',
        "bytes": len(BODY),
        "type": "audio/mpeg",
        "final_url": server.url("/a.mp3?…"),
    }
    assert [r.method for r in server.requests] == ["HEAD"]


def test_validate_where_head_is_refused(serve: Serve, scratch: Scratch) -> None:
    def answer(request: Request) -> None:
        if request.method == "HEAD":
            request.send("405 No")
        else:
            request.send("200 OK", Content_Length=1 << 40, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")
            request.hang()  # the body never comes, and nobody waits for it

    got = validate(ask(serve(answer)))
    assert got["validator"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert got["bytes"] == 1 << 40


def test_validate_404(serve: Serve, scratch: Scratch) -> None:
    with pytest.raises(SourceError, match="404 Not Found"):
        validate(ask(serve(lambda r: r.send("404 x"))))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_tls_and_a_certificate_that_is_not_trusted(serve: Serve, scratch: Scratch, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], capture_output=True, check=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = serve(lambda r: r.send("200 OK", BODY), tls)
    with pytest.raises(SourceError, match="shows a certificate that is not trusted"):
        fetch(ask(server))
    code = (
        "import sys; from pathlib import Path; from narrowboat import context\n"
        "from narrowboat.sources.http import fetch\n"
        "context.enter(context.Context(Path(sys.argv[2]))); print(fetch({'url': sys.argv[1]})['bytes'])\n"
    )
    command = [sys.executable, "-c", code, server.url(), str(tmp_path)]
    trusting = {**os.environ, "SSL_CERT_FILE": certificate}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=trusting)
    assert int(done.stdout) == len(BODY)
    assert (tmp_path / "source.mp3").read_bytes() == BODY
