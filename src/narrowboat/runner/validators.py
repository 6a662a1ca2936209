"""What a server says of a source before it is fetched: what tells its content from another, and how large it is.

Covers: asking, by a step outside of any job. Does not cover: fetching (``job``), a job's identity (``entries``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from narrowboat.errors import NarrowboatError
from narrowboat.runner.steps import Step
from narrowboat.sources.locate import Source
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
