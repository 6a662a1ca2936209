"""``narrowboat sources``: what failed is listed and can be forgotten, beside a run and without one."""

from __future__ import annotations

from collections.abc import Callable

from command_harness import Cli
from loopback import Request, Server

TINY = ("--model", "local:whisper-tiny.en")


def test_listed_left_alone_and_forgotten(cli: Cli, serve: Callable[..., Server]) -> None:
    assert "no source of" in cli.run("sources").out
    server = serve(lambda request: request.send("404 Not Found"))
    url = server.url("/a.mp3?token=sesame")
    assert cli.run("transcribe", url, *TINY).code == 1
    asked = len(server.requests)

    again = cli.run("transcribe", url, *TINY)
    assert again.code == 1
    assert (
        f"✗ {server.url('/a.mp3?…')}: {server.url('/a.mp3?…')} failed and is left alone for 24 h 0 min more"
        in again.err
    )
    assert "answered 404 Not Found (`narrowboat retry` or --again asks now" in again.err
    assert len(server.requests) == asked

    listed = cli.run("sources")
    assert listed.out.splitlines()[0].split() == ["id", "failed", "last", "is", "source"]
    assert "1 ×" in listed.out and "left alone for 23 h 59 min" in listed.out and "answered 404" in listed.out
    (source,) = cli.run("sources", "--json").json["sources"]
    assert (source["source"], source["resting"]) == (server.url("/a.mp3?…"), True)
    assert "sesame" not in listed.out

    assert cli.run("sources", "--forget", "https://example.org/other.mp3").out.startswith("no such source has failed")
    assert cli.run("sources", "--forget", source["id"]).out == f"forgot that {server.url('/a.mp3?…')} failed\n"
    cli.run("transcribe", url, *TINY)
    assert len(server.requests) == 2 * asked
    cleaned = cli.run("clean", "--all", "--sources", "--json").json
    assert cleaned["sources"] == [server.url("/a.mp3?…")]


def test_while_another_terminal_runs_jobs(cli: Cli, serve: Callable[..., Server]) -> None:
    def answer(request: Request) -> None:
        if request.path == "/gone.mp3" or request.method == "HEAD":
            request.send("404 Not Found")
        else:
            request.hang()

    server = serve(answer)
    running = cli.start("transcribe", server.url("/gone.mp3"), server.url("/slow.mp3"), *TINY)
    cli.until(lambda: bool(cli.run("sources", "--json").json["sources"]), running)
    forgotten = cli.run("sources", "--forget", server.url("/gone.mp3"), "--json")
    assert forgotten.json["forgotten"] == [server.url("/gone.mp3")]
    assert cli.run("sources", "--json").json["sources"] == []
    running.interrupt()
    running.end()
