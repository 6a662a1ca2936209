"""Feeds: from an address to the jobs of its episodes.

Covers: telling a feed from ordinary media with as few requests as that takes; submitting the episodes that were asked
for, each once, whatever its address becomes.
Does not cover: reading the document (``feed_reading``), one job (``intake``).
"""

from __future__ import annotations

import mimetypes
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from narrowboat.errors import Interrupted, NarrowboatError
from narrowboat.journal.journal import Journal
from narrowboat.runner.feed_reading import Document, Pick, RunStep, episode_source, feed_key, read_feed
from narrowboat.runner.intake import Intake
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.scratch import Scratch
from narrowboat.runner.validators import Call
from narrowboat.sources.locate import Source, locate
from narrowboat.values import Json

#: Media whose endings the standard library does not know everywhere.
_MEDIA = (".opus", ".oga", ".m4a", ".m4b", ".mka", ".mkv", ".flac", ".aac", ".webm", ".ts")
Guess = Literal["feed", "media", "unsure"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which episodes of a feed; None for any.

    Attributes:
        latest: how many of the newest.
        since: published then or later, in seconds since the epoch.
        match: what the title has: text, whatever its case, or ``/a regular expression/``.
    """

    latest: int | None = None
    since: float | None = None
    match: str | None = None

    def __bool__(self) -> bool:
        """True when anything is asked for, which only a feed can answer."""
        return self != Wanted()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a source.

    Attributes:
        ids: its jobs.
        new: how many of them were not known before.
        feed: where it was a feed.
    """

    ids: list[str]
    new: int
    feed: Document | None = None


class Feeds:
    """Takes feeds in for the runner of a home.

    Args:
        call: runs a step outside of any job, in a scratch folder that the caller may choose.
    """

    def __init__(self, journal: Journal, intake: Intake, scratch: Scratch, call: Call) -> None:
        self._journal = journal
        self._intake = intake
        self._scratch = scratch
        self._call = call

    async def submit(
        self,
        pipeline: Pipeline,
        source: str,
        options: dict[str, Json],
        wanted: Wanted,
        *,
        out: str | Path | None = None,
        formats: Sequence[str] = (),
        again: bool = False,
        label: str | None = None,
    ) -> Taken:
        """Take in a source that may be a feed: one job for each of its episodes that is ``wanted``.

        A feed that can't be read becomes a job that has failed, as any source that can't be found. With anything
        ``wanted`` it must be a feed. Other arguments as for :meth:`narrowboat.Runner.submit`.
        """
        submit = partial(self._intake.submit, pipeline, out=out, formats=formats, again=again, label=label)
        try:
            place = locate(source)
            told = await self._intake.told(place, options, again=again)
            guess = _guess(place, told.type)
            feed = await self._feed(place, guess, wanted) if wanted or guess != "media" else None
        except Interrupted:
            raise
        except NarrowboatError as error:
            job_id, created = await self._intake.failed(pipeline, source, options, error, label)
            return Taken([job_id], int(created))
        if feed is None:
            job_id, created = await submit(place, options, told=told)
            return Taken([job_id], int(created))
        identity = await self.identity(place, feed)
        episodes = [episode_source(place, feed.title, identity, said) for said in feed.chosen]
        jobs = [await submit(episode, options) for episode in episodes]
        return Taken([job_id for job_id, _ in jobs], sum(created for _, created in jobs), feed)

    async def read(
        self,
        place: Source,
        wanted: Wanted,
        known: tuple[str | None, str | None] = (None, None),
        pick: Pick = list,
    ) -> Document | None:
        """The feed at ``place``; None when it is in the state that is ``known``. As ``read_feed``."""
        async with self._folder() as call:
            return await read_feed(call, place, asdict(wanted), known, pick)

    async def identity(self, place: Source, feed: Document) -> str:
        """What the episodes of a feed are told by: what the feed was first known by."""
        return await self._journal.know_feed(feed_key(place), feed.identity)

    async def take(
        self,
        pipeline: Pipeline,
        episode: Source,
        options: dict[str, Json],
        *,
        out: Path,
        formats: Sequence[str],
        label: str | None,
        watched: str = "",
    ) -> bool:
        """Submit an episode that watching has found; whether it is new.

        Args:
            watched: what its feed's rounds are remembered by; empty where the job is known.
        """
        _, created = await self._intake.submit(
            pipeline,
            episode,
            options,
            out=out,
            formats=formats,
            again=False,
            label=label,
            watched=(watched, _published(episode)) if watched else None,
        )
        return created

    async def rests(self, source: Source, options: dict[str, Json]) -> bool:
        """Whether a source failed before, and is left alone now."""
        return await self._intake.rests(source, options)

    async def _feed(self, place: Source, guess: Guess, wanted: Wanted) -> Document | None:
        """The feed at ``place``; None when nothing says that it must be one, and it is none."""
        try:
            return await self.read(place, wanted)
        except Interrupted:
            raise
        except NarrowboatError as error:
            if wanted or guess == "feed" or error.facts.get("looks") in ("list", "json") or _is_page(place, error):
                raise
            return None

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[RunStep]:
        folder = self._scratch.root / f"feed-{time.monotonic_ns():x}"
        try:
            yield partial(self._call, scratch=folder)
        finally:
            await self._scratch.drop(folder)


def _published(episode: Source) -> float | None:
    at = None if episode.episode is None else episode.episode.about.get("published")
    return None if at is None else datetime.fromisoformat(at).timestamp()


def _is_page(place: Source, error: NarrowboatError) -> bool:
    """A web page where media was hoped for: what names its feed helps more than what fails to decode it."""
    return place.kind == "url" and error.facts.get("looks") == "page"


def _guess(place: Source, kind: str | None) -> Guess:
    """What a source may be by its name, and by the type that its server tells; one that could not be asked is media."""
    if place.kind == "file":
        return "media" if _is_media(place.location) else "unsure"
    if kind is None or kind.startswith(("audio/", "video/")) or kind == "application/ogg":
        return "media"
    if kind.endswith(("/rss", "/atom", "+xml", "/xml")) and kind != "application/xhtml+xml":
        return "feed"
    says_nothing = kind in ("", "application/octet-stream", "binary/octet-stream")
    return "media" if says_nothing and _is_media(urlsplit(place.location).path) else "unsure"


def _is_media(name: str) -> bool:
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed.startswith(("audio/", "video/")) or name.lower().endswith(_MEDIA)
