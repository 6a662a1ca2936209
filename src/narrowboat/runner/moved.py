"""Episodes whose address has run out: looked up again in their feed.

Covers: when that helps, what is said when it does not, reading a feed once for many of its episodes.
Does not cover: fetching (``job``), reading feeds (``feed_reading``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from narrowboat.errors import Interrupted, NarrowboatError, SourceError
from narrowboat.runner.feed_reading import RunStep, read_feed
from narrowboat.sources.locate import Episode, Source, locate
from narrowboat.values import Json

#: Answers by which an address may have run out, or be for somebody else now.
RUN_OUT = (401, 403, 404, 410)
#: Seconds for which a feed that was read serves other episodes of it: when one has run out, the next has too.
FRESH_S = 60.0
#: Feeds that are kept so long.
_MOST = 4


class Lookups:
    """The feeds that were read lately, for the jobs of one run: guid to address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read: dict[str, tuple[float, dict[str, str]]] = {}
        self._turn = asyncio.Lock()

    async def moved(self, source: Source, error: SourceError, call: RunStep) -> Source:
        """The episode with the address that its feed names now.

        Args:
            source: what could not be fetched.
            error: why.
            call: runs the steps that read the feed.

        Raises:
            SourceError: ``error``, with what the feed says where that is something; it is no episode, the address has
                not run out, or the feed names no other.
        """
        if source.episode is None or error.facts.get("status") not in RUN_OUT:
            raise error
        try:
            url = await self._url(source.episode, call)
        except Interrupted:
            raise
        except NarrowboatError as problem:
            raise _with_hint(error, f"its feed can't be read now: {problem.message}") from None
        if url is None:
            raise _with_hint(error, "its feed has it no more")
        if url == source.location:
            raise _with_hint(error, "its feed still names this address")
        return replace(source, location=url)

    async def _url(self, episode: Episode, call: RunStep) -> str | None:
        async with self._turn:
            at, urls = self._read.get(episode.feed, (float("-inf"), {}))
            if self._clock() - at > FRESH_S:
                urls = await _addresses(episode.feed, call)
                self._keep(episode.feed, urls)
        return urls.get(episode.guid)

    def _keep(self, feed: str, urls: dict[str, str]) -> None:
        self._read.pop(feed, None)
        self._read[feed] = (self._clock(), urls)
        while len(self._read) > _MOST:
            del self._read[next(iter(self._read))]


async def _addresses(feed: str, call: RunStep) -> dict[str, str]:
    """Guid to address."""
    found: dict[str, str] = {}

    def pick(said: Iterator[dict[str, Json]]) -> list[dict[str, Json]]:
        found.update((episode["guid"], episode["url"]) for episode in said)
        return []

    await read_feed(call, locate(feed), {}, pick=pick)
    return found


def _with_hint(error: SourceError, hint: str) -> SourceError:
    return SourceError(error.message, hint=hint, **error.facts)
