"""Workers in cgroups of their own: who is put where, with which limit, and what the kernel killed there.

Covers: a place for a worker that starts, its limit as its reservation changes, the kills of one attempt, and going on
with polling where a group fails.
Does not cover: making groups (``groups``), reading what a worker uses (``guard``).
"""

from __future__ import annotations

import logging
from typing import Any

from narrowboat.memory.budget import GRACE
from narrowboat.workers.groups import Slot
from narrowboat.workers.means import Means
from narrowboat.workers.watch import Watch

logger = logging.getLogger("narrowboat.guard")


class Places:
    """The places of one supervisor's workers; without worker groups none has any."""

    def __init__(self, means: Means) -> None:
        self._means = means

    @property
    def given(self) -> bool:
        """True when workers get places at all."""
        return self._means.groups is not None

    def take(self, reserved: int) -> Slot | None:
        """A group for a worker that is about to start, with a limit for so many bytes; None where it gets none.

        What it shares with the fork server is not known yet: :meth:`shrink` takes that off. May have to wait until the
        page cache of the worker before is dropped.
        """
        if self._means.groups is None:
            return None
        try:
            return self._means.groups.take(reserved + GRACE)
        except OSError as error:
            self.failed(error.strerror or str(error))
            return None

    def leave(self, slot: Slot | None) -> None:
        """Nobody is in the group any more."""
        if slot is not None and self._means.groups is not None:
            self._means.groups.give_back(slot)

    def failed(self, reason: str, slot: Slot | None = None) -> None:
        """A worker has no group, or one whose limit can't be set: polling guards it, whatever was chosen."""
        text = f"a worker could not be put into a cgroup of its own ({reason})"
        logger.warning("%s: polling guards it", text)
        self._means.polling = True
        self._means.absent.pop("polling", None)
        self._means.absent["cgroup"] = text
        self.leave(slot)

    def begins_with(self, slot: Slot | None) -> dict[str, Any]:
        """What the fork server is to give a worker before it runs anything."""
        return {
            "group": None if slot is None else str(slot.door),
            "oom_first": self._means.oom_score,
            "limit_data": self._means.rlimit,
        }

    def begin(self, watch: Watch) -> None:
        """A new attempt begins in the worker: kills are counted from now on."""
        if watch.slot is not None:
            watch.slot.renew()
            watch.kills_before = (watch.slot.own_kills, watch.slot.outer_kills)
        watch.kills = (0, 0)

    def grow(self, watch: Watch) -> None:
        """Let the worker's group have what is reserved now, when that is more than it is let have."""
        slot = watch.slot
        if slot is not None and slot.limit < watch.limit:
            self._fit(watch, slot)

    def shrink(self, watch: Watch) -> None:
        """Let it have no more than that; takes as long as reclaiming the page cache that is above it."""
        slot = watch.slot
        if slot is not None and slot.limit > watch.limit:
            self._fit(watch, slot)

    def _fit(self, watch: Watch, slot: Slot) -> None:
        try:
            slot.fit(watch.limit)
        except OSError as error:
            watch.slot = None
            self.failed(error.strerror or str(error), slot)

    def kills(self, watch: Watch) -> tuple[int, int]:
        """Kernel kills in the worker's group in this attempt: at its own limit, and at one around it.

        One at its own limit shows that it had come to it: its peak is at least that.
        """
        slot = watch.slot
        if slot is None:
            return watch.kills
        slot.count()
        own, outer = slot.own_kills - watch.kills_before[0], slot.outer_kills - watch.kills_before[1]
        if own:
            watch.peak = max(watch.peak, slot.limit)
        watch.kills = (own, outer)
        return watch.kills

    def forget(self, watch: Watch) -> None:
        """The worker has ended: what the kernel did is counted, and the group is free for another."""
        self.kills(watch)
        slot, watch.slot = watch.slot, None
        self.leave(slot)
