"""What a pipeline is: a workflow and how its jobs are told apart; and finding those that are installed.

Covers: the declaration. Users register theirs by an entry point in the group ``narrowboat.pipelines``.
Does not cover: running it (``runner``), or what a workflow can do (``job``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from narrowboat.errors import UsageError
from narrowboat.values import Json

if TYPE_CHECKING:
    from narrowboat.runner.job import Job

GROUP = "narrowboat.pipelines"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A kind of job.

    Attributes:
        name: as in the journal and the report.
        workflow: an ordinary async function in the supervisor that calls steps.
        formats: the outputs that it can write; empty when it writes none.
        identity: of a job's options, those that change the result.
        shape: of a job's options, those that change how an output looks without changing the result: asked with the
            options and the format. An output that was written with others is written anew, from the journal. None
            where there are none.
        endings: of formats whose files do not end in the format's own name.
        preload: modules of its steps that the fork server imports, so that its workers start with them and share
            their pages.
        preload_of: in the place of ``preload``, asked with a job's options, where jobs differ in what they need.
        lane: the lane that its jobs are in while they run (see ``lanes``), which somebody may have capped.
    """

    name: str
    workflow: Callable[[Job], Awaitable[None]]
    formats: tuple[str, ...] = ()
    identity: Callable[[dict[str, Json]], Json] = lambda options: options
    shape: Callable[[dict[str, Json], str], Json] = lambda options, format: None
    endings: Mapping[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    preload_of: Callable[[dict[str, Json]], tuple[str, ...]] | None = None
    lane: str = ""

    def modules(self, options: dict[str, Json]) -> tuple[str, ...]:
        """What the fork server imports for a job with these options."""
        return self.preload if self.preload_of is None else self.preload_of(options)


def find_pipeline(name: str) -> Pipeline:
    """The installed pipeline of that name.

    Raises:
        UsageError: there is none; it names those that there are.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise UsageError(f"there is no pipeline {name!r}", hint="installed: " + ", ".join(sorted(found)))
    pipeline = found[name].load()
    if not isinstance(pipeline, Pipeline):
        raise UsageError(f"the entry point {name!r} is no Pipeline but {type(pipeline).__name__}")
    return pipeline
