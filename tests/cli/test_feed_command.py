"""A feed on the command line: what is said of it, what becomes of its episodes, what is wrong with the options."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_harness import Cli
from feeds_for_tests import Item, feed
from site_for_tests import Site, site
from test_secrets import TINY, leaks


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as made:
        made.types["/feed"] = {"Content-Type": "application/rss+xml"}
        yield made


def test_the_newest_episode_of_a_feed(cli: Cli, web: Site, clip: Path) -> None:
    web.pages["/1.wav"] = clip.read_bytes()
    items = [Item("No 1: the start", "/1.wav?key=hush", 1, guid="https://h/?key=hush"), Item("No 0", "/0.wav", 0)]
    web.pages["/feed"] = feed(*items)
    command = ("transcribe", web.url("/feed?key=hush", "me:hush"), "--latest", "1", *TINY, "--formats", "txt,json")
    done = cli.run(*command, "--json")
    assert done.code == 0, done.err
    assert "A show: 2 episodes, 1 of them asked for, 1 new" in done.err
    (job,) = done.json["jobs"]
    assert (job["source"], job["label"]) == ("No 1: the start · A show", None)
    assert sorted(path.name for path in cli.out.iterdir()) == ["No 1: the start.json", "No 1: the start.txt"]
    assert json.loads((cli.out / "No 1: the start.json").read_text())["episode"] == {
        "title": "No 1: the start",
        "feed": "A show",
        "feed_url": web.url("/feed?…"),
        "guid": "https://h/?…",
        "published": "2023-11-15T22:13:20Z",
        "link": "https://h/?…",
    }

    web.pages["/feed"] = feed(*(Item(item.name, "/moved" + item.url, item.day, item.guid) for item in items))
    again = cli.run(*command)
    assert again.code == 0, again.err
    assert "A show: 2 episodes, 1 of them asked for, 0 new" in again.err
    assert "✓ No 1: the start · A show → out/No 1: the start.json, out/No 1: the start.txt · already done" in again.out
    shown = [cli.run("show", job["id"], *more) for more in ((), ("--json",))]
    assert leaks(cli, done, again, *shown, cli.run("jobs")) == []


def test_feeds_without_anything_to_listen_to(cli: Cli, web: Site) -> None:
    web.pages["/feed"] = feed()
    done = cli.run("transcribe", web.url("/feed"))
    assert (done.code, "A show: it is empty" in done.err) == (0, True)
    web.pages["/feed"] = feed(Item("a", "/a.pdf", type="application/pdf"))
    assert "A show: 1 entry, none with anything to listen to" in cli.run("transcribe", web.url("/feed")).err


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--latest", "0", "--latest: '0' is no number above zero"),
        ("--since", "yesterday", "--since: 'yesterday' is neither a date nor a length of time"),
        ("--since", "2026-02-30", "--since: '2026-02-30' is no day of the calendar"),
        ("--match", "/(/", "--match: /(/ is no regular expression"),
        ("--match", " ", "--match: the value is empty"),
    ],
)
def test_options_that_make_no_sense(cli: Cli, option: str, value: str, told: str) -> None:
    done = cli.run("transcribe", "https://example.org/feed", option, value)
    assert done.code == 2
    assert told in done.err
