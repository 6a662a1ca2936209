"""A reservation: bytes and cores that one attempt holds, freed by scope.

Covers: the object that is held, what an idle worker holds, and the ``with`` / ``async with`` that waits for one.
Does not cover: who gets one and when (``budget``, ``admission``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol

from narrowboat.values import Demand


class Owner(Protocol):
    """Whoever gave a reservation, and takes it back: the budget."""

    def release(self, reservation: Reservation) -> None:
        """Take it back."""
        ...

    def resize(self, reservation: Reservation, size: int) -> bool:
        """Change its bytes; False when that much is not free."""
        ...

    def return_cores(self, reservation: Reservation) -> None:
        """Take lent cores back."""
        ...

    def release_parked(self, parked: Parked) -> None:
        """Take back what an idle worker held."""
        ...


class Parked:
    """What an idle worker holds while it waits for its next attempt; no cores.

    Attributes:
        kind: of the attempts that may take the worker over.
        bytes: how much it holds.
        recalled: it was asked to go; its bytes are free when it has gone.
        holder: the worker; whoever parked it knows what it is.
    """

    def __init__(self, kind: str, size: int, recall: Callable[[], None], *, holder: object, owner: Owner) -> None:
        self.kind = kind
        self.bytes = size
        self.recalled = False
        self.holder = holder
        self._recall = recall
        self._owner = owner

    def recall(self) -> None:
        """Ask the worker to go. For the budget."""
        self.recalled = True
        self._recall()

    def release(self) -> None:
        """The worker has gone; a second time does nothing."""
        self._owner.release_parked(self)


class Reservation:
    """What one attempt holds of the budget. Give it back with :meth:`release`, or use it as a context manager.

    Attributes:
        bytes: how much; changed by :meth:`resize` and when a core is lent.
        cores: how many it holds now.
        cores_allowed: how many it may keep busy; less than ``cores`` while lent ones are being given back.
        demand: what was asked for.
        takes: what the idle worker held that goes with it; None when there is none, or it has been taken.
        on_cores: called with ``cores_allowed`` when it changes, in the thread that changed it.
    """

    def __init__(self, size: int, cores: int, *, demand: Demand, label: str, owner: Owner, in_process: bool) -> None:
        self.bytes = size
        self.cores = cores
        self.cores_allowed = cores
        self.most_held = cores
        self.demand = demand
        self.label = label
        self.in_process = in_process
        self.takes: Parked | None = None
        self.on_cores: Callable[[int], None] = lambda _: None
        self._owner = owner

    def set_cores(self, cores: int) -> None:
        """Hold ``cores`` and allow their use. For the budget."""
        self.cores = self.cores_allowed = cores
        self.most_held = max(self.most_held, cores)
        self.on_cores(cores)

    def ask_back(self, cores: int) -> None:
        """Allow only ``cores`` from now on; the holder says when it has stopped. For the budget."""
        if self.cores_allowed != cores:
            self.cores_allowed = cores
            self.on_cores(cores)

    def give_back_cores(self) -> None:
        """The cores that were asked back are no longer busy."""
        self._owner.return_cores(self)

    def resize(self, size: int) -> bool:
        """Hold ``size`` bytes instead; False when that much is not free."""
        return self._owner.resize(self, size)

    def part(self, size: int) -> Reservation:
        """``size`` bytes of it as one of its own. For the budget."""
        self.bytes -= size
        demand = Demand(size, cores=0)
        return Reservation(size, 0, demand=demand, label=self.label, owner=self._owner, in_process=self.in_process)

    def release(self) -> None:
        """Give all of it back; a second time does nothing."""
        self._owner.release(self)

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Reserving:
    """Waits for a reservation on entering, and releases it on leaving; see ``Budget.reserve``."""

    def __init__(self, ask: Callable[[], Future[Reservation]], timeout: float | None) -> None:
        self._ask = ask
        self._timeout = timeout
        self._held: Reservation | None = None

    def __enter__(self) -> Reservation:
        future = self._ask()
        try:
            self._held = future.result(self._timeout)
        except BaseException:
            abandon(future)
            raise
        return self._held

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._held is not None:
            self._held.release()

    async def __aenter__(self) -> Reservation:
        future = self._ask()
        try:
            async with asyncio.timeout(self._timeout):
                self._held = await asyncio.wrap_future(future)
        except BaseException:
            abandon(future)
            raise
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, at)


def abandon(future: Future[Reservation]) -> None:
    """Stop waiting; a reservation that was granted in the meantime is given back."""
    if not future.cancel() and future.exception() is None:
        future.result().release()
