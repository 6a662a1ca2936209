"""Secrets of addresses: in no file of the home but the owner's own one, in no output, on no terminal."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_harness import Cli, Done
from site_for_tests import Handler, Site, site

TINY = ("--model", "local:whisper-tiny.en")
#: Each planted in another place; all hold the word that is looked for.
PASSWORD, KEY, TARGET, LOST, OTHER = (f"hush{place}" for place in ("password", "key", "target", "lost", "other"))


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as made:
        yield made


def leaks(cli: Cli, *done: Done) -> list[str]:
    """Where a secret can be read: files, but for the one that it may be in, and what commands printed."""
    found = [
        str(path.relative_to(cli.folder))
        for path in cli.folder.rglob("*")
        if path.is_file() and path.parent != cli.home / "addresses" and b"hush" in path.read_bytes()
    ]
    return found + [text for one in done for text in (one.out, one.err) if "hush" in text]


def behind_a_password(page: bytes) -> dict[str, bytes]:
    def ask(request: Handler) -> None:
        known = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        if request.headers["Authorization"] != known:
            request.answer(401)
        else:
            request.answer(302, Location=f"/real.wav?token={TARGET}")

    return {"/talk.wav": ask, "/real.wav": page}  # type: ignore[dict-item]


def test_secrets_are_nowhere_but_in_the_owners_file(cli: Cli, web: Site, clip: Path) -> None:
    web.pages |= behind_a_password(clip.read_bytes())
    sources = [
        web.url(f"/talk.wav?key={KEY}", f"me:{PASSWORD}"),
        web.url(f"/lost.wav?key={LOST}"),
        f"ftp://me:{OTHER}@{web.host}/talk.wav",
        web.url(f"/has a space?key={OTHER}"),
    ]
    report = cli.folder / "report.json"
    done = cli.run("transcribe", *sources, *TINY, "--formats", "txt,json", "--report", report, "--json")
    ids = {job["source"]: job["id"] for job in done.json["jobs"]}
    assert ids.keys() == {
        web.url("/talk.wav?…"),
        web.url("/lost.wav?…"),
        f"ftp://{web.host}/talk.wav",
        web.url("/has a space?…"),
    }
    assert [job["state"] for job in done.json["jobs"]].count("done") == 1
    assert "best of times" in (cli.out / "talk.txt").read_text()
    shown = [cli.run("show", job_id, *json) for job_id in ids.values() for json in ((), ("--json",))]
    others = [cli.run("jobs"), cli.run("jobs", "--json"), cli.run("retry", ids[web.url("/lost.wav?…")])]
    wrong = [cli.run("show", sources[0]), cli.run("transcribe", "--wrong", sources[0]), cli.run(sources[0])]
    assert [one.code for one in wrong] == [2, 2, 2]
    assert leaks(cli, done, *shown, *others, *wrong) == []
    assert (cli.home / "addresses").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (cli.home / "addresses").iterdir())

    web.pages["/lost.wav"] = clip.read_bytes()
    again = cli.run("retry", ids[web.url("/lost.wav?…")])
    assert again.code == 0, again.err
    assert leaks(cli, again, cli.run("clean", "--all")) == []
    assert not any(b"hush" in path.read_bytes() for path in (cli.home / "addresses").iterdir())


def test_killed_on_the_way_a_retry_still_knows_the_address(cli: Cli, web: Site, clip: Path) -> None:
    def stall(request: Handler) -> None:
        request.answer(200, b"", Content_Length=1000)
        web.closing.wait(60)

    web.pages["/talk.wav"] = stall
    source = web.url(f"/talk.wav?key={KEY}", f"me:{PASSWORD}")
    running = cli.start("transcribe", source, *TINY)
    cli.until(lambda: ("GET", f"/talk.wav?key={KEY}") in web.requests, running)
    os.kill(running.process.pid, signal.SIGKILL)
    running.end()
    assert leaks(cli) == []

    web.pages |= behind_a_password(clip.read_bytes())
    (job_id,) = cli.jobs()
    again = cli.run("retry", job_id)
    assert again.code == 0, again.err
    assert leaks(cli, again) == []


def test_two_addresses_that_differ_in_their_query_are_two_jobs(cli: Cli, web: Site, text_mp3: Path) -> None:
    web.pages["/get"], web.types["/get"] = text_mp3.read_bytes(), {"Content-Type": "audio/mpeg"}
    sources = [web.url(f"/get?{query}") for query in ("episode=1&k=a", "episode=2&k=a", "k=a", "k=b")]
    listed = cli.run("transcribe", *sources, *TINY, "--json").json["jobs"]
    shown = [f"/get?episode={number}&…" for number in (1, 2)] + ["/get?…"] * 2
    assert sorted(job["source"] for job in listed) == sorted(map(web.url, shown))
    assert sorted(path for method, path in web.requests if method == "GET") == [
        "/get?episode=1&k=a",
        "/get?episode=2&k=a",
        "/get?k=a",
        "/get?k=b",
    ]
