"""Pressure: when memory is near its end although every reservation fits, and what is done about it, step by step.

Covers: the stages as a function of one reading and the stage before, with hysteresis; what the kernel tells of stalls
(PSI); the record of each change.
Does not cover: doing it (``workers/guard``), or the last stage, killing (``workers/watch.decide``).

Reservations that are kept to leave the headroom free. What eats into it is a neighbour, the supervisor's own growth, or
workers that use their grace. First nothing more is admitted, then idle workers are asked to go, and only then is one
killed. A stage is left only when there is clearly more room than what began it, and has been for half a second.

Stalls count only while little is free: a worker whose own cgroup is full of page cache stalls too, and that is its
limit doing its work. Of PSI the "full" share is taken: time in which nothing at all could run for want of memory.
Source of the figures: Documentation/accounting/psi.rst of the Linux kernel; the stages are ours.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrowboat.memory.cgroups import Group
from narrowboat.sizes import format_size

#: Shares of the headroom. Below each the stage begins; each ends where the one before it does.
PAUSE_BELOW = 0.75
SHED_BELOW = 0.5
CALM_ABOVE = 0.9
#: Shares of the time in which everything stalled.
PAUSE_STALL = 0.2
SHED_STALL = 0.4
CALM_STALL = 0.1
#: Stalls are looked at while less than this many times the headroom is free.
NEAR = 2.0
#: Seconds that things must have been better before a stage is left.
HOLD_S = 0.5
#: Seconds over which stalls are taken together.
STALL_WINDOW_S = 0.5
#: Changes that are kept for the report.
MOST_EVENTS = 100


class Stage(enum.IntEnum):
    """How far things have come."""

    CALM = 0
    PAUSED = 1
    SHEDDING = 2


@dataclass(frozen=True, slots=True)
class Reading:
    """One look: bytes that the tree uses, may use, and keeps free as headroom; the share of stalled time, if known."""

    used: int
    room: int
    headroom: int
    stall: float | None = None

    @property
    def free(self) -> int:
        """Bytes that are left."""
        return self.room - self.used

    def __str__(self) -> str:
        stall = self.stall or 0.0
        stalled = f", all stalled for {100 * stall:.0f} % of the time" if stall >= 0.01 else ""
        return f"{format_size(self.used)} used of {format_size(max(0, self.room))}{stalled}"


def next_stage(stage: Stage, reading: Reading) -> Stage:
    """The stage that a reading leads to."""
    share = reading.free / reading.headroom
    stall = reading.stall or 0.0 if share < NEAR else 0.0
    if share < SHED_BELOW or stall >= SHED_STALL:
        return Stage.SHEDDING
    if share < PAUSE_BELOW or stall >= PAUSE_STALL:
        return max(stage, Stage.PAUSED)
    if share < CALM_ABOVE or stall >= CALM_STALL:
        return min(stage, Stage.PAUSED)
    return Stage.CALM


@dataclass(frozen=True, slots=True)
class Event:
    """One change: seconds since the start, the stage that began, the reading, and what was done."""

    at_s: float
    stage: str
    reading: Reading
    what: str

    def to_json(self) -> dict[str, Any]:
        """For the run report."""
        return {
            "at_s": round(self.at_s, 3),
            "stage": self.stage,
            "used_bytes": self.reading.used,
            "room_bytes": self.reading.room,
            "stall_fraction": None if self.reading.stall is None else round(self.reading.stall, 3),
            "what": self.what,
        }


class Pressure:
    """The stage that a run is in, and its record.

    Args:
        clock: monotonic seconds.
        stalled_us: tells the microseconds for which everything has stalled so far; None when that is not told.
    """

    def __init__(self, clock: Callable[[], float], stalled_us: Callable[[], int | None] = lambda: None) -> None:
        self._clock = clock
        self._began = clock()
        self._stalled_us = stalled_us
        self._last = (self._began, stalled_us())
        self._better_since: float | None = None
        self._stall: float | None = None if self._last[1] is None else 0.0
        self.stage = Stage.CALM
        self.reading: Reading | None = None
        self.events: deque[Event] = deque(maxlen=MOST_EVENTS)

    def look(self, used: int, room: int, headroom: int) -> bool:
        """Take a reading; True when the stage has changed.

        Args:
            used: bytes of the whole tree.
            room: bytes that it may use.
            headroom: bytes that are to stay free.
        """
        now = self._clock()
        self._look_at_stalls(now)
        self.reading = Reading(used, room, headroom, self._stall)
        wanted = next_stage(self.stage, self.reading)
        if wanted >= self.stage:
            self._better_since = None
        elif self._better_since is None:
            self._better_since = now
        if wanted == self.stage or (self._better_since is not None and now - self._better_since < HOLD_S):
            return False
        self.stage, self._better_since = wanted, None
        return True

    def note(self, stage: str, what: str) -> Event:
        """Put into the record what was done about the last reading."""
        assert self.reading is not None
        event = Event(self._clock() - self._began, stage, self.reading, what)
        self.events.append(event)
        return event

    def _look_at_stalls(self, now: float) -> None:
        then, before = self._last
        if before is None or now - then < STALL_WINDOW_S:
            return
        total = self._stalled_us()
        self._stall = None if total is None else (total - before) / 1e6 / (now - then)
        self._last = (now, total)


def stall_file(groups: Sequence[Group], root: Path = Path("/")) -> Path | None:
    """Where stalls are told: by the tightest cgroup v2 that has a limit, else by the machine; None when nowhere."""
    limited = [(group.limit(), group.folder / "memory.pressure") for group in groups if group.version == 2]
    tightest = min(((size, path) for size, path in limited if size is not None), default=None, key=lambda pair: pair[0])
    candidates = [*([tightest[1]] if tightest else []), root / "proc/pressure/memory"]
    return next((path for path in candidates if full_stall_us(path) is not None), None)


def full_stall_us(path: Path) -> int | None:
    """Microseconds for which everything in a PSI file's scope has stalled; None when it can't be read."""
    try:
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] == ["full"]:
                return int(words[-1].removeprefix("total="))
    except (OSError, ValueError, IndexError):
        pass
    return None
