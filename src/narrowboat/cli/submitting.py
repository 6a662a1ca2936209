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
        asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        first: dict[str, str] = {}

        async def one(source: str, path: str | None = None) -> None:
            more = {"out": values.out, "formats": formats, "again": values.again, "label": values.label}
            if path is None and runner.folders.is_one(source):
                if (found := await runner.folders.submit(pipeline, source, wanted, **more)) is not None:
                    display.note(f"{source}: {len(found.ids)} objects, {found.new} of them new")
                return
            if episodes is None or path is not None:
                job_id = await runner.submit(pipeline, path or source, wanted, **more)
            else:
                taken = await runner.feeds.submit(pipeline, source, wanted, episodes, **more)
                if taken.feed is not None:
                    display.note(told_of(taken.feed, len(taken.ids), taken.new, safe_source(source)))
                    return
                (job_id,) = taken.ids
            if first.setdefault(job_id, source) != source:
                other = safe_source(first[job_id])
                display.note(f"{safe_source(source)} has the same content as {other}: one job for both")

        async def address(source: str) -> None:
            async with asking:
                await one(source)

        async def sent() -> None:
            limit = wanted.get("max_download")
            path = await runner.receive(standard_input(), name or "stdin", shown="standard input", max_bytes=limit)
            await one("standard input", path)

        try:
            async with asyncio.TaskGroup() as group:
                for source in dict.fromkeys(sources):
                    if "://" in source:
                        group.create_task(address(source))
                    elif source == DASH:
                        group.create_task(sent())
                for source in dict.fromkeys(sources):
                    if "://" not in source and source != DASH:
                        await one(source)
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    return submit


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
