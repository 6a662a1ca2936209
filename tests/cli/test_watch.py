"""``narrowboat watch``: once as cron has it, and until somebody ends it, with another terminal beside it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_harness import Cli
from feeds_for_tests import Item, feed
from site_for_tests import Site, site
from test_secrets import TINY, leaks

from narrowboat.cli.commands.watch import found_in, when
from narrowboat.runner.rounds import Looked


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as made:
        made.types["/feed"] = {"Content-Type": "application/rss+xml"}
        yield made


def put(web: Site, clip: Path, *days: int) -> None:
    web.pages["/feed"] = feed(*(Item(f"No {day}", f"/{day}.wav?key=hush", day) for day in days))
    for day in days:
        web.pages[f"/{day}.wav"] = clip.read_bytes()


def test_once_and_once_again(cli: Cli, web: Site, clip: Path) -> None:
    put(web, clip, 2, 1)
    command = ("watch", web.url("/feed?key=hush"), web.url("/lost"), "--once", "--keep", "1", *TINY)
    first = cli.run(*command, "--json")
    assert first.code == 1  # for the feed that is not there
    assert "A show: 2 episodes, the newest 1 taken" in first.err
    assert f"✗ {web.url('/lost')}: {web.url('/lost')} answered 404 Not Found" in first.err
    told = {told["feed"]: (told["title"], told["new"], told["error"] is None) for told in first.json["feeds"]}
    assert told == {web.url("/feed?…"): ("A show", 1, True), web.url("/lost"): (web.url("/lost"), 0, False)}
    assert [path.name for path in cli.out.iterdir()] == ["No 2.txt"]

    put(web, clip, 3, 2, 1)
    again = cli.run(*command)
    assert "A show: 1 new" in again.err
    assert "A show: deleted out/No 2.txt; newer ones are kept" in again.err
    assert [path.name for path in cli.out.iterdir()] == ["No 3.txt"]
    assert leaks(cli, first, again, cli.run("jobs", "--json")) == []


def test_until_somebody_ends_it(cli: Cli, web: Site, clip: Path) -> None:
    put(web, clip, 1)
    running = cli.start("watch", web.url("/feed"), "--every", "1h", *TINY)
    running.wait_for("next look at ")
    running.wait_for("✓ No 1 · A show")
    assert [job["state"] for job in cli.jobs().values()] == ["done"]
    refused = cli.run("transcribe", "x.wav")
    assert f"is held by process {running.process.pid}" in refused.err
    running.process.send_signal(signal.SIGTERM)
    code, said = running.end()
    assert code == 0, said
    assert "in 1 h 0 min" in said or "in 59 min" in said


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--every", "5s"], "--every: '5s' is less than a minute"),
        (["--keep", "0"], "--keep: '0' is no number above zero"),
        (["--model", "local:nothing"], "nothing"),
    ],
)
def test_options_that_make_no_sense(cli: Cli, options: list[str], told: str) -> None:
    done = cli.run("watch", "https://example.org/feed", *options)
    assert (done.code, told in done.err) == (2, True)


def test_a_feed_that_is_no_address(cli: Cli) -> None:
    for feed_given, told in (("ftp://h/feed", "ftp is not supported"), ("nothing.xml", "does not exist")):
        done = cli.run("watch", feed_given)
        assert done.code in (1, 2)
        assert told in done.err


def test_words() -> None:
    assert found_in(Looked("", 1, 1, 0, first=True)) == "1 episode, the newest 1 taken"
    assert found_in(Looked("", 0, 0, 0, first=True)) == "it has nothing to listen to yet"
    assert found_in(Looked("", None, 0, 2, first=False)) == "nothing new, 2 tried again"
    assert found_in(Looked("", 9, 3, 0, first=False, warning="it is cut")) == "3 new; it is cut"
    noon = 1_700_000_000.0
    assert when(noon + 86400, noon).endswith(", in 24 h 0 min") and when(noon + 86400, noon)[3:7] == "2023"
