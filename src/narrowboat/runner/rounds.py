"""One look at a feed that is watched: what is new of it, and what failed and may work now.

Covers: which episodes are new, submitting each once, also when a death comes in between.
Does not cover: when to look (``watching``), reading the feed (``feed_reading``), what is kept (``keeping``).

At the first look the newest are taken, and all others are noted as seen. After that an episode is new when its guid has
not been seen. What was seen is noted last, with the state that the feed was in: a look that is cut off is done again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrowboat.errors import FetchError, NarrowboatError, SourceRests, TooLarge
from narrowboat.journal.journal import Journal
from narrowboat.journal.known_feeds import WatchedRow
from narrowboat.runner.feed_reading import episode_source, feed_key
from narrowboat.runner.feeds import Feeds, Wanted
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import digest
from narrowboat.sources.locate import Source, restored
from narrowboat.values import Json

#: Seconds for which an episode that could not be fetched is tried again, as far as ``resting`` lets it.
TRIED_S = 7 * 86400.0
_GUID_BYTES = 12


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with the episodes of feeds that are watched.

    Attributes:
        latest: how many of the newest are taken at the first look at a feed.
        keep: of how many of the newest the outputs are kept, and so how many are taken at a look; None for any number.
        since, match: see :class:`~narrowboat.runner.feeds.Wanted`.
    """

    pipeline: Pipeline
    options: dict[str, Json]
    out: Path
    formats: tuple[str, ...]
    label: str | None = None
    latest: int = 1
    keep: int | None = None
    since: float | None = None
    match: str | None = None

    def key(self, place: Source) -> str:
        """What a feed's rounds are remembered by: another feed, model or match begins anew."""
        return digest(["watch", feed_key(place), self.pipeline.name, self.pipeline.identity(self.options), self.match])


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at a feed has found.

    Attributes:
        title: of the feed, empty when it was unchanged or has none.
        episodes: how many it has; None when it was unchanged.
        new: how many were taken in.
        again: how many that had failed are tried again.
        first: it was the first look.
        warning: what is wrong with the feed, or None.
    """

    title: str
    episodes: int | None
    new: int
    again: int
    first: bool
    warning: str | None = None


class Rounds:
    """Looks at feeds by one plan."""

    def __init__(self, journal: Journal, feeds: Feeds, plan: Plan) -> None:
        self._journal = journal
        self._feeds = feeds
        self._plan = plan

    async def look(self, place: Source) -> Looked:
        """Take in what is new at ``place``.

        Raises:
            NarrowboatError: the feed can't be read; see ``feed_reading.read_feed``.
        """
        plan, key = self._plan, self._plan.key(place)
        last = await self._journal.last_round(key)
        failed = await self._failed(key)
        seen = None if last is None else await self._journal.seen_episodes(key)
        picker = _Picker(seen, set(failed), plan.latest if last is None else plan.keep)
        known = (None, None) if last is None else (last.etag, last.modified)
        document = await self._feeds.read(place, Wanted(since=plan.since, match=plan.match), known, picker)
        if document is None:
            return Looked("", None, 0, await self._again(list(failed.values())), first=False)
        identity = await self._feeds.identity(place, document)
        sources = [episode_source(place, document.title, identity, said) for said in document.chosen]
        fresh = [await self._take(source, key) for source in sources if _short(source) not in failed]
        failed |= {_short(source): source for source in sources if _short(source) in failed}
        again = await self._again(list(failed.values()))
        await self._journal.end_round(key, document.etag, document.modified, picker.guids)
        return Looked(document.title, document.episodes, sum(fresh), again, last is None, document.warning)

    async def _take(self, source: Source, key: str = "") -> bool:
        """Submit an episode; whether it is new."""
        plan = self._plan
        return await self._feeds.take(
            plan.pipeline, source, plan.options, out=plan.out, formats=plan.formats, label=plan.label, watched=key
        )

    async def _again(self, sources: list[Source]) -> int:
        """Try again what is not left alone; how many these are."""
        waiting = [source for source in sources if not await self._feeds.rests(source, self._plan.options)]
        for source in waiting:
            await self._take(source)
        return len(waiting)

    async def _failed(self, key: str) -> dict[bytes, Source]:
        """The episodes that could not be fetched lately, by guid."""
        found = {}
        for watched in await self._journal.watched(key):
            if watched.state != "failed" or self._journal.now() - watched.created > TRIED_S or not _may_work(watched):
                continue
            row = await self._journal.job(watched.job_id)
            try:
                source = restored(row.source, await self._journal.address(row))
            except NarrowboatError:  # its address was deleted: it comes back with its feed, or not at all
                continue
            if source.episode is not None:
                found[_short(source)] = source
        return found


class _Picker:
    """Of the episodes of a feed, newest first: those that are new, and those that failed. Notes all guids.

    Args:
        seen: None at the first look.
        most: how many new ones at most; None for any number.
    """

    def __init__(self, seen: set[bytes] | None, failed: set[bytes], most: int | None) -> None:
        self._seen, self._failed, self._most = seen or set(), failed, most
        self.guids: list[bytes] = []

    def __call__(self, said: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
        picked, new = [], 0
        for episode in said:
            guid = _shortened(episode["guid"])
            self.guids.append(guid)
            if guid in self._failed:
                picked.append(episode)
            elif guid not in self._seen and (self._most is None or new < self._most):
                new += 1
                picked.append(episode)
        return picked


def _may_work(watched: WatchedRow) -> bool:
    """Whether it failed for want of its sound, and not for what that is or what was made of it."""
    reason = watched.reason or {}
    facts = reason.get("facts") or {}
    by_code = reason.get("code") in (FetchError.code, SourceRests.code, TooLarge.code)
    return by_code or "status" in facts or facts.get("reason") in ("empty", "page", "too_small")


def _short(source: Source) -> bytes:
    return _shortened("" if source.episode is None else source.episode.guid)


def _shortened(guid: str) -> bytes:
    return hashlib.sha256(guid.encode("utf-8", "surrogatepass")).digest()[:_GUID_BYTES]
