"""Feeds as jobs: what is taken for a feed, which episodes, each once, whatever becomes of its address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from boxes import beside
from feeds_for_tests import Item, feed
from site_for_tests import Handler, Site, site

from narrowboat import Job, Pipeline, Runner
from narrowboat.errors import NarrowboatError
from narrowboat.runner import intake
from narrowboat.runner.feeds import Taken, Wanted

RSS = {"Content-Type": "application/rss+xml; charset=utf-8"}
SOUND = b"RIFF" + bytes(2000)


@dataclass
class Done:
    """What one run made of one source."""

    taken: Taken
    states: dict[str, str]
    errors: dict[str, NarrowboatError]

    @property
    def names(self) -> list[str]:
        return sorted(self.states)


class Home:
    """Runs a pipeline that keeps what it fetched, for one test after another: each has a host of its own."""

    def __init__(self, folder: Path) -> None:
        self.fetched: dict[str, bytes] = {}
        self.options: dict[str, Any] = {}
        self.pipeline = Pipeline("keep", self._workflow)
        self.folder = folder
        self._loop = asyncio.Runner()
        self._runner = self._loop.run(Runner(beside("512M"), home=folder / "home").__aenter__())

    async def _workflow(self, job: Job) -> None:
        self.fetched[job.name] = Path(await job.fetch()).read_bytes()

    def take(self, *sources: str, wanted: Wanted | None = None) -> Done:
        return self._loop.run(asyncio.wait_for(self._take(sources, wanted or Wanted()), 60))

    async def _take(self, sources: Sequence[str], wanted: Wanted) -> Done:
        self.fetched.clear()
        ids: list[str] = []
        for source in sources:
            taken = await self._runner.feeds.submit(self.pipeline, source, self.options, wanted)
            ids += taken.ids
        await self._runner.wait(ids)
        entries = {entry.source.shown: entry for entry in self._runner.entries if entry.id in ids}
        states = {name: entry.state for name, entry in entries.items()}
        return Done(taken, states, {name: entry.error for name, entry in entries.items() if entry.error})

    def close(self) -> None:
        self._loop.run(self._runner.__aexit__(None, None, None))
        self._loop.close()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("feeds"))
    yield made
    made.close()


@pytest.fixture
def home(lasting: Home) -> Home:
    lasting.options = {}
    return lasting


HOSTS = (f"127.0.77.{number}" for number in range(1, 255))


@pytest.fixture
def web() -> Iterator[Site]:
    with site(next(HOSTS)) as made:
        made.types["/feed"] = RSS
        yield made


def episodes(*days: int, url: str = "/{}.mp3") -> list[Item]:
    return [Item(f"No {day}", url.format(day), day) for day in days]


def put(web: Site, *items: Item, sound: bytes = SOUND, **more: str) -> str:
    """A feed with its episodes; its address."""
    web.pages["/feed"] = feed(*items, **more)
    for item in items:
        web.pages.setdefault(item.url.partition("?")[0], sound)
    return web.url("/feed")


# -- what is a feed -------------------------------------------------------------------------------------------------


def test_ordinary_media_costs_no_further_request(home: Home, web: Site) -> None:
    web.pages |= {"/a.mp3": SOUND, "/b": SOUND}
    web.types |= {"/a.mp3": {"Content-Type": "application/octet-stream"}, "/b": {"Content-Type": "audio/mpeg"}}
    done = home.take(web.url("/a.mp3"), web.url("/b"))
    assert set(done.states.values()) == {"done"}
    assert web.requests == [("HEAD", "/a.mp3"), ("HEAD", "/b"), *[r for r in web.requests if r[0] == "GET"]]
    assert [path for method, path in web.requests if method == "GET"].count("/a.mp3") == 1
    assert len(web.requests) == 4


@pytest.mark.parametrize("kind", ["application/rss+xml", "text/xml; charset=utf-8", "text/plain", "text/html", None])
def test_a_feed_is_told_by_its_type_and_else_by_its_content(home: Home, web: Site, kind: str | None) -> None:
    source = put(web, *episodes(1, 2))
    web.types["/feed"] = {"Content-Type": kind} if kind else {}
    done = home.take(source)
    assert done.states == {"No 1 · A show": "done", "No 2 · A show": "done"}
    assert (len(done.taken.ids), done.taken.new) == (2, 2)


def test_media_that_says_nothing_of_itself(home: Home, web: Site) -> None:
    web.pages["/get"] = SOUND
    assert home.take(web.url("/get?id=1")).states == {web.url("/get?id=1"): "done"}
    assert home.fetched[web.url("/get?id=1")] == SOUND


def test_a_file_that_is_a_feed(home: Home, web: Site, tmp_path: Path) -> None:
    put(web, *episodes(1))
    for name in ("show.xml", "show", "show.txt"):
        (tmp_path / name).write_bytes(feed(Item("No 1", web.url("/1.mp3"))))
        assert home.take(str(tmp_path / name)).names == ["No 1 · A show"]


def test_a_file_that_is_no_feed_is_what_it_is(home: Home, tmp_path: Path) -> None:
    (tmp_path / "notes.dat").write_bytes(SOUND)
    assert home.take(str(tmp_path / "notes.dat")).states == {str(tmp_path / "notes.dat"): "done"}


def test_a_web_page_names_its_feed(home: Home, web: Site) -> None:
    web.pages["/show"] = b'<html><link rel="alternate" type="application/rss+xml" href="/feed"></html>'
    web.types["/show"] = {"Content-Type": "text/html"}
    (error,) = home.take(web.url("/show")).errors.values()
    assert error.message == f"{web.url('/show')} is a web page and no feed"
    assert error.hint == f"its feed is {web.url('/feed')}"


def test_with_episodes_asked_for_it_must_be_a_feed(home: Home, web: Site, tmp_path: Path) -> None:
    web.pages["/a.mp3"] = SOUND
    (tmp_path / "a.wav").write_bytes(SOUND)
    for source in (web.url("/a.mp3"), str(tmp_path / "a.wav")):
        (error,) = home.take(source, wanted=Wanted(latest=1)).errors.values()
        assert error.message.endswith("is no feed")


@pytest.mark.parametrize(("status", "code"), [(404, "source"), (503, "fetch")])
def test_a_feed_that_cannot_be_had_is_a_job_that_failed(home: Home, web: Site, status: int, code: str) -> None:
    web.pages["/feed"] = lambda request: request.answer(status, Retry_After=1000)
    (error,) = home.take(web.url("/feed?key=hush"), wanted=Wanted(latest=1)).errors.values()
    assert (error.code, f"answered {status}" in error.message) == (code, True)
    assert "hush" not in str(error)


def test_a_broken_feed_takes_no_other_source_along(home: Home, web: Site) -> None:
    put(web, *episodes(1))
    done = home.take(web.url("/nothing.xml"), web.url("/feed"))
    assert done.states == {web.url("/nothing.xml"): "failed", "No 1 · A show": "done"}


# -- which episodes, and each once ----------------------------------------------------------------------------------


def test_what_is_asked_for(home: Home, web: Site) -> None:
    source = put(web, *episodes(3, 2, 1))
    assert home.take(source, wanted=Wanted(latest=2)).names == ["No 2 · A show", "No 3 · A show"]
    since = 1_700_000_000 + 86400 * 2.5
    assert home.take(source, wanted=Wanted(since=since)).names == ["No 3 · A show"]
    done = home.take(source, wanted=Wanted(match="/ 1$/"))
    assert (done.names, done.taken.new) == (["No 1 · A show"], 1)
    assert done.taken.feed is not None and done.taken.feed.episodes == 3


def test_an_episode_is_done_once_whatever_its_address_becomes(home: Home, web: Site) -> None:
    source = put(web, *episodes(1, 2, url="/{}.mp3?token=1"))
    assert home.take(source).taken.new == 2
    again = put(web, *episodes(1, 2, url="/elsewhere/{}.mp3?token=2"), *episodes(3))
    done = home.take(again)
    assert (done.taken.new, set(done.states.values()), list(home.fetched)) == (1, {"done"}, ["No 3 · A show"])


def test_other_options_are_other_jobs(home: Home, web: Site) -> None:
    source = put(web, *episodes(1))
    home.take(source)
    home.options = {"model": "other"}
    assert home.take(source).taken.new == 1


def test_one_guid_in_two_feeds_is_two_episodes(home: Home, web: Site) -> None:
    source = put(web, Item("one", "/1.mp3", guid="1"))
    web.pages["/other"] = feed(Item("one", "/1.mp3", guid="1"), title="Another show")
    web.types["/other"] = RSS
    assert home.take(source, web.url("/other")).names == ["one · A show", "one · Another show"]


def test_a_feed_that_moves_is_known_by_its_own_guid(home: Home, web: Site) -> None:
    source = put(web, *episodes(1), guid="917393e3-1b1e-5cef-ace4-edaa54e1f810")
    home.take(source)
    web.pages["/moved"], web.types["/moved"] = web.pages["/feed"], RSS
    assert home.take(web.url("/moved")).taken.new == 0


def test_a_feed_that_gets_a_guid_stays_what_it_was(home: Home, web: Site) -> None:
    source = put(web, *episodes(1))
    home.take(source)
    put(web, *episodes(1), guid="917393e3-1b1e-5cef-ace4-edaa54e1f810")
    assert home.take(source).taken.new == 0


def test_another_password_is_no_other_feed(home: Home, web: Site) -> None:
    put(web, *episodes(1))
    home.take(web.url("/feed", "me:one"))
    assert home.take(web.url("/feed", "me:two")).taken.new == 0


def test_titles_that_are_no_file_names_and_that_are_the_same(tmp_path: Path, web: Site) -> None:
    items = [Item("../A/B: 2.5", "/1.mp3", 1, "1"), Item("../A/B: 2.5", "/2.mp3", 2, "2"), Item("", "/3.mp3", 3, "3")]

    async def main() -> list[str]:
        async def nothing(job: Job) -> None:
            pass

        pipeline = Pipeline("nothing", nothing, formats=("txt",))
        async with Runner(beside("512M"), home=tmp_path / "home") as runner:
            taken = await runner.feeds.submit(
                pipeline, put(web, *items), {}, Wanted(), out=tmp_path / "out", formats=["txt"]
            )
            outputs = [output for job_id in taken.ids for output in await runner.journal.outputs(job_id)]
            return [str(output.path.relative_to(tmp_path / "out")) for output in outputs]

    assert asyncio.run(main()) == ["3.txt", "_A_B: 2.5.txt", "_A_B: 2.5-2.txt"]


# -- addresses that run out -----------------------------------------------------------------------------------------


def expiring(web: Site, status: int, *, renewed: bool) -> str:
    """A feed whose addresses have run out since it was read; read again it has others, or the same."""
    times = []

    def answer(request: Handler) -> None:
        times.append(request.command)
        key = times.count("GET") if renewed else 1
        request.answer(200, feed(*episodes(1, 2, url=f"/{{}}.mp3?key={key}")), **RSS)

    def sound(request: Handler) -> None:
        request.answer(200, SOUND) if "key=2" in request.path else request.answer(status)

    web.pages |= {"/feed": answer, "/1.mp3": sound, "/2.mp3": sound}
    return web.url("/feed")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_address_that_has_run_out_is_looked_up_again_in_the_feed(home: Home, web: Site, status: int) -> None:
    done = home.take(expiring(web, status, renewed=True))
    assert set(done.states.values()) == {"done"}
    assert web.asked("GET", "/feed") == 2  # once more for both


def test_when_the_feed_names_the_same_address_the_error_stands(home: Home, web: Site) -> None:
    done = home.take(expiring(web, 403, renewed=False))
    assert set(done.states.values()) == {"failed"}
    error = done.errors["No 1 · A show"]
    assert error.message == f"{web.url('/1.mp3')}?… answered 403 Forbidden"
    assert error.hint == "its feed still names this address"
    assert (web.asked("GET", "/feed"), web.asked("GET", "/1.mp3?key=1")) == (2, 1)


def test_when_the_feed_has_the_episode_no_more(home: Home, web: Site) -> None:
    source = put(web, *episodes(1))
    first = web.pages["/feed"]

    def gone(request: Handler) -> None:
        web.pages["/feed"] = feed(*episodes(2))
        request.answer(404)

    web.pages["/1.mp3"] = gone
    assert home.take(source).errors["No 1 · A show"].hint == "its feed has it no more"
    web.pages["/feed"] = first


def test_other_failures_do_not_ask_the_feed(home: Home, web: Site) -> None:
    source = put(web, *episodes(1))
    web.pages["/1.mp3"] = b""
    assert "sent nothing" in home.take(source).errors["No 1 · A show"].message
    assert web.asked("GET", "/feed") == 1


def test_a_retry_after_a_restart_knows_the_episode(tmp_path: Path, web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    source = put(web, *episodes(1))
    web.pages["/1.mp3"] = lambda request: request.answer(403)
    before = Home(tmp_path)
    (job_id,) = before.take(source).taken.ids
    before.close()
    put(web, *episodes(1, url="/new/{}.mp3?key=2"))

    async def retry() -> tuple[str, str]:
        async with Runner(beside("512M"), home=tmp_path / "home") as runner:
            await runner.retry(job_id)
            await runner.wait()
            (entry,) = runner.entries
            return entry.source.shown, entry.state

    monkeypatch.setattr(intake, "find_pipeline", lambda name: before.pipeline)
    assert asyncio.run(retry()) == ("No 1 · A show", "done")


def test_what_is_not_there_is_left_alone_until_its_feed_names_another_address(home: Home, web: Site) -> None:
    source = put(web, *episodes(1, url="/{}.mp3?key=1"))
    web.pages["/1.mp3"] = lambda request: request.answer(404)
    home.take(source)
    put(web, *episodes(1, url="/{}.mp3?key=2"))
    web.pages["/1.mp3"] = lambda request: request.answer(404)
    assert home.take(source).errors["No 1 · A show"].code == "source_rests"
    assert web.asked("GET", "/1.mp3?key=2") == 0
    put(web, *episodes(1, url="/found/{}.mp3"))
    assert home.take(source).states == {"No 1 · A show": "done"}
