"""What is done while memory is short, short of killing: admission pauses, idle workers go, and both end again.

Covers: how much is left, read afresh while it is little; acting on the stages of pressure; the log of it.
Does not cover: when a stage begins (``memory/pressure``), whom to kill (``watch``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from narrowboat.memory.budget import Budget
from narrowboat.memory.pressure import NEAR, Pressure, Stage
from narrowboat.sizes import format_size
from narrowboat.workers.watch import LAST_STAND

#: Seconds between two fresh readings of the room while little is free, at most; fewer the less it is: a neighbour that
#: fills as many bytes a second must be seen in time. A reading of a v1 group costs 0.7 ms.
FRESH_S = 0.025
_NEIGHBOUR = 10**9
#: Seconds between two requests that idle workers go.
ASK_EVERY_S = 0.2

_DONE = {
    Stage.CALM: "work is admitted again",
    Stage.PAUSED: "no more work is admitted",
    Stage.SHEDDING: "idle workers are asked to go",
}
logger = logging.getLogger("narrowboat.guard")


class Relief:
    """Watches the sum of all.

    Args:
        budget: what is paused, and asked for idle workers.
        pressure: the stage, and the record of changes.
        leaving: tells the bytes that are on their way back from processes that have ended.
    """

    def __init__(self, budget: Budget, pressure: Pressure, leaving: Callable[[], int]) -> None:
        self._budget = budget
        self._leaving = leaving
        self._room: int | None = None  # bytes, read afresh while little is free
        self._read_at = 0.0
        self._known = budget.room
        self._asked_at = 0.0
        self.pressure = pressure

    @property
    def short(self) -> str | None:
        """What is done now, with the numbers; None while memory is not short."""
        if self.pressure.stage is Stage.CALM:
            return None
        return f"memory is short, {self.pressure.reading}: {_DONE[self.pressure.stage]}"

    def look(self, used: int) -> int:
        """Act on the bytes that the whole tree uses; what it may use."""
        now = time.monotonic()
        room = self._room_for(used, now)
        budget, pressure = self._budget, self.pressure
        if pressure.stage is Stage.CALM and room - used < budget.headroom and not budget.snapshot().reserved:
            return room  # there is nothing to relieve: a limit that is too small for anything is no pressure
        changed = pressure.look(used, room, budget.headroom)
        if changed and pressure.stage is Stage.CALM:
            budget.resume()
        elif changed:
            budget.pause(f"memory is short: {pressure.reading}")
        asked, free = 0, room - used
        near = free < NEAR * budget.headroom  # else the stage only waits to be left
        if pressure.stage is Stage.SHEDDING and near and (changed or now - self._asked_at >= ASK_EVERY_S):
            self._asked_at = now
            asked = budget.recall_idle(max(1, budget.headroom - free))
        if changed or asked:
            self._note(asked)
        return room

    def killed(self, pid: int) -> None:
        """The youngest worker was killed for the sum of all."""
        event = self.pressure.note("killing", f"the youngest worker was killed (process {pid})")
        logger.warning("%s: %s", event.what, event.reading)

    def _note(self, asked: int) -> None:
        stage = self.pressure.stage
        what = _DONE[stage] + (f" ({format_size(asked)} were asked back)" if asked else "")
        event = self.pressure.note(stage.name.lower(), what)
        logger.log(logging.INFO if stage is Stage.CALM else logging.WARNING, "%s: %s", event.what, event.reading)

    def _room_for(self, used: int, now: float) -> int:
        """What the tree may use. The budget's reading is up to a tick old; while little may be free it is read afresh.

        What is not free yet although its process shows nothing must cost nobody's life: it is not taken for others'.
        """
        known, machine = self._budget.room, self._budget.machine
        enough, surely = 2 * self._budget.headroom, machine.surely_free()
        if known.bytes - used >= enough and (surely is None or surely >= enough):
            self._room = None
            return known.bytes
        left = 0 if self._room is None else self._room - used
        after = min(FRESH_S, max(0, left - LAST_STAND) / (2 * _NEIGHBOUR))
        if now - self._read_at >= after or self._known is not known:
            self._room = machine.room(used + self._leaving()).bytes
            self._read_at, self._known = now, known
        return self._room if self._room is not None else known.bytes
