"""Showing jobs while they run.

Covers: what a display is, and the one for what is no terminal: plain lines.
Does not cover: the live one on a terminal (``live``), words for progress (``progress``), lines at the end
(``session``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from narrowboat.cli.output import Output, one_line
from narrowboat.cli.progress import counted, fraction, memory, speed, stage
from narrowboat.runner.status import JobStatus, Status

#: Seconds between two plain lines about the progress of a job.
EVERY_S = 10.0
#: Seconds that a stage must last before a plain line tells of it.
LASTING_S = 1.0


class Display(Protocol):
    """Where the progress of a run is shown."""

    def show(self, status: Status) -> None:
        """Show how things are now; called several times a second."""
        ...

    def result(self, text: str, *, failed: bool = False) -> None:
        """A line that stays: how a job ended."""
        ...

    def note(self, text: str) -> None:
        """A line that stays: something on the way."""
        ...

    def close(self) -> None:
        """Leave the terminal as it should be."""
        ...


def make_display(out: Output) -> Display:
    """The live display when standard error is a terminal, else plain lines."""
    if sys.stderr.isatty() and not out.quiet:
        from narrowboat.cli.live import LiveDisplay

        return LiveDisplay(out)
    return PlainDisplay(out)


@dataclass(slots=True)
class _Told:
    """What was said of a job: the stage and when it was first seen, the stage of the last line and its time."""

    stage: str
    since: float
    told: str = ""
    at: float = 0.0


class PlainDisplay:
    """A line when a stage of a job has lasted a second, and then every ten; every ten also how far all of them are."""

    def __init__(self, out: Output, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._jobs: dict[str, _Told] = {}
        self._counted, self._counted_at = "", clock()

    def show(self, status: Status) -> None:
        now = self._clock()
        running = {job.id for job in status.jobs}
        self._jobs = {job_id: told for job_id, told in self._jobs.items() if job_id in running}
        for job in status.jobs:
            told = self._jobs.setdefault(job.id, _Told(stage(job), now))
            if told.stage != stage(job):
                told.stage, told.since = stage(job), now
            due = now - told.at >= EVERY_S if told.told == told.stage else now - told.since >= LASTING_S
            if due:
                told.told, told.at = told.stage, now
                self._out.note(_line(job))
        self._count(status.counts, now)

    def _count(self, counts: dict[str, int], now: float) -> None:
        if sum(counts.values()) > 1 and now - self._counted_at >= EVERY_S and counted(counts) != self._counted:
            self._counted, self._counted_at = counted(counts), now
            self._out.note(self._counted)

    def result(self, text: str, *, failed: bool = False) -> None:
        (self._out.failure if failed else self._out.line)(text)

    def note(self, text: str) -> None:
        self._out.note(text)

    def close(self) -> None:
        pass


def _line(job: JobStatus) -> str:
    done = fraction(job)
    percent = f" {100 * done:.0f} %" if done is not None else ""
    parts = [stage(job) + percent, speed(job), memory(job)]
    return f"{one_line(job.source, 60)}: " + " · ".join(part for part in parts if part)
