"""Workers that are kept for the next attempt of their kind, model loaded.

Covers: taking an idle worker over or starting one, keeping it after an attempt that ended well, ending it when its
room is needed, when it has grown, or when it has died; watching those at work for signs of life.
Does not cover: who gets which bytes (``memory/budget``), what an attempt is (``runner/attempts``).

An idle worker holds what it uses as a parked reservation. The budget hands it to the next request of the same kind
(step and engine), and recalls the least recently used ones when somebody else would not fit. A worker is kept only
after an attempt that is ``done``, with no process left below it: whatever else happened may have left it in a
state that nobody knows.
"""

from __future__ import annotations

import asyncio

from narrowboat.memory.budget import GRACE, Budget
from narrowboat.memory.reservation import Parked, Reservation
from narrowboat.workers.guard import Guard
from narrowboat.workers.server import ForkServer
from narrowboat.workers.start import Worker

#: A worker whose base has grown by this much since its first attempt is replaced: it leaks, or its allocator keeps
#: too much. The grace, in bytes: more would let a leak pass for an overrun of the next attempt.
MOST_GROWTH = GRACE
#: Idle workers that are kept at most. Each is a process; steps that need no core could run by the hundred.
MOST_IDLE = 16


class Pool:
    """The workers of one supervisor, at work and idle. One event loop, no locks."""

    def __init__(self, budget: Budget, guard: Guard, server: ForkServer) -> None:
        self._budget = budget
        self._guard = guard
        self._server = server
        self._at_work: set[Worker] = set()
        self._idle: dict[Worker, Parked] = {}  # least recently used first
        self._ending: set[asyncio.Task[None]] = set()

    async def begins_with(self) -> int:
        """Bytes that a new worker uses before it has done anything; see ``ForkServer``."""
        return await self._server.begins_with()

    async def start(self, reservation: Reservation) -> Worker:
        """A worker for an attempt that holds ``reservation``: the idle one that came with it, else a new one.

        Raises:
            WorkerDied: the fork server ended before it answered.
        """
        parked, reservation.takes = reservation.takes, None
        worker = None
        if parked is not None and isinstance(parked.holder, Worker):
            worker = parked.holder
            self._idle.pop(worker, None)
            if worker.alive:
                worker.hold(lambda: reservation.bytes)
            else:
                self._end(worker)
                worker = None
        if worker is None:
            worker = await Worker.start(self._server, self._guard, lambda: reservation.bytes)
        self._at_work.add(worker)
        return worker

    def keep(self, worker: Worker, reservation: Reservation, kind: str) -> bool:
        """Keep a worker whose attempt is done for the next of its kind; False when it is no good for that.

        What the worker does not need idle is given back to the budget.
        """
        used = self._guard.measure(worker.watch)
        worker.base = used if worker.base is None else worker.base
        grown = used - worker.base
        if not worker.alive or worker.watch.killed or len(worker.watch.members) > 1 or grown > MOST_GROWTH:
            return False
        self._at_work.discard(worker)
        loop = asyncio.get_running_loop()

        def recall() -> None:  # in whichever thread the budget was asked
            loop.call_soon_threadsafe(self._end, worker)

        parked = self._budget.park(reservation, kind, used, holder=worker, recall=recall)
        worker.hold(lambda: parked.bytes)
        self._idle[worker] = parked
        if len(self._idle) > MOST_IDLE:
            self._end(next(iter(self._idle)))
        return True

    def left(self, worker: Worker) -> None:
        """A worker at work has ended."""
        self._at_work.discard(worker)

    def stop(self) -> None:
        """Ask every step at work to stop at its next item."""
        for worker in self._at_work:
            worker.stop()

    def look(self, passed_s: float) -> None:
        """Look after all workers; ``passed_s`` seconds have passed since the last look.

        Those that give no sign of life are killed, idle ones that have died are buried, and idle ones that use less
        by now give the rest back.
        """
        self._server.look(passed_s)
        for worker in list(self._at_work):
            worker.look(passed_s)
        for worker, parked in list(self._idle.items()):
            if not worker.alive:
                self._end(worker)
            else:
                self._budget.shrink_parked(parked, worker.watch.used)

    async def close(self) -> None:
        """End every idle worker."""
        for worker in list(self._idle):
            self._end(worker)
        if self._ending:
            await asyncio.wait(self._ending)

    def _end(self, worker: Worker) -> None:
        """End an idle worker: it has nothing to lose. Its bytes are free when it has gone."""
        parked = self._idle.pop(worker, None)
        if parked is not None:
            parked.recalled = True  # nobody takes it over on its way out
        worker.kill()
        task = asyncio.create_task(self._bury(worker, parked))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _bury(self, worker: Worker, parked: Parked | None) -> None:
        await worker.bury()
        if parked is not None:
            parked.release()


def kind_of(function: str, engine: str) -> str:
    """What two attempts must have in common for one to take over the other's worker."""
    return f"{function} {engine}".strip()
