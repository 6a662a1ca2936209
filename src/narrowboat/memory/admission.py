"""Who of those that wait is let in: the policy, as a function of plain values.

Covers: first come first served over bytes and cores, small requests past a large one that waits, aging, taking over
an idle worker, and which idle workers have to go for it.
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

from narrowboat.memory.reservation import Parked, Reservation
from narrowboat.values import Demand

#: Seconds after which a waiting request is no longer passed by those that would delay it.
AGED_AFTER_S = 15.0
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
    """One who asked: what for, since when, and the future that it waits on.

    Attributes:
        learned: more than the budget is asked for as all of it.
        kind: of the idle workers that it could take over; None for none.
    """

    demand: Demand
    label: str = ""
    learned: bool = False
    in_process: bool = False
    kind: str | None = None
    since: float = 0.0
    future: Future[Reservation] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Grant:
    """Who is let in, with how many bytes, and the idle worker that it takes over, whose bytes are part of them."""

    waiter: Waiter
    bytes: int
    takes: Parked | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """What is done now: who is let in, and which idle workers are asked to go."""

    grants: list[Grant] = field(default_factory=list)
    recalls: list[Parked] = field(default_factory=list)


def admissible(
    waiters: Sequence[Waiter], free: Free, *, now: float, whole: Free, parked: Sequence[Parked] = ()
) -> Admission:
    """Those of ``waiters`` (in order of arrival) who are let in now.

    Args:
        free: what is free before anybody is let in.
        now: monotonic seconds, for the age.
        whole: the budget and all cores. A demand for more cores asks for these. One for more bytes waits for others
            to leave the box, and keeps nobody behind meanwhile; a learned one is clipped to it, so runs alone.
        parked: what idle workers hold, least recently used first. Those asked to go already are on their way.
    """
    made = Admission()
    idle = [one for one in parked if not one.recalled]
    coming = sum(one.bytes for one in parked if one.recalled)
    for waiter in waiters:
        size, cores = waiter.demand.bytes, min(waiter.demand.cores, whole.cores)
        if waiter.learned:
            size = max(1, min(size, whole.bytes))
        takes = _to_take_over(waiter, size, idle)
        more = size - (takes.bytes if takes is not None else 0)
        enough_cores = cores <= free.cores or cores == 0
        if more <= free.bytes and enough_cores:
            made.grants.append(Grant(waiter, size, takes))
        elif enough_cores and more <= free.bytes + coming + sum(one.bytes for one in idle if one is not takes):
            # Idle workers are all that is in the way. What they give back is this one's, so it is set aside.
            others = [one for one in idle if one is not takes]
            recalled = _least_recent(others, more - free.bytes - coming)
            coming += sum(one.bytes for one in recalled)
            made.recalls.extend(recalled)
            idle = [one for one in idle if one not in recalled]
        elif now - waiter.since < AGED_AFTER_S or size > whole.bytes:
            continue
        free = free.less(more, cores)
        idle = [one for one in idle if one is not takes]
    return made


def _to_take_over(waiter: Waiter, size: int, idle: Sequence[Parked]) -> Parked | None:
    """The most recently used idle worker of the right kind that is no larger than what is asked for."""
    return next((one for one in reversed(idle) if one.kind == waiter.kind and one.bytes <= size), None)


def _least_recent(idle: Sequence[Parked], size: int) -> list[Parked]:
    """As many of ``idle``, from its beginning, as hold ``size`` bytes."""
    chosen: list[Parked] = []
    for one in idle:
        if size <= 0:
            break
        chosen.append(one)
        size -= one.bytes
    return chosen
