"""Giving sources to a runner, whatever is to be made of them.

Covers: files in their order, addresses and standard input beside them, the same content given twice, what is said of
feeds.
Does not cover: options of a pipeline (``commands/``), what follows (``session``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from narrowboat.cli.display import Display
from narrowboat.cli.options import Option, text
from narrowboat.cli.session import Submit
from narrowboat.cli.standard_input import DASH, check_standard_input, standard_input
from narrowboat.errors import UsageError
from narrowboat.runner.feed_reading import Document
from narrowboat.runner.feeds import Wanted
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.runner import Runner
from narrowboat.shown import safe_source
from narrowboat.values import Json

#: For help texts: what may stand in the place of a file.
ADDRESSES = "an http(s) address, an object or a folder of objects (s3://, gs://, az://)"
NAME = Option("--name", "what to call that which comes from standard input (default: stdin)", text, "TEXT")
#: Addresses that are asked at the same time whether they have changed.
_ASKED_AT_ONCE = 4


def whole(source: str) -> str:
    """A path from the root, so that a later retry from elsewhere means the same file; an address, and -, as it is."""
    if "://" in source or source == DASH or not source.strip():
        return source
    return str(Path(source).expanduser().absolute())


def check_sources(sources: Sequence[str], name: str | None) -> None:
    """See that - can be read, and is what a name is given to.

    Raises:
        UsageError: it can't, or there is none.
    """
    if DASH in sources:
        check_standard_input()
    elif name is not None:
        raise UsageError("--name is for what comes from standard input", hint="give - as a source, or leave it out")


def submitting(
    pipeline: Pipeline,
    sources: Sequence[str],
    wanted: dict[str, Json],
    values: argparse.Namespace,
    *,
    formats: Sequence[str],
    episodes: Wanted | None = None,
) -> Submit:
    """What submits the sources: files in their order, and addresses and standard input, which may be slow, beside them.

    Args:
        wanted: the options of the jobs.
        values: ``out``, ``again`` and ``label`` of the command line, and ``name`` where it has that.
        episodes: which of them are meant where a source is a feed; None: there are no feeds among these.

    Raises:
        UsageError: standard input is among them, and nothing can come from it.
    """
    name = getattr(values, "name", None)
    check_sources(sources, name)

    async def submit(runner: Runner, display: Display) -> None:
        submission = _Submission(runner, display, pipeline, wanted, formats, values, episodes)
        try:
            await submission.of_all(list(dict.fromkeys(sources)))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    return submit


class _Submission:
    """The sources of one command on their way to a runner."""

    def __init__(
        self,
        runner: Runner,
        display: Display,
        pipeline: Pipeline,
        wanted: dict[str, Json],
        formats: Sequence[str],
        values: argparse.Namespace,
        episodes: Wanted | None,
    ) -> None:
        self._runner = runner
        self._display = display
        self._pipeline = pipeline
        self._wanted = wanted
        self._more = {"out": values.out, "formats": formats, "again": values.again, "label": values.label}
        self._name = getattr(values, "name", None)
        self._episodes = episodes
        self._asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        self._first: dict[str, str] = {}  # job -> the source that it came with

    async def of_all(self, sources: Sequence[str]) -> None:
        """Submit all of them."""
        async with asyncio.TaskGroup() as group:
            for source in sources:
                if "://" in source:
                    group.create_task(self._address(source))
                elif source == DASH:
                    group.create_task(self._standard_input())
            for source in sources:
                if "://" not in source and source != DASH:
                    await self._one(source)

    async def _one(self, source: str) -> None:
        """A file, a folder of objects, a feed, or an address of a file."""
        runner, pipeline, wanted = self._runner, self._pipeline, self._wanted
        if runner.folders.is_one(source):
            if (found := await runner.folders.submit(pipeline, source, wanted, **self._more)) is not None:
                self._display.note(f"{source}: {len(found.ids)} objects, {found.new} of them new")
        elif self._episodes is None:
            self._submitted(await runner.submit(pipeline, source, wanted, **self._more), source)
        else:
            taken = await runner.feeds.submit(pipeline, source, wanted, self._episodes, **self._more)
            if taken.feed is not None:
                self._display.note(told_of(taken.feed, len(taken.ids), taken.new, safe_source(source)))
            else:
                self._submitted(taken.ids[0], source)

    async def _address(self, source: str) -> None:
        async with self._asking:
            await self._one(source)

    async def _standard_input(self) -> None:
        shown, limit = "standard input", self._wanted.get("max_download")
        path = await self._runner.receive(standard_input(), self._name or "stdin", shown=shown, max_bytes=limit)
        self._submitted(await self._runner.submit(self._pipeline, path, self._wanted, **self._more), shown)

    def _submitted(self, job_id: str, source: str) -> None:
        if (first := self._first.setdefault(job_id, source)) != source:
            self._display.note(f"{safe_source(source)} has the same content as {safe_source(first)}: one job for both")


def told_of(feed: Document, chosen: int, new: int, source: str) -> str:
    """A line on a feed: what it has, what of it was asked for, and what of that is new."""
    name = feed.title or source
    if feed.episodes:
        asked = f", {chosen} of them asked for" if chosen != feed.episodes else ""
        found = f"{feed.episodes} episode{'s' * (feed.episodes > 1)}{asked}, {new} new"
    elif feed.entries:
        found = f"{feed.entries} {'entries' if feed.entries > 1 else 'entry'}, none with anything to listen to"
    else:
        found = "it is empty"
    return f"{name}: {found}" + (f"; {feed.warning}" if feed.warning else "")
