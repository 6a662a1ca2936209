"""Giving sources to a runner, whatever is to be made of them.

Covers: files in their order and addresses beside them, the same content given twice.
Does not cover: options of a pipeline (``commands/``), what follows (``session``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from narrowboat.cli.display import Display
from narrowboat.cli.session import Submit
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.runner import Runner
from narrowboat.shown import safe_source
from narrowboat.values import Json

#: Addresses that are asked at the same time whether they have changed.
_ASKED_AT_ONCE = 4


def whole(source: str) -> str:
    """A path from the root, so that a later retry from elsewhere means the same file; an address as it is."""
    return source if "://" in source or not source.strip() else str(Path(source).expanduser().absolute())


def submitting(
    pipeline: Pipeline,
    sources: Sequence[str],
    wanted: dict[str, Json],
    values: argparse.Namespace,
    *,
    formats: Sequence[str],
) -> Submit:
    """What submits the sources: files in their order, and addresses, which may be slow to answer, beside them.

    Args:
        wanted: the options of the jobs.
        values: ``out``, ``again`` and ``label`` of the command line.
    """

    async def submit(runner: Runner, display: Display) -> None:
        asking = asyncio.Semaphore(_ASKED_AT_ONCE)
        first: dict[str, str] = {}

        async def one(source: str) -> None:
            job_id = await runner.submit(
                pipeline,
                source,
                wanted,
                out=values.out,
                formats=formats,
                again=values.again,
                label=values.label,
            )
            if first.setdefault(job_id, source) != source:
                other = safe_source(first[job_id])
                display.note(f"{safe_source(source)} has the same content as {other}: one job, named after that")

        async def address(source: str) -> None:
            async with asking:
                await one(source)

        try:
            async with asyncio.TaskGroup() as group:
                for source in dict.fromkeys(sources):
                    if "://" in source:
                        group.create_task(address(source))
                for source in dict.fromkeys(sources):
                    if "://" not in source:
                        await one(source)
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    return submit
