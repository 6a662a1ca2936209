"""The jobs of this run: what the runner keeps in memory of each, and how a job is told from another.

Covers: entries, and a job's identity from its pipeline, its source's content and its options.
Does not cover: anything that must survive the process (``journal/``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from narrowboat.errors import NarrowboatError
from narrowboat.runner.lanes import BATCH, DOWNLOADS
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.queue import Way
from narrowboat.runner.steps import digest
from narrowboat.runner.validators import Told
from narrowboat.sources.locate import Source, fingerprint
from narrowboat.values import Json


@dataclass(slots=True)
class Entry:
    """A job of this run.

    Attributes:
        wanted: the outputs to write; None for those that were never written.
        closed: its workflow has ended, and takes no further outputs.
        again: it was done in an earlier run, and nothing was left to do.
        seconds: spent on it in this run.
        label: of the batch that it belongs to.
        told: what was said of its source.
        anyway: somebody asked for it by hand: its source is fetched although it failed before.
    """

    id: str
    pipeline: Pipeline
    source: Source
    state: str = "queued"
    error: NarrowboatError | None = None
    wanted: set[Path] | None = None
    closed: bool = False
    again: bool = False
    peak_used: int = 0
    items_resumed: int = 0
    seconds: float = 0.0
    label: str | None = None
    told: Told = field(default_factory=Told)
    anyway: bool = False
    waiters: list[asyncio.Future[None]] = field(default_factory=list)

    @property
    def way(self) -> Way:
        """The lanes that it goes through."""
        batch = ((BATCH, self.label),) if self.label else ()
        own = ((self.pipeline.lane, ""),) if self.pipeline.lane else ()
        return Way((*own, *batch), () if self.source.kind == "file" else ((DOWNLOADS, ""),))

    def want(self, outputs: set[Path] | None) -> None:
        """Write these too."""
        if self.wanted is not None and outputs is not None:
            self.wanted |= outputs


async def identify(pipeline: Pipeline, source: Source, options: dict[str, Json], told: Told) -> str:
    """The identity of a job: pipeline, content (fingerprint, or address with validator) and options that matter.

    Raises:
        SourceError: a file can't be read.
    """
    if source.content is not None:
        content = source.content
    elif source.kind == "file":
        content = await asyncio.to_thread(fingerprint, source.location)
    else:
        content = f"{source.location} {told.validator}"
    return digest([pipeline.name, content, pipeline.identity(options)])
