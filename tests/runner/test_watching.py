"""Watching feeds: what is new, once; the newest kept; a feed that fails; going on after a stop. Time is told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside
from feeds_for_tests import Item, feed
from site_for_tests import Handler, Site, site

from narrowboat import Job, Pipeline, Runner, Step
from narrowboat.errors import SourceError
from narrowboat.journal.known_feeds import KnownFeeds
from narrowboat.runner import intake
from narrowboat.runner.rounds import Looked, Plan
from narrowboat.runner.watching import Teller, Watched, Watching

LETTERS = Step(steps.letters, memory="20M")
WRITE = Step(steps.write_letters, memory="20M")
DAY = 86400.0


async def workflow(job: Job) -> None:
    at = {"path": await job.fetch(), "mark": job.options["mark"]}
    async with contextlib.aclosing(job.stream(LETTERS, {}, at=at)) as letters:
        async for _ in letters:
            pass
    await job.write(WRITE, {}, at={"items": await job.export(LETTERS)})


PIPELINE = Pipeline("letters", workflow, formats=("upper", "lower"), identity=lambda _: None)


class Over(Exception):
    """The time that a test is about is over."""


@dataclass
class Time:
    """Passes when somebody sleeps; what is to happen then happens when all jobs have ended."""

    now: float = 1_000_000.0
    then: list[tuple[float, Callable[[], object]]] = field(default_factory=list)
    runner: Runner | None = None
    slept: list[float] = field(default_factory=list)

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        self.then.append((self.now + seconds, what))

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert self.runner is not None
        await self.runner.wait()
        await asyncio.sleep(0)  # nobody waits for real
        self.now += seconds
        while self.then and self.then[0][0] <= self.now:
            self.then.pop(0)[1]()
        if not self.then:
            raise Over


@dataclass
class Place:
    """A home in which feeds are watched, as one command after another would."""

    folder: Path
    time: Time = field(default_factory=Time)
    told: list[str] = field(default_factory=list)

    def watch(self, *feeds: str, once: bool = False, every_s: float = DAY, **more: Any) -> None:
        """Until all that is to happen has happened; with ``once`` until all is done."""
        more = {"formats": ("upper",), "out": self.folder / "out", **more}
        plan = Plan(PIPELINE, {"mark": str(self.folder / "mark")}, **more)

        async def main() -> None:
            async with Runner(beside("512M"), home=self.folder / "home") as runner:
                self.time.runner = runner
                watching = Watching(
                    runner, feeds, plan, every_s, self.teller, clock=self.time.clock, sleep=self.time.sleep
                )
                with contextlib.suppress(Over):
                    await watching.run(once=once)
                self.entries = len(runner.entries)

        asyncio.run(asyncio.wait_for(main(), 60))

    @property
    def teller(self) -> Teller:
        def looked(feed: Watched, found: Looked) -> None:
            first = ", first" if found.first else ""
            self.told.append(f"{feed.title}: {found.episodes}, {found.new} new, {found.again} again{first}")

        def failed(feed: Watched, wait_s: float) -> None:
            assert feed.error is not None
            self.told.append(f"{feed.error.message.partition(' answered ')[2][:3]}, next in {wait_s:.0f}")

        return Teller(
            resumed=lambda number: self.told.append(f"{number} resumed"),
            looked=looked,
            failed=failed,
            deleted=lambda feed, paths: self.told.append(f"deleted {', '.join(path.name for path in paths)}"),
            waits=lambda until: self.told.append(f"until +{until - 1_000_000.0:.0f}"),
        )

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "out").glob("*"))

    @property
    def said(self) -> list[str]:
        """What was told, without the waiting."""
        return [line for line in self.told if not line.startswith("until")]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as made:
        made.types["/feed"] = {"Content-Type": "application/rss+xml"}
        yield made


def put(web: Site, *days: int, path: str = "/feed", **more: Any) -> None:
    """A feed with an episode of each of these days, the newest first."""
    items = [Item(f"No {day}", f"/{day}", day) for day in sorted(days, reverse=True)]
    web.pages[path] = feed(*items, **more)
    for day in days:
        web.pages.setdefault(f"/{day}", f"sound of {day}".encode())


def test_the_newest_at_first_and_then_what_is_new(place: Place, web: Site) -> None:
    put(web, 1, 2, 3)
    place.time.after(DAY, lambda: put(web, 1, 2, 3, 4, 5))
    place.time.after(2.5 * DAY, lambda: None)
    place.watch(web.url("/feed"))
    assert place.told == [
        "A show: 3, 1 new, 0 again, first",
        "until +86400",
        "A show: 5, 2 new, 0 again",
        "until +172800",
        "A show: 5, 0 new, 0 again",
        "until +259200",
    ]
    assert place.files() == ["No 3.upper", "No 4.upper", "No 5.upper"]
    assert place.entries == 0  # nothing is kept in memory of what has ended


def test_more_at_first_and_only_what_matches(place: Place, web: Site) -> None:
    put(web, *range(1, 13))
    place.watch(web.url("/feed"), once=True, latest=2, match="/1/")
    assert place.files() == ["No 11.upper", "No 12.upper"]
    place.watch(web.url("/feed"), once=True, latest=2, match="/1/")
    assert place.told == ["A show: 12, 2 new, 0 again, first", "A show: 12, 0 new, 0 again"]


def test_an_unchanged_feed_is_not_sent_again(place: Place, web: Site) -> None:
    put(web, 1)

    def answer(request: Handler) -> None:
        if request.headers["If-None-Match"] == '"1"':
            request.answer(304, Content_Length=None)
        else:
            request.answer(200, feed(Item("No 1", "/1")), ETag='"1"')

    web.pages["/feed"] = answer
    place.watch(web.url("/feed"), once=True)
    place.watch(web.url("/feed"), once=True)
    assert place.told == ["A show: 1, 1 new, 0 again, first", f"{web.url('/feed')}: None, 0 new, 0 again"]


def test_only_the_newest_are_kept_and_only_ours_are_deleted(place: Place, web: Site) -> None:
    put(web, 1, 2)
    (place.folder / "out").mkdir()
    (place.folder / "out" / "No 1.lower").write_text("mine")

    def change() -> None:
        put(web, 1, 2, 3, 4)
        changed = place.folder / "out" / "No 2.upper"
        changed.write_text("SOUND OF X")  # as long as it was
        os.utime(changed, (time.time() + 60, time.time() + 60))

    place.time.after(DAY, change)
    place.time.after(2 * DAY, lambda: put(web, 1, 2, 3, 4, 5))
    place.time.after(3.5 * DAY, lambda: None)
    place.watch(web.url("/feed"), latest=2, keep=2)
    assert place.said == [
        "A show: 2, 2 new, 0 again, first",
        "A show: 4, 2 new, 0 again",
        "deleted No 1.upper",
        "A show: 5, 1 new, 0 again",
        "deleted No 3.upper",
        "A show: 5, 0 new, 0 again",
    ]
    assert place.files() == ["No 1.lower", "No 2.upper", "No 4.upper", "No 5.upper"]


def test_no_more_are_taken_at_a_time_than_are_kept(place: Place, web: Site) -> None:
    put(web, 1)
    place.time.after(DAY, lambda: put(web, *range(1, 9)))
    place.time.after(1.5 * DAY, lambda: None)
    place.watch(web.url("/feed"), keep=2)
    assert place.said == ["A show: 1, 1 new, 0 again, first", "A show: 8, 2 new, 0 again", "deleted No 1.upper"]


def test_outputs_that_somebody_else_asked_for_stay(place: Place, web: Site) -> None:
    put(web, 1, 2)
    place.watch(web.url("/feed"), once=True, out=place.folder / "elsewhere", latest=2)
    put(web, 1, 2, 3)
    place.watch(web.url("/feed"), once=True, keep=1)
    assert (place.files(), "deleted" in str(place.told)) == (["No 3.upper"], False)
    assert len(list((place.folder / "elsewhere").iterdir())) == 2


def test_a_feed_that_fails_is_asked_again_sooner_and_the_others_go_on(place: Place, web: Site) -> None:
    put(web, 1)
    put(web, 7, path="/other", title="Other")
    fails = [503, 503, 500]

    def answer(request: Handler) -> None:
        # each look tries four times by itself; what asks for a wait that is too long is tried once
        request.answer(fails.pop(0), Retry_After=200) if fails else request.answer(200, feed(Item("No 1", "/1")))

    web.pages["/feed"] = answer
    place.time.after(900, lambda: None)
    place.watch(web.url("/feed"), web.url("/other"))
    *others, last, found = place.said
    assert others == ["503, next in 200", "Other: 1, 1 new, 0 again, first", "503, next in 200"]
    assert last in {f"500, next in {seconds}" for seconds in range(200, 241)}
    assert found == "A show: 1, 1 new, 0 again, first"
    assert place.files() == ["No 1.upper", "No 7.upper"]


def test_feeds_that_never_were_there_are_told_at_once(place: Place, web: Site) -> None:
    with pytest.raises(SourceError, match="answered 404"):
        place.watch(web.url("/feed"), web.url("/other"))
    assert place.files() == []


def test_a_feed_that_was_there_is_waited_for(place: Place, web: Site) -> None:
    put(web, 1)
    place.watch(web.url("/feed"), once=True)
    del web.pages["/feed"]
    place.time.after(DAY, lambda: put(web, 1, 2))
    place.time.after(1.5 * DAY, lambda: None)
    place.watch(web.url("/feed"))
    assert place.said[1:] == ["404, next in 86400", "A show: 2, 1 new, 0 again"]


def test_an_episode_that_could_not_be_fetched_is_tried_again_at_the_next_look(place: Place, web: Site) -> None:
    put(web, 1)
    web.pages["/1"] = lambda request: request.answer(403)
    place.time.after(DAY, lambda: None)
    place.time.after(2 * DAY, lambda: web.pages.update({"/1": b"sound"}))
    place.time.after(4.5 * DAY, lambda: None)
    place.watch(web.url("/feed"))
    assert place.said == [
        "A show: 1, 1 new, 0 again, first",
        "A show: 1, 0 new, 1 again",
        "A show: 1, 0 new, 1 again",
        "A show: 1, 0 new, 0 again",
        "A show: 1, 0 new, 0 again",
    ]
    assert place.files() == ["No 1.upper"]


def test_an_episode_that_is_not_there_is_left_alone_until_its_feed_names_another_address(
    place: Place, web: Site
) -> None:
    put(web, 1)
    del web.pages["/1"]
    web.pages["/new/1"] = b"sound"
    place.time.after(2 * DAY, lambda: web.pages.update({"/feed": feed(Item("No 1", "/new/1", 1))}))
    place.time.after(2.5 * DAY, lambda: None)
    place.watch(web.url("/feed"))
    assert place.said == [
        "A show: 1, 1 new, 0 again, first",
        "A show: 1, 0 new, 0 again",
        "A show: 1, 0 new, 1 again",
    ]
    assert place.files() == ["No 1.upper"]


def test_what_was_cut_off_goes_on_and_nothing_is_taken_twice(
    place: Place, web: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "find_pipeline", lambda name: PIPELINE)
    put(web, 1, 2, 3)
    plan = Plan(PIPELINE, {"mark": str(place.folder / "mark")}, place.folder / "out", ("upper",), latest=3)

    async def cut_off() -> None:
        async with Runner(beside("512M"), home=place.folder / "home") as runner:
            watching = Watching(runner, [web.url("/feed")], plan, DAY, place.teller)
            for number in (1, 2, 3):  # none is done before the end
                web.pages[f"/{number}"] = lambda request: web.closing.wait(60)  # type: ignore[return-value]
            task = asyncio.create_task(watching.run())
            while not web.asked("GET", "/2"):
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(cut_off())
    web.pages.clear()
    put(web, 1, 2, 3)
    place.told.clear()
    place.watch(web.url("/feed"), once=True, latest=3)
    assert place.files() == ["No 1.upper", "No 2.upper", "No 3.upper"]
    assert place.told[0] == "3 resumed"
    assert place.entries == 3


def test_a_look_that_was_cut_off_is_done_again(place: Place, web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    put(web, 1, 2)

    async def killed(*_: Any) -> None:
        raise Over

    with monkeypatch.context() as patch:
        patch.setattr(KnownFeeds, "end_round", killed)
        place.watch(web.url("/feed"), once=True, latest=2)
    place.watch(web.url("/feed"), once=True, latest=2, keep=1)
    assert place.files() == ["No 2.upper"]
    assert place.told[-1] == "deleted No 1.upper"  # it is known to be ours
