"""Who of those that wait is let in: the policy, as a function of plain values.

Covers: first come first served over bytes and cores, small requests past a large one that waits, aging.
Does not cover: holding reservations or waking anybody (``budget``).

The large one is never starved: once it has waited for ``AGED_AFTER_S`` what it asks for is set aside, and others
pass only where they fit beside it. This is the idea of EASY backfilling (Lifka, 1995) with age in the place of a
predicted start, since nobody knows how long a step will run; Go's weighted semaphore is the stricter form, in
which nobody ever passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from narrowboat.memory.reservation import Reservation
from narrowboat.values import Demand

#: Seconds after which a waiting request is no longer passed by those that would delay it.
AGED_AFTER_S = 5.0
#: Seconds without anybody waiting after which idle cores are lent to those who can use more.
LEND_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Free:
    """What is free: bytes (may be below zero) and cores."""

    bytes: int
    cores: int

    def less(self, size: int, cores: int) -> Free:
        """What is left of it."""
        return Free(self.bytes - size, self.cores - cores)


@dataclass(eq=False, slots=True)
class Waiter:
    """One who asked: what for, since when, and the future that it waits on."""

    demand: Demand
    label: str = ""
    learned: bool = False
    in_process: bool = False
    since: float = 0.0
    future: Future[Reservation] = field(default_factory=Future)


def admissible(waiters: Sequence[Waiter], free: Free, *, now: float, alone: bool, whole: Free) -> list[Waiter]:
    """Those of ``waiters`` (in order of arrival) who are let in now.

    Args:
        free: what is free before anybody is let in.
        now: monotonic seconds, for the age.
        alone: nobody holds anything, so that a learned demand larger than the budget may run, clipped.
        whole: the budget and all cores. A demand for more cores asks for these. One for more bytes waits for others
            to leave the box, and keeps nobody behind meanwhile.
    """
    let_in: list[Waiter] = []
    for waiter in waiters:
        size, cores = waiter.demand.bytes, min(waiter.demand.cores, whole.cores)
        fits = size <= free.bytes and (cores <= free.cores or cores == 0)
        clipped = waiter.learned and alone and not let_in and free.bytes > 0
        if fits or clipped:
            let_in.append(waiter)
            free = free.less(size, cores)
        elif now - waiter.since >= AGED_AFTER_S and (size <= whole.bytes or waiter.learned):
            free = free.less(size, cores)
    return let_in
