"""The budget: what may be reserved in all, and who holds or waits for how much of it.

Covers: bytes and cores as two resources, first come first served with aging, refusal with numbers, cores lent
to whoever can use them while nobody waits, idle workers parked until somebody needs their bytes, pauses under
pressure, and ``Budget.reserve`` for code that stays in its own process.
Does not cover: what a step will need (``estimator``), or stopping those who take more (``workers/guard.py``).

Every method may be called from any thread. Nothing here sleeps: waiters are woken by releases and by
:meth:`Budget.refresh`, which the runner calls at each tick.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from narrowboat.errors import CannotFit
from narrowboat.memory.admission import AGED_AFTER_S, LEND_AFTER_S, Free, Grant, Waiter, admissible
from narrowboat.memory.machine import LinuxMachine, Machine, Room, free_cores
from narrowboat.memory.refusal import refusal
from narrowboat.memory.reservation import Parked, Reservation, Reserving
from narrowboat.memory.snapshot import Snapshot
from narrowboat.sizes import MIB, parse_size
from narrowboat.values import Demand

__all__ = ["AGED_AFTER_S", "LEND_AFTER_S", "Budget"]

#: How far past its reservation a worker is let before it is killed, in bytes.
GRACE = 16 * MIB
#: What is kept free between the budget and the limit, in bytes: the grace, and what a worker that allocates at
#: 1 GB/s adds between two polls at 50 Hz (16 MB at most as measured).
HEADROOM = 2 * GRACE
#: How long a declared demand that only others keep from fitting waits, with nothing of ours to wait for.
PATIENCE_S = 30.0


class Budget:
    """Shares the room of this process tree out in reservations.

    Args:
        memory: the limit (``"512M"`` or bytes); None reads the container's or the machine's.
        cores: cores to share out; None for all that this process may run on.
        headroom: bytes to keep free between the budget and the limit.
        machine: where readings come from; tests bring their own.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        memory: str | int | None = None,
        *,
        cores: int | None = None,
        headroom: int = HEADROOM,
        machine: Machine | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine = machine or LinuxMachine(None if memory is None else parse_size(memory))
        self.limit = self.machine.limit()
        self.cores = cores or free_cores()
        self.headroom = headroom
        self._clock = clock
        self._lock = threading.RLock()
        self._held: list[Reservation] = []
        self._waiters: list[Waiter] = []
        self._parked: list[Parked] = []  # least recently used first
        self._paused: str | None = None
        self._quiet_since = clock()
        self._workers_used: Callable[[], int] = lambda: 0
        self._helpers: Callable[[], int] = lambda: 0
        self._files: Callable[[], int] = lambda: 0
        self._own_floor = self.machine.supervisor_used()
        self._own, self._filed = self._own_floor, 0
        self._room = Room(self.limit.bytes, 0, self.limit.source)
        self.peak_reserved = 0
        self.refresh()

    # -- reading ------------------------------------------------------------------------------------------------

    def measure_with(
        self, *, helpers: Callable[[], int], workers: Callable[[], int], files: Callable[[], int] = lambda: 0
    ) -> None:
        """Tell how to measure the rest of the tree: helpers count as ours, workers against their reservations.

        Args:
            helpers: bytes of the processes beside the supervisor that do no job (the fork server).
            workers: bytes of all workers, pages that they still share with the fork server left out.
            files: bytes of our files that lie in memory (tmpfs): they count as ours.
        """
        self._helpers, self._workers_used, self._files = helpers, workers, files
        self.refresh()

    def refresh(self) -> None:
        """Read the machine again, give what has become free to who waits, lend idle cores, refuse the hopeless."""
        helpers, workers, files = self._helpers(), self._workers_used(), self._files()
        supervisor = self.machine.supervisor_used()
        room = self.machine.room(supervisor + helpers + workers + files)
        with self._lock:
            in_process = sum(r.bytes for r in self._held if r.in_process)
            self._own = max(supervisor - in_process, min(self._own_floor, supervisor)) + helpers
            self._filed = files
            self._room = room
            self._refuse_hopeless()
            self._recall(self._reserved() - self.bytes)  # others have grown: idle workers make room for them
            self._admit()
            self._lend()

    def files_used(self) -> int:
        """Bytes of our files that lie in memory, as read now."""
        return self._files()

    @property
    def bytes(self) -> int:
        """What reservations may add up to now; below zero when there is not even room for the supervisor."""
        return self._room.bytes - self._own - self._filed - self.headroom

    @property
    def ceiling(self) -> int:
        """What the budget would be if nobody else used any of the limit, and no file lay in memory."""
        return self.limit.bytes - self._own - self.headroom

    @property
    def room(self) -> Room:
        """What the whole tree may use, as last read."""
        return self._room

    def snapshot(self) -> Snapshot:
        """The figures of this moment."""
        with self._lock:
            return Snapshot(
                limit=self.limit,
                budget=self.bytes,
                reserved=self._reserved(),
                others=self._room.others_bytes,
                own=self._own + self._filed,
                cores=self.cores,
                cores_reserved=self._cores_reserved(),
                waiting=len(self._waiters),
                idle=self._idle(),
                paused=self._paused,
            )

    # -- reserving ----------------------------------------------------------------------------------------------

    def reserve(self, memory: str | int, *, cores: int = 0, label: str = "", timeout: float | None = None) -> Reserving:
        """Room for code that stays in this process: ``with budget.reserve("200M"): …`` or ``async with``.

        Entering waits until the bytes are free; leaving gives them back. Nothing is enforced on the caller's
        own process: this is a promise kept by the caller.

        Args:
            timeout: seconds to wait at most; then TimeoutError.

        Raises:
            CannotFit: on entering, when it is more than the whole budget.
        """
        demand = Demand(parse_size(memory), cores)
        return Reserving(lambda: self.request(demand, label=label, in_process=True), timeout)

    def check(self, demand: Demand, label: str = "") -> None:
        """Refuse what could never fit, without asking for it.

        Raises:
            CannotFit: the demand is above the whole budget, even if nobody else used any of the limit.
        """
        with self._lock:
            if demand.bytes > self.ceiling:
                raise self._refusal(Waiter(demand, label))

    def request(
        self,
        demand: Demand,
        *,
        label: str = "",
        learned: bool = False,
        in_process: bool = False,
        kind: str | None = None,
    ) -> Future[Reservation]:
        """Ask for room. The future ends with the reservation, or with CannotFit; cancel it to stop waiting.

        Args:
            demand: bytes and cores. More cores than there are are asked for as all of them.
            learned: the bytes come from measured peaks: more than the budget is clipped and runs alone.
            kind: of the idle workers that it could take over; see :meth:`park`.
        """
        waiter = Waiter(demand, label, learned, in_process, kind, since=self._clock(), future=Future())
        with self._lock:
            if not learned and demand.bytes > self.ceiling:
                waiter.future.set_exception(self._refusal(waiter))
                return waiter.future
            self._waiters.append(waiter)
            waiter.future.add_done_callback(self._left)
            self._admit()
            if not waiter.future.done() and demand.cores:
                self._call_in()
        return waiter.future

    def _left(self, future: Future[Reservation]) -> None:
        """Somebody may have stopped waiting: those who were kept behind may pass."""
        if future.cancelled():
            with self._lock:
                self._admit()

    def release(self, reservation: Reservation) -> None:
        """Give a reservation back; a second time does nothing.

        An idle worker that came with it and was not taken is idle again.
        """
        with self._lock:
            if reservation in self._held:
                self._held.remove(reservation)
                if reservation.takes is not None:
                    self._parked.append(reservation.takes)
                    reservation.takes = None
                self._admit()

    # -- idle workers -------------------------------------------------------------------------------------------

    def park(
        self, reservation: Reservation, kind: str, size: int, *, holder: object, recall: Callable[[], None]
    ) -> Parked:
        """Keep only ``size`` bytes of a reservation, for a worker that waits for its next attempt.

        A request of the same ``kind`` takes the worker over with its bytes; a request that would not fit otherwise
        has it recalled.

        Args:
            size: what the worker uses while it is idle; at most what the reservation has.
            holder: the worker.
            recall: called once, in any thread and with the budget locked, when the worker has to go; whoever
                ends it releases what is parked when it has gone.
        """
        with self._lock:
            parked = Parked(kind, min(size, reservation.bytes), recall, holder=holder, owner=self)
            if reservation in self._held:
                self._held.remove(reservation)
                self._parked.append(parked)
                self._admit()
            return parked

    def shrink_parked(self, parked: Parked, size: int) -> None:
        """The idle worker has given memory back and holds no more than ``size`` bytes now."""
        with self._lock:
            if size < parked.bytes:
                parked.bytes = size
                self._admit()

    def release_parked(self, parked: Parked) -> None:
        """An idle worker has gone; a second time does nothing."""
        with self._lock:
            if parked in self._parked:
                self._parked.remove(parked)
                self._admit()

    def recall_idle(self, size: int) -> int:
        """Ask idle workers to go, least recently used first, until ``size`` bytes are on their way; how many are."""
        with self._lock:
            return self._recall(size)

    # -- pressure -----------------------------------------------------------------------------------------------

    def pause(self, reason: str) -> None:
        """Admit nothing more while anything runs; what runs is not touched. Again with another reason changes it."""
        with self._lock:
            self._paused = reason

    def resume(self) -> None:
        """Admit again."""
        with self._lock:
            if self._paused is not None:
                self._paused = None
                self._admit()

    def resize(self, reservation: Reservation, size: int) -> bool:
        """Change a reservation's bytes in place; False when that much is not free, and nothing has changed."""
        with self._lock:
            more = size - reservation.bytes
            if more > 0 and more > self.bytes - self._reserved():
                return False
            reservation.bytes = size
            self._note_peak()
            self._admit()  # grown or shrunk, it may change whom those that wait stand in the way of
            return True

    def split(self, reservation: Reservation, size: int) -> Reservation:
        """``size`` bytes of a reservation as one of its own: nobody else can get them in between."""
        with self._lock:
            self._held.append(part := reservation.part(size))
            return part

    def return_cores(self, reservation: Reservation) -> None:
        """The holder has stopped using the lent cores that it was asked to give back."""
        with self._lock:
            reservation.cores = reservation.cores_allowed
            self._admit()

    # -- all below hold the lock --------------------------------------------------------------------------------

    def _reserved(self) -> int:
        return sum(reservation.bytes for reservation in self._held) + self._idle()

    def _idle(self) -> int:
        return sum(parked.bytes for parked in self._parked)

    def _recall(self, size: int) -> int:
        coming = sum(parked.bytes for parked in self._parked if parked.recalled)
        for parked in self._parked:
            if coming >= size:
                break
            if not parked.recalled:
                coming += parked.bytes
                parked.recall()
        return coming

    def _cores_reserved(self) -> int:
        return sum(reservation.cores for reservation in self._held)

    def _free(self) -> Free:
        return Free(self.bytes - self._reserved(), self.cores - self._cores_reserved())

    def _admit(self) -> None:
        self._waiters = [w for w in self._waiters if not w.future.cancelled()]
        while self._waiters and not (self._paused is not None and self._held):
            whole = Free(self.bytes, self.cores)
            made = admissible(self._waiters, self._free(), now=self._clock(), whole=whole, parked=self._parked)
            for parked in made.recalls:
                parked.recall()
            granted = [self._grant(grant) for grant in (made.grants[:1] if self._paused else made.grants)]
            if all(granted):
                break
        if self._kept_out():  # pages that workers were forked with and have made their own pass for others' use
            self._recall(sum(parked.bytes for parked in self._parked))
        if self._waiters:
            self._quiet_since = self._clock()

    def _grant(self, grant: Grant) -> bool:
        """Give it; False when the one who asked has stopped waiting, so that others may have it."""
        waiter = grant.waiter
        self._waiters.remove(waiter)
        if not waiter.future.set_running_or_notify_cancel():
            return False
        reservation = Reservation(
            grant.bytes,
            min(waiter.demand.cores, self.cores),
            demand=waiter.demand,
            label=waiter.label,
            owner=self,
            in_process=waiter.in_process,
        )
        if grant.takes is not None:
            self._parked.remove(grant.takes)
            reservation.takes = grant.takes
        self._held.append(reservation)
        self._note_peak()
        waiter.future.set_result(reservation)
        return True

    def _note_peak(self) -> None:
        self.peak_reserved = max(self.peak_reserved, self._reserved())

    def _lend(self) -> None:
        """Give an idle core to who can use it, when nobody has waited for a while."""
        if self._waiters or self._clock() - self._quiet_since < LEND_AFTER_S:
            return
        for reservation in self._held:
            free, demand = self._free(), reservation.demand
            if free.cores < 1 or reservation.cores >= min(demand.most_cores, self.cores):
                continue
            # A core that was held before is paid for already: its bytes are kept until the attempt ends.
            cost = demand.bytes_per_core if reservation.cores >= reservation.most_held else 0
            if free.bytes < cost <= free.bytes + self._idle():
                self._recall(cost - free.bytes)  # lent at the next refresh, when they have gone
            elif cost <= free.bytes:
                reservation.bytes += cost
                reservation.set_cores(reservation.cores + 1)
                self._note_peak()

    def _call_in(self) -> None:
        """Somebody waits for a core: ask the holders of lent ones to give them back."""
        for reservation in self._held:
            if reservation.cores > reservation.demand.cores:
                reservation.ask_back(reservation.demand.cores)

    def _kept_out(self) -> list[Waiter]:
        """Those who would not fit if we held nothing: others are in the way."""
        return [waiter for waiter in self._waiters if not waiter.learned and waiter.demand.bytes > self.bytes]

    def _refuse_hopeless(self) -> None:
        now = self._clock()
        for waiter in self._kept_out():
            if now - waiter.since > PATIENCE_S and not self._held and not self._parked:
                self._waiters.remove(waiter)
                waiter.future.set_exception(self._refusal(waiter))

    def _refusal(self, waiter: Waiter) -> CannotFit:
        figures = {"own": self._own, "files": self._filed, "headroom": self.headroom, "budget": max(self.bytes, 0)}
        label = waiter.label or "this reservation"
        return refusal(label, waiter.demand.bytes, limit=self.limit, room=self._room, **figures)
