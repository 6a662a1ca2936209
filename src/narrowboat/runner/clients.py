"""The workers of remote engines: one for all calls of a client.

Covers: starting the worker for its first call and keeping it while there are more, what it holds of the budget, whose
turn it is, pauses that a server asks for, what a worker's end means for the calls in it.
Does not cover: one call (``calls``), many calls in a process (``workers/calls``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from narrowboat.errors import NarrowboatError
from narrowboat.memory.budget import Budget
from narrowboat.memory.reservation import Reservation, abandon
from narrowboat.runner.stop import Stop
from narrowboat.values import Client, Demand
from narrowboat.workers.calls import Calls
from narrowboat.workers.pool import Pool

#: Ends of the shared worker in a row, without a call that ended well, that fail the calls in it.
ENDS = 5
#: The share of the budget that a client may grow to: its calls need room too.
_MOST = 0.9
#: Seconds that calls get to hear that their worker has ended.
CLOSE_S = 10.0


class Clients:
    """The shared workers of a run, by client and key, and the calls on their way."""

    def __init__(self, budget: Budget, pool: Pool, stop: Stop) -> None:
        self._budget = budget
        self._pool = pool
        self._stop = stop
        self._shared: dict[Client, Shared] = {}
        self._calls: set[asyncio.Task[Any]] = set()

    def of(self, client: Client) -> Shared:
        """The shared worker of a client."""
        if client not in self._shared:
            self._shared[client] = Shared(client, self._budget, self._pool, self._stop)
        return self._shared[client]

    def note(self, call: asyncio.Task[Any]) -> None:
        """A call is on its way, and goes on when its job does not wait for it any more."""
        self._calls.add(call)
        call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[Any]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # whoever waits for it has it; when nobody does, nobody wants it

    async def settled(self, seconds: float) -> None:
        """Wait until the calls on their way have ended, at most so long."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=seconds)

    async def close(self) -> None:
        """End the workers with whatever is in them."""
        for shared in self._shared.values():
            shared.end()
        await self.settled(CLOSE_S)
        for call in list(self._calls):
            call.cancel()
        await self.settled(CLOSE_S)


class Shared:
    """The one worker of a client, while somebody uses it. One event loop, no locks but for opening and closing.

    Its reservation is the client's own bytes, held from the first call to the last, and those of the calls in it, each
    held by its call. So is its limit.

    Attributes:
        passed: calls that ended as they should.
    """

    def __init__(self, client: Client, budget: Budget, pool: Pool, stop: Stop) -> None:
        self.client = client
        self.passed = 0
        self._budget = budget
        self._pool = pool
        self._stop = stop
        self._turns = asyncio.Semaphore(client.at_once)
        self._paused_until = 0.0
        self._least = 0  # bytes that it turned out to need
        self._base: Reservation | None = None
        self._calls: Calls | None = None
        self._held = 0  # bytes of the calls in it
        self._users = 0
        self._changing = asyncio.Lock()
        self._ends = 0  # of workers in a row
        self._last: NarrowboatError | None = None  # why the last one ended
        self._memory_error = False
        self._kernel_kills = 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until this call is among those that may be at work, and the server wants no pause."""
        async with self._turns:
            while (left := self._paused_until - time.monotonic()) > 0 and not self._stop.asked:
                await self._stop.sleep(left)
            yield

    def pause(self, seconds: float) -> None:
        """No call of this key starts for so long: the server has said so."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    # -- the worker ---------------------------------------------------------------------------------------------

    async def enter(self, demand: Demand, label: str) -> tuple[Calls, Reservation]:
        """Room for a call, and the calls of the worker that it goes to; :meth:`leave` comes after.

        Who waits for room holds none, and does not keep the worker: else a step that waits for the room that the client
        has would keep behind it the calls that the client stays for, and all would wait for ever.

        Raises:
            CannotFit: the client, or the call, is more than the whole budget.
            WorkerDied: no worker could be started.
        """
        while True:
            if self._open is not None:
                reservation = await self._room(demand, label)
                if self._open is not None:
                    self._users += 1
                    return self._open, reservation
                reservation.release()  # it has gone meanwhile
            async with self._changing:
                if self._open is None:
                    await self._bury()
                    self._users += 1
                    try:
                        self._calls, reservation = await self._start(demand)
                    except BaseException:
                        self._users -= 1
                        raise
                    return self._calls, reservation

    @property
    def _open(self) -> Calls | None:
        return self._calls if self._calls is not None and self._calls.alive else None

    async def with_call(self, call: Demand) -> Demand:
        """What the worker needs with one call in it: what any worker begins with, the client, and the call."""
        client = await self._pool.begins_with() + self.client.bytes
        return Demand(max(client, self._least) + call.bytes, cores=0)

    async def leave(self) -> None:
        """One user less; without any the worker is idle, and may be called back."""
        self._users -= 1
        if self._users == 0:
            await asyncio.shield(self._rest())

    def hold(self, reservation: Reservation, calls: Calls) -> None:
        """The worker may use these bytes too, from now until :meth:`let_go`."""
        if calls is self._calls:
            self._held += reservation.bytes

    def let_go(self, reservation: Reservation, calls: Calls) -> None:
        """A call has ended: give its bytes back."""
        if calls is self._calls:
            self._held -= reservation.bytes
        reservation.release()

    def well(self) -> None:
        """A call has ended as it should."""
        self.passed += 1
        self._ends = 0

    def end(self) -> None:
        """End the worker, if there is one."""
        if self._calls is not None:
            self._calls.worker.kill()

    def kill(self, calls: Calls) -> None:
        """End the worker: a call in it can't be ended otherwise. The others are made again."""
        if calls is self._calls:
            calls.worker.kill()

    async def gone(self, calls: Calls) -> None:
        """The worker of a call is gone: bury it. Calls in it are made again, and do not count.

        Raises:
            NarrowboatError: it has ended so often in a row that they are not.
        """
        async with self._changing:
            if calls is self._calls:
                await self._bury()
        if self._ends >= ENDS and self._last is not None:
            raise type(self._last)(
                f"{self._last.message} ({self._ends} times in a row)", hint=self._last.hint, **self._last.facts
            )

    def out_of_memory(self, calls: Calls) -> None:
        """A call was refused memory: what the others in the worker have is not to be trusted either."""
        if calls is self._calls:
            self._memory_error = True
            calls.worker.kill()

    async def _room(self, demand: Demand, label: str, *, learned: bool = False, kind: str | None = None) -> Reservation:
        future = self._budget.request(demand, label=label, learned=learned, kind=kind)
        try:
            return await asyncio.wrap_future(future)
        except BaseException:
            abandon(future)
            raise

    async def _start(self, first: Demand) -> tuple[Calls, Reservation]:
        """The worker with its first call's room, which are had together."""
        budget, label = self._budget, f"the client of {self.client.name}"
        both = await self.with_call(first)
        base = await self._room(both, label, learned=self._least > 0, kind=self._kind)
        reservation = budget.split(base, min(first.bytes, base.bytes - 1))
        try:
            worker = await self._pool.start(base)
        except BaseException:
            reservation.release()
            base.release()
            raise
        self._base, self._held, self._memory_error = base, 0, False
        self._kernel_kills = budget.machine.kernel_kills()
        worker.hold(lambda: base.bytes + self._held)
        return Calls(worker), reservation

    async def _rest(self) -> None:
        async with self._changing:
            calls, base = self._calls, self._base
            if self._users or calls is None or base is None:
                return
            if not calls.alive:
                await self._bury()
                return
            self._calls = self._base = None
            await calls.close()
            if self._stop.asked or not self._pool.keep(calls.worker, base, self._kind):
                calls.worker.kill()
                await calls.worker.bury()
                self._pool.left(calls.worker)
                base.release()

    async def _bury(self) -> None:
        calls, base = self._calls, self._base
        if calls is None or base is None:
            return
        self._calls = self._base = None
        kernel_kills = self._budget.machine.kernel_kills() - self._kernel_kills
        ending = await calls.worker.ending(
            f"the client of {self.client.name}", memory_error=self._memory_error, kernel_kills=kernel_kills
        )
        self._ends += 1
        self._last = ending.error
        self._pool.left(calls.worker)
        base.release()

        if ending.outcome == "overrun":  # the client is larger than was measured
            most = int(_MOST * self._budget.bytes)
            self._ends = ENDS if base.bytes >= most else self._ends
            self._least = min(2 * base.bytes, most)

    @property
    def _kind(self) -> str:
        return f"client {self.client.name}"
