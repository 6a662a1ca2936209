"""Who is watched, and who must go: the guard's decisions as functions of one reading.

Covers: the figures of one worker; whom to kill, if anybody, and why; how soon to look again.
Does not cover: reading and killing (``guard``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from narrowboat.memory.budget import GRACE, HEADROOM
from narrowboat.memory.trees import Tree
from narrowboat.sizes import format_size
from narrowboat.workers.groups import Slot

#: How far below the limit the sum of all is kept, in bytes: what the kernel needs to account in batches.
LAST_STAND = GRACE // 4
#: Bytes a second that one worker allocates flat out, as measured on the machine of the figures in ``guard``.
FASTEST = 5 * 10**9
SOONEST_S = 0.002
LATEST_S = 0.02


@dataclass(eq=False, slots=True)
class Watch:
    """One worker under guard; figures in bytes. ``peak`` starts anew with each attempt.

    Attributes:
        reserved: tells its reservation at any time.
        baseline: what the worker used when it had just been forked: pages shared with the fork server.
        growth: bytes a second by which it grew between the last two readings.
        killed: why the guard killed it, with the numbers; None while it has not.
        overran: it was killed for passing its own reservation, not for the sum of all.
        slot: its own cgroup; None where it has none.
        kills_before: kernel kills in the slot before this attempt: at its own limit, at one around it.
        kills: those in this attempt, as last counted.
    """

    pid: int
    reserved: Callable[[], int]
    baseline: int = 0
    used: int = 0
    growth: float = 0.0
    peak: int = 0
    killed: str | None = None
    overran: bool = False
    slot: Slot | None = None
    kills_before: tuple[int, int] = (0, 0)
    kills: tuple[int, int] = (0, 0)
    tree: Tree | None = field(default=None, repr=False)
    _read_at: float = 0.0

    @property
    def members(self) -> list[int]:
        """The pids of the worker and all that came from it, as last seen; those that have ended are not in it."""
        return [self.pid] if self.tree is None else self.tree.members

    @property
    def limit(self) -> int:
        """The bytes that its own cgroup may be charged, where it has one: its reservation and the grace.

        Pages that it shares with the fork server are charged there, so without this it would have them on top of the
        grace. It is charged for each that it writes to, so at most half the grace is taken off for them.
        """
        return self.reserved() + GRACE - min(self.baseline, GRACE // 2)

    @property
    def leaving(self) -> int:
        """Bytes of its processes that have ended which may not be free yet."""
        return 0 if self.tree is None else self.tree.leaving

    def measure(self) -> None:
        """Read what it uses now.

        Pages that it shares with its own children after a fork are counted for each; its cgroup knows better.
        """
        if self.tree is None:
            self.tree = Tree(self.pid)
        before, self.used = self.used, self.tree.used()
        if self.slot is not None and len(self.tree.members) > 1:
            self.used = min(self.used, self.slot.group.charged() + self.baseline)
        self.peak = max(self.peak, self.used)
        now = time.monotonic()
        self.growth = max(0, self.used - before) / max(now - self._read_at, SOONEST_S)
        self._read_at = now

    def close(self) -> None:
        """Close what reading it keeps open."""
        if self.tree is not None:
            self.tree.close()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whom to kill and why."""

    watch: Watch
    reason: str
    overran: bool


def decide(watches: Sequence[Watch], total: int, room: int) -> Verdict | None:
    """Who must go, if anybody: first who is over the own reservation, then the youngest when all are too many.

    The grace is let as long as there is room for it: when all together would be past the budget by half of it before
    the next look, as fast as they grow now, who is over the own reservation goes at once. Else one that has the whole
    budget and takes more, flat out, would be found by the kernel.

    Args:
        watches: the living workers, oldest first, with ``used`` as just read.
        total: bytes of the whole tree, supervisor and fork server included.
        room: bytes that the whole tree may use.
    """
    for watch in watches:
        reserved = watch.reserved()
        if watch.used > reserved + GRACE:
            return Verdict(watch, f"used {watch.used} bytes of {reserved} reserved", overran=True)
    coming = int(sum(watch.growth for watch in watches) * LATEST_S)
    over = [watch for watch in watches if watch.used > watch.reserved()]
    if over and total + coming > room - HEADROOM + GRACE // 2:
        watch = max(over, key=lambda each: each.used - each.reserved())
        reason = f"used {watch.used} bytes of {watch.reserved()} reserved, with {max(0, room - total)} left for all"
        return Verdict(watch, reason, overran=True)
    if watches and total > room - LAST_STAND:
        reason = f"all together used {format_size(total)} of {format_size(room)}, and it was the youngest"
        return Verdict(watches[-1], reason, overran=False)
    return None


def look_again_s(free: int) -> float:
    """Seconds until the next look, with ``free`` bytes before the limit: half of what filling them takes at least."""
    return min(max(free / (2 * FASTEST), SOONEST_S), LATEST_S)
