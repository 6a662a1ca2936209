"""Watching feeds: when to look at each, and going on whatever happens.

Covers: the loop, waiting longer when a feed fails, resuming what was cut off, letting go of what has ended.
Does not cover: one look (``rounds``), what is deleted (``keeping``), signals and words at the end (``cli/``).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from narrowboat.errors import Interrupted, NarrowboatError
from narrowboat.journal.rows import ENDED
from narrowboat.runner.keeping import delete_older
from narrowboat.runner.rounds import Looked, Plan, Rounds
from narrowboat.runner.runner import Runner
from narrowboat.sources.locate import Source, locate

#: Seconds until a feed that failed is looked at again, doubled each time, up to the time between two looks.
BACKOFF_S = 60.0
#: Seconds that are slept at a time: a machine that was suspended notices that the time has come.
_NAP_S = 60.0


@dataclass(slots=True)
class Watched:
    """A feed that is watched.

    Attributes:
        place: where it is.
        title: its own, once it was read; else what is shown of its address.
        due: when it is looked at next, in seconds since the epoch.
        failures: in a row.
        error: of the last look, or None.
        new: episodes that were taken in since watching began.
    """

    place: Source
    title: str
    due: float = 0.0
    failures: int = 0
    error: NarrowboatError | None = None
    new: int = 0


@dataclass(frozen=True, slots=True)
class Teller:
    """Who is told what happens, all of it while it does.

    Attributes:
        resumed: jobs that were cut off go on: how many.
        looked: at a feed, and what was found.
        failed: a feed could not be read: the seconds until it is looked at again.
        deleted: outputs of a feed that are older than those that are kept.
        waits: until then, in seconds since the epoch, nothing is looked at.
    """

    resumed: Callable[[int], None]
    looked: Callable[[Watched, Looked], None]
    failed: Callable[[Watched, float], None]
    deleted: Callable[[Watched, list[Path]], None]
    waits: Callable[[float], None]


class Watching:
    """Watches feeds with a runner that is open.

    Args:
        feeds: addresses, or paths of files.
        plan: what is done with their episodes.
        every_s: seconds between two looks at a feed.
        tell: who is told.
        clock: seconds since the epoch. sleep: waits so many seconds. Both for tests.

    Raises:
        UsageError, SourceError: one of the feeds is no address, or a file that is not there.
    """

    def __init__(
        self,
        runner: Runner,
        feeds: Sequence[str],
        plan: Plan,
        every_s: float,
        tell: Teller,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._runner = runner
        self._plan = plan
        self._every_s = every_s
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._rounds = Rounds(runner.journal, runner.feeds, plan)
        self.feeds = [Watched(place, place.shown) for place in map(locate, dict.fromkeys(feeds))]

    async def run(self, *, once: bool = False) -> None:
        """Watch until cancelled; with ``once``, look at each feed and return when all jobs have ended.

        Raises:
            NarrowboatError: at the first look, no feed can be read, and waiting would not help.
            Interrupted: the runner was stopped.
        """
        resumed = await self._runner.keeper.resume(self._runner.retry)
        if resumed:
            self._tell.resumed(resumed)
        await self._look_at_those_that_are_due()
        if not once:
            await self._raise_when_hopeless()
        while not once:
            await self._wait(min(feed.due for feed in self.feeds))
            self._let_go()
            await self._look_at_those_that_are_due()
        await self._runner.wait()
        await self._delete_older()

    async def _raise_when_hopeless(self) -> None:
        """None of the feeds was ever read, and waiting helps with none: most likely they are misspelt."""
        for feed in self.feeds:
            known = await self._runner.journal.last_round(self._plan.key(feed.place))
            if known is not None or feed.error is None or feed.error.retryable:
                return
        raise self.feeds[0].error or AssertionError("there are no feeds")

    async def _look_at_those_that_are_due(self) -> None:
        for feed in self.feeds:
            if feed.due <= self._clock():
                await self._look(feed)

    async def _look(self, feed: Watched) -> None:
        try:
            found = await self._rounds.look(feed.place)
        except Interrupted:
            raise
        except NarrowboatError as error:
            feed.failures, feed.error = feed.failures + 1, error
            wait = self._backoff(feed, error)
            feed.due = self._clock() + wait
            self._tell.failed(feed, wait)
            return
        feed.failures, feed.error, feed.due = 0, None, self._clock() + self._every_s
        feed.title, feed.new = found.title or feed.title, feed.new + found.new
        self._tell.looked(feed, found)

    def _backoff(self, feed: Watched, error: NarrowboatError) -> float:
        """Seconds until the next look: sooner than otherwise when the failure may pass, as long as its server asks."""
        asked = float(error.facts.get("wait_s") or 0.0)
        soon = BACKOFF_S * 2.0 ** min(feed.failures - 1, 20) * random.uniform(0.75, 1.0)
        return max(asked, min(soon, self._every_s) if error.retryable else self._every_s)

    async def _wait(self, until: float) -> None:
        """Sleep; and when the jobs that are at work have ended meanwhile, see to what they have written."""
        self._tell.waits(until)
        going = asyncio.create_task(self._runner.wait())
        resting = asyncio.create_task(self._until(until))
        try:
            await asyncio.wait({going, resting}, return_when=asyncio.FIRST_COMPLETED)
            await self._delete_older()
            await resting
        finally:
            for task in (going, resting):
                task.cancel()
            await asyncio.wait({going, resting})

    async def _until(self, until: float) -> None:
        while (left := until - self._clock()) > 0:
            await self._sleep(min(left, _NAP_S))

    async def _delete_older(self) -> None:
        plan = self._plan
        if plan.keep is None:
            return
        for feed in self.feeds:
            key = plan.key(feed.place)
            deleted = await delete_older(self._runner.journal, key, plan.keep, plan.out, plan.formats)
            if deleted:
                self._tell.deleted(feed, deleted)

    def _let_go(self) -> None:
        """Keep nothing in memory of what has ended: watching goes on for months."""
        for entry in self._runner.entries:
            if entry.state in ENDED:
                self._runner.keeper.dismiss(entry.id)
