"""The budget: what may be reserved in all, and who holds or waits for how much of it.

Covers: bytes and cores as two resources, first come first served with aging, refusal with numbers, cores lent
to whoever can use them while nobody waits, and ``Budget.reserve`` for code that stays in its own process.
Does not cover: what a step will need (``estimator``), or stopping those who take more (``workers/guard.py``).

Every method may be called from any thread. Nothing here sleeps: waiters are woken by releases and by
:meth:`Budget.refresh`, which the runner calls at each tick.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from narrowboat.errors import CannotFit
from narrowboat.memory.admission import AGED_AFTER_S, LEND_AFTER_S, Free, Waiter, admissible
from narrowboat.memory.machine import Limit, LinuxMachine, Machine, Room, free_cores
from narrowboat.memory.reservation import Reservation, Reserving
from narrowboat.sizes import MIB, format_size, parse_size
from narrowboat.values import Demand

__all__ = ["AGED_AFTER_S", "LEND_AFTER_S", "Budget", "Snapshot"]

#: How far past its reservation a worker is let before it is killed, in bytes.
GRACE = 16 * MIB
#: What is kept free between the budget and the limit, in bytes: the grace, and what a worker that allocates at
#: 1 GB/s adds between two polls at 50 Hz (16 MB at most as measured).
HEADROOM = 2 * GRACE
#: How long a declared demand that only others keep from fitting waits, with nothing of ours to wait for.
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The budget at one moment; all sizes in bytes."""

    limit: Limit
    budget: int
    reserved: int
    others: int
    own: int
    cores: int
    cores_reserved: int
    waiting: int

    @property
    def free(self) -> int:
        """What may still be reserved; below zero when others have grown since."""
        return self.budget - self.reserved


class Budget:
    """Shares the room of this process tree out in reservations.

    Args:
        memory: the limit (``"512M"`` or bytes); None reads the container's or the machine's.
        cores: cores to share out; None for all that this process may run on.
        machine: where readings come from; tests bring their own.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        memory: str | int | None = None,
        *,
        cores: int | None = None,
        machine: Machine | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine = machine or LinuxMachine(None if memory is None else parse_size(memory))
        self.limit = self.machine.limit()
        self.cores = cores or free_cores()
        self._clock = clock
        self._lock = threading.RLock()
        self._held: list[Reservation] = []
        self._waiters: list[Waiter] = []
        self._quiet_since = clock()
        self._workers_used: Callable[[], int] = lambda: 0
        self._helpers: Callable[[], int] = lambda: 0
        self._own_floor = self.machine.supervisor_used()
        self._own = self._own_floor
        self._room = Room(self.limit.bytes, 0, self.limit.source)
        self.peak_reserved = 0
        self.refresh()

    # -- reading ------------------------------------------------------------------------------------------------

    def measure_with(self, *, helpers: Callable[[], int], workers: Callable[[], int]) -> None:
        """Tell how to measure the rest of the tree: helpers count as ours, workers against their reservations.

        Args:
            helpers: bytes of the processes beside the supervisor that do no job (the fork server).
            workers: bytes of all workers, pages that they still share with the fork server left out.
        """
        self._helpers, self._workers_used = helpers, workers
        self.refresh()

    def refresh(self) -> None:
        """Read the machine again, give what has become free to who waits, lend idle cores, refuse the hopeless."""
        helpers, workers = self._helpers(), self._workers_used()
        supervisor = self.machine.supervisor_used()
        room = self.machine.room(supervisor + helpers + workers)
        with self._lock:
            in_process = sum(r.bytes for r in self._held if r.in_process)
            self._own = max(supervisor - in_process, min(self._own_floor, supervisor)) + helpers
            self._room = room
            self._refuse_hopeless()
            self._admit()
            self._lend()

    @property
    def bytes(self) -> int:
        """What reservations may add up to now; below zero when there is not even room for the supervisor."""
        return self._room.bytes - self._own - HEADROOM

    @property
    def ceiling(self) -> int:
        """What the budget would be if nobody else used any of the limit."""
        return self.limit.bytes - self._own - HEADROOM

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
                own=self._own,
                cores=self.cores,
                cores_reserved=self._cores_reserved(),
                waiting=len(self._waiters),
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
        self, demand: Demand, *, label: str = "", learned: bool = False, in_process: bool = False
    ) -> Future[Reservation]:
        """Ask for room. The future ends with the reservation, or with CannotFit; cancel it to stop waiting.

        Args:
            demand: bytes and cores. More cores than there are are asked for as all of them.
            learned: the bytes come from measured peaks: more than the budget is clipped and runs alone.
        """
        waiter = Waiter(demand, label, learned, in_process, since=self._clock(), future=Future())
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
        """Give a reservation back; a second time does nothing."""
        with self._lock:
            if reservation in self._held:
                self._held.remove(reservation)
                self._admit()

    def resize(self, reservation: Reservation, size: int) -> bool:
        """Change a reservation's bytes in place; False when that much is not free, and nothing has changed."""
        with self._lock:
            more = size - reservation.bytes
            if more > 0 and more > self.bytes - self._reserved():
                return False
            reservation.bytes = size
            self._note_peak()
            if more < 0:
                self._admit()
            return True

    def return_cores(self, reservation: Reservation) -> None:
        """The holder has stopped using the lent cores that it was asked to give back."""
        with self._lock:
            reservation.cores = reservation.cores_allowed
            self._admit()

    # -- all below hold the lock --------------------------------------------------------------------------------

    def _reserved(self) -> int:
        return sum(reservation.bytes for reservation in self._held)

    def _cores_reserved(self) -> int:
        return sum(reservation.cores for reservation in self._held)

    def _free(self) -> Free:
        return Free(self.bytes - self._reserved(), self.cores - self._cores_reserved())

    def _admit(self) -> None:
        self._waiters = [w for w in self._waiters if not w.future.cancelled()]
        for waiter in admissible(
            self._waiters, self._free(), now=self._clock(), alone=not self._held, whole=Free(self.bytes, self.cores)
        ):
            self._waiters.remove(waiter)
            if not waiter.future.set_running_or_notify_cancel():
                continue
            demand = waiter.demand
            size = min(demand.bytes, max(self.bytes, 1)) if waiter.learned else demand.bytes
            granted = Reservation(
                size,
                min(demand.cores, self.cores),
                demand=demand,
                label=waiter.label,
                owner=self,
                in_process=waiter.in_process,
            )
            self._held.append(granted)
            self._note_peak()
            waiter.future.set_result(granted)
        if self._waiters:
            self._quiet_since = self._clock()

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
            if cost <= free.bytes:
                reservation.bytes += cost
                reservation.set_cores(reservation.cores + 1)
                self._note_peak()

    def _call_in(self) -> None:
        """Somebody waits for a core: ask the holders of lent ones to give them back."""
        for reservation in self._held:
            if reservation.cores > reservation.demand.cores:
                reservation.ask_back(reservation.demand.cores)

    def _refuse_hopeless(self) -> None:
        now = self._clock()
        for waiter in list(self._waiters):
            too_long = now - waiter.since > PATIENCE_S and not self._held
            if not waiter.learned and waiter.demand.bytes > self.bytes and too_long:
                self._waiters.remove(waiter)
                waiter.future.set_exception(self._refusal(waiter))

    def _refusal(self, waiter: Waiter) -> CannotFit:
        demand, budget = waiter.demand.bytes, max(self.bytes, 0)
        others = self._room.others_bytes if self._room.bound_by != "machine" else 0
        needed = demand + self._own + HEADROOM + others
        taken = f"{format_size(self._own)} for the supervisor, {format_size(HEADROOM)} headroom"
        if others:
            taken += f", {format_size(others)} that others use"
        what = waiter.label or "this reservation"
        return CannotFit(
            f"{what} needs {format_size(demand)}, more than the whole budget of {format_size(budget)}:"
            f" the limit of {format_size(self.limit.bytes)} ({self.limit.source}) less {taken}",
            hint=f"a limit of {format_size(needed)} would do",
            demand_bytes=demand,
            budget_bytes=budget,
            limit_bytes=self.limit.bytes,
            needed_limit_bytes=needed,
        )
