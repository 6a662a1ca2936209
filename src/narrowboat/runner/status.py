"""What a run looks like from outside: the live state of jobs, and the figures of all of them.

Covers: frozen snapshots for progress displays and the control socket.
Does not cover: drawing them (``cli/``), the report at the end (``report``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from narrowboat.memory.snapshot import Snapshot
from narrowboat.values import Json


@dataclass(slots=True)
class Live:
    """A running job as it goes; the runner's own, changed in place.

    Attributes:
        stage: the step that runs, or what it waits for.
        fraction: how far the job is, 0 to 1; None while that is not known.
        facts: what the step says with its progress (``speed``, ``bytes_done``, …).
        used: tells the bytes that the job's worker uses now.
        reserved: tells the bytes that it holds.
        calls: calls of remote engines that are at work for it.
    """

    id: str
    source: str
    stage: str = "queued"
    fraction: float | None = None
    waiting: bool = False
    facts: dict[str, Json] = field(default_factory=dict)
    used: Callable[[], int] = lambda: 0
    reserved: Callable[[], int] = lambda: 0
    peak_used: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A running job at one moment; sizes in bytes."""

    id: str
    source: str
    stage: str
    fraction: float | None
    waiting: bool
    used_bytes: int
    reserved_bytes: int
    facts: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Status:
    """All of a run at one moment.

    Attributes:
        memory: limit, budget, reserved and who waits.
        used: bytes of the whole tree now.
        peak_used: the most that was.
        jobs: those that run, oldest first.
        counts: jobs of this run by state.
        pressure: what is done about memory being short, with the numbers; None while it is not.
    """

    memory: Snapshot
    used: int
    peak_used: int
    jobs: list[JobStatus]
    counts: dict[str, int]
    pressure: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The status as JSON."""
        return asdict(self)


def job_status(live: Live) -> JobStatus:
    """A job as it is now."""
    return JobStatus(
        id=live.id,
        source=live.source,
        stage=live.stage,
        fraction=live.fraction,
        waiting=live.waiting,
        used_bytes=live.used(),
        reserved_bytes=live.reserved(),
        facts=dict(live.facts),
    )
