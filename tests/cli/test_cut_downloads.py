"""A download that was cut off goes on where it was, whatever cut it off."""

from __future__ import annotations

from collections.abc import Callable

from command_harness import Cli
from loopback import Request, Server

TINY = ("--model", "local:whisper-tiny.en")
BODY = b"this is no sound\n" * 100_000
HALF = len(BODY) // 2


def test_a_killed_supervisor_goes_on_with_the_part(cli: Cli, serve: Callable[..., Server]) -> None:
    held = True

    def answer(request: Request) -> None:
        if "range" in request.headers:
            span = f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"
            request.send("206 Partial Content", BODY[HALF:], Content_Range=span, ETag='"one"')
        elif request.method == "HEAD" or not held:
            request.send("200 OK", BODY, ETag='"one"')
        else:
            request.send("200 OK", BODY[:HALF], Content_Length=len(BODY), ETag='"one"')
            request.conn.recv(1)  # until the worker is gone

    server = serve(answer)
    running = cli.start("transcribe", server.url(), *TINY)
    part = cli.home / "scratch" / "j0001" / "source.part"
    cli.until(lambda: part.exists() and part.stat().st_size == HALF, running)
    running.process.kill()
    running.process.wait()
    held = False

    done = cli.run("transcribe", server.url(), *TINY)
    assert "holds no sound" in done.err  # all of it came, and was looked at
    assert [request.headers.get("range") for request in server.requests if request.method == "GET"] == [
        None,
        f"bytes={HALF}-",
    ]
    assert not list((cli.home / "scratch").glob("*"))
