"""The jobs of this run: what the runner keeps in memory of each, and how a job is told from another.

Covers: entries, and a job's identity from its pipeline, its source's content and its options.
Does not cover: anything that must survive the process (``journal/``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from narrowboat.errors import NarrowboatError
from narrowboat.runner.lanes import BATCH, DOWNLOADS
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.queue import Way
from narrowboat.runner.steps import Step, digest
from narrowboat.sources.locate import Source, fingerprint
from narrowboat.values import Json

#: Kind of a source -> the step that asks what it is now.
VALIDATE = {
    "url": Step("narrowboat.sources.http:validate", memory="48M", cores=0, name="validate"),
    "object": Step("narrowboat.sources.objects:validate", memory="64M", cores=0, name="validate"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a source when it was submitted.

    Attributes:
        validator: what tells its content from another; ``unknown`` where nobody could be asked.
        bytes: its size, as declared.
        type: as declared, empty where the server does not say; None where nobody could be asked.
    """

    validator: str = "unknown"
    bytes: int | None = None
    type: str | None = None


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
    told: Told = Told()
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


class Call(Protocol):
    """Runs a step outside of any job (``Runner.call``)."""

    async def __call__(self, step: Step, given: Json, *, scratch: Path | None = None) -> Json:
        """Its result. Its scratch goes with the call, or is the caller's."""
        ...


async def ask(call: Call, source: Source, patience_s: float | None = None) -> Told:
    """What a server says of an address. One that can't be asked, or not in ``patience_s`` seconds, says nothing:
    fetching it will say what is wrong.
    """
    try:
        async with asyncio.timeout(patience_s):
            said = await call(VALIDATE[source.kind], {"url": source.location})
    except (NarrowboatError, TimeoutError):
        return Told()
    return Told(str(said["validator"]), said["bytes"], said["type"] or "")


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
