"""Running one step to its end, through as many attempts as it takes.

Covers: reserve, start, listen, remember, and what follows from how an attempt ended: an overrun starts again from
its cursor with twice the reservation, a fault counts, an attempt that was squeezed out starts again uncounted.
Does not cover: which step when (workflows), what attempts share (``workshop``), the processes (``workers/``), how an
ending is told (``workers/ending``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

from narrowboat.errors import Interrupted, NarrowboatError, Overrun, WorkerDied, from_json
from narrowboat.memory.budget import HEADROOM
from narrowboat.memory.estimator import Estimate, Peak, features
from narrowboat.memory.reservation import Reservation, abandon
from narrowboat.runner.records import Record
from narrowboat.runner.status import Live
from narrowboat.runner.steps import Step
from narrowboat.runner.workshop import Workshop
from narrowboat.sizes import format_size
from narrowboat.values import Facts, Item, Json
from narrowboat.workers.ending import Ending
from narrowboat.workers.pool import kind_of
from narrowboat.workers.protocol import Call
from narrowboat.workers.start import Worker

#: Faults in a row without a new item that fail a job.
FAULTS = 3
#: Kills by somebody else in a row without a new item that fail a job. They are no fault of the step's, but one that
#: is killed each time must not go on for ever.
KILLS = 10
#: How near the whole budget a reservation is when a larger one makes no sense, as a fraction.
_WHOLE = 0.98


class StepRun:
    """One step of one job on its way; iterate :meth:`items`, then read ``record.result``."""

    def __init__(
        self,
        shop: Workshop,
        step: Step,
        record: Record,
        live: Live,
        *,
        given: Json,
        facts: Facts,
        scratch: Path,
        alone: bool = False,
    ) -> None:
        self._shop = shop
        self._step = step
        self.record = record
        self._live = live
        self._given = given
        self._facts = facts
        self._scratch = scratch
        self._alone = alone  # hold the whole budget: the job may be what took supervisors along
        self._kind = None if step.fresh else kind_of(step.function, step.engine)  # of the workers that it takes over
        self._declared = step.demand(facts)
        self._at_least = 0  # bytes that the last overrun showed to be needed
        self._label = f"{step.name} of {live.source}" if live.source else step.name

    async def items(self) -> AsyncGenerator[Item]:
        """Run until the step is done; its new items as they come.

        Raises:
            CannotFit: it declared more than the whole budget.
            Overrun: it used the whole budget and wanted more.
            WorkerDied: three faults, or ten kills by somebody else, in a row without a new item.
            TimeLimit: an attempt took longer than the step may.
            Interrupted: the run is being stopped.
            NarrowboatError: what the step raised.
        """
        if self.record.done:
            return
        async with self._lane(), contextlib.aclosing(self._attempts()) as items:
            async for item in items:
                yield item

    def _lane(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The lane that the step is in from its first attempt to its last."""
        lanes, name = self._shop.lanes, self._step.lane
        if not lanes.has_room(name):
            self._live.waiting = False  # not for room: other jobs may start
            self._live.stage = f"{self._step.name}: waits for its turn, {lanes.limit(name)} at once"
            self._live.facts.clear()
        return lanes.enter(name)

    async def _attempts(self) -> AsyncGenerator[Item]:
        while not self.record.done:
            if self._shop.stopping:
                raise Interrupted("the run was stopped; committed work is kept")
            asked = await self._estimate()
            with await self._reserve(asked) as reservation:
                async with contextlib.aclosing(self._attempt(reservation)) as attempt:
                    async for got in attempt:
                        if isinstance(got, Item):
                            yield got
                        else:
                            await self._conclude(got, reservation)

    async def result(self) -> Json:
        """Run until the step is done; its result. Raises as :meth:`items` does."""
        async with contextlib.aclosing(self.items()) as items:
            async for _ in items:
                pass
        return self.record.result

    # -- what to reserve ----------------------------------------------------------------------------------------

    async def _estimate(self) -> Estimate:
        if self._alone:
            whole = replace(self._declared, bytes=max(self._shop.budget.bytes, 1), cores=self._shop.budget.cores)
            return Estimate(whole, learned=True)
        made = await self._shop.estimate(self._step, self._facts)
        if self._at_least > made.demand.bytes:
            return Estimate(replace(made.demand, bytes=self._at_least), learned=True)
        return made

    async def _reserve(self, asked: Estimate) -> Reservation:
        self._live.waiting = True
        self._live.stage = self._step.name
        self._live.facts.clear()  # they told of the step before
        future = self._shop.budget.request(asked.demand, label=self._label, learned=asked.learned, kind=self._kind)
        try:
            reservation = await asyncio.wrap_future(future)
        except BaseException:
            abandon(future)
            raise
        finally:
            self._live.waiting = False
        self._live.reserved = lambda: reservation.bytes
        self._shop.granted()
        return reservation

    # -- one attempt --------------------------------------------------------------------------------------------

    async def _attempt(self, reservation: Reservation) -> AsyncGenerator[Item | Ending]:
        """The items of one attempt, and last how it ended. Unless it is done, the worker is gone afterwards."""
        shop, started = self._shop, time.monotonic()
        kills_before = shop.budget.machine.kernel_kills()
        worker = await self._worker(reservation)
        self._live.used = lambda: worker.watch.used
        loop = asyncio.get_running_loop()

        def tell(cores: int) -> None:  # in whichever thread changed the reservation
            loop.call_soon_threadsafe(worker.set_cores, cores)

        reservation.on_cores = tell
        ending = Ending("stopped")
        try:
            await self.record.started(
                reservation.bytes, reservation.cores, self._declared.bytes, worker.pid, worker.ticks
            )
            answer: dict[str, Any] | None = None
            async with contextlib.aclosing(worker.attempt(self._call(reservation))) as frames:
                if shop.stopping:
                    worker.stop()
                async for frame in frames:
                    answer = frame
                    if frame["op"] == "item":
                        yield await self._take(frame, reservation)
                    elif frame["op"] == "progress":
                        self._progress(frame)
                    elif frame["op"] == "log":
                        self.record.log(frame["message"])
                    elif frame["op"] == "room":
                        worker.answer(await shop.make_room(frame, reservation.bytes))
            ending = await self._ending(worker, answer, kills_before)
        finally:
            reservation.on_cores = lambda _: None
            self._live.used = lambda: 0
            peak = worker.watch.peak  # before it is kept: its next attempt has a peak of its own
            if ending.outcome != "done" or not self._keep(worker, reservation):
                worker.kill()
                await worker.bury()
                shop.pool.left(worker)
                peak = worker.watch.peak
            seconds = time.monotonic() - started
            self._note_peak(peak, seconds, reservation, ending)
            await self.record.ended(ending.outcome, ending.error, peak, seconds)
        yield ending

    async def _worker(self, reservation: Reservation) -> Worker:
        """A worker for an attempt. The fork server may be killed meanwhile, and is started again for the next try."""
        tries = 1
        while True:
            try:
                return await self._shop.pool.start(reservation)
            except WorkerDied as error:
                if tries >= KILLS or self._shop.stopping:
                    raise
                self.record.log(f"no worker was started, {tries} times in a row: {error.message}")
                tries += 1

    def _keep(self, worker: Worker, reservation: Reservation) -> bool:
        if self._kind is None or self._shop.stopping:
            return False
        return self._shop.pool.keep(worker, reservation, self._kind)

    def _call(self, reservation: Reservation) -> Call:
        return Call(
            function=self._step.function,
            input=self._given,
            scratch=str(self._scratch),
            cursor=self.record.cursor,
            sequence=self.record.items,
            cores=max(1, reservation.cores_allowed),
            most_cores=max(1, min(max(self._declared.most_cores, self._declared.cores), self._shop.budget.cores)),
            main_path=self._step.main_path,
            path=self._shop.path,
            heartbeat=self._step.heartbeat,
            time_limit=self._step.time_limit or self._shop.time_limit,
            allowed_networks=self._shop.allowed_networks,
        )

    async def _take(self, frame: dict[str, Any], reservation: Reservation) -> Item:
        item = Item(frame["value"], frame["cursor"])
        await self.record.item(frame["seq"], item.cursor, item.value)
        if reservation.cores > reservation.cores_allowed:
            reservation.give_back_cores()  # what was in flight on the lent core has come
        return item

    def _progress(self, frame: dict[str, Any]) -> None:
        facts = {name: value for name, value in frame.items() if name not in ("op", "fraction", "stage")}
        self._live.facts.update(facts)
        self._live.facts["step_fraction"] = frame["fraction"]
        self._live.stage = frame["stage"] or self._step.name

    async def _ending(self, worker: Worker, answer: dict[str, Any] | None, kills_before: int) -> Ending:
        op = answer["op"] if answer is not None else None
        if answer is not None and op == "done":
            return Ending("done", result=answer["result"])
        if op == "stopped":
            return Ending("stopped")
        memory_error = answer is not None and op == "error" and answer["memory"]
        met_limit = op == "error" and worker.met_limit()  # what it raised is what came of that
        if answer is not None and op == "error" and not (memory_error or met_limit):
            return Ending("failed", error=from_json(answer["error"]))
        if op == "error":
            worker.kill()
        kernel_kills = self._shop.budget.machine.kernel_kills() - kills_before
        return await worker.ending(self._label, memory_error=memory_error, kernel_kills=kernel_kills)

    def _note_peak(self, peak: int, seconds: float, reservation: Reservation, ending: Ending) -> None:
        self._live.peak_used = max(self._live.peak_used, peak)
        if ending.outcome not in ("done", "overrun"):
            return
        lent = (
            reservation.most_held - min(self._declared.cores, reservation.most_held)
        ) * self._declared.bytes_per_core
        one_core = max(0, peak - lent)
        self._shop.peaks.learn(
            self._step,
            Peak(
                one_core,
                self._declared.bytes,
                censored=ending.outcome == "overrun",
                again=self._at_least > 0,
                features=features(self._facts),
            ),
            reserved=reservation.bytes,
            seconds=seconds,
        )

    # -- what follows -------------------------------------------------------------------------------------------

    async def _conclude(self, ending: Ending, reservation: Reservation) -> None:
        """Finish, go round again, or raise."""
        if ending.outcome == "done":
            await self.record.finish(ending.result)
        elif ending.outcome == "stopped":
            raise Interrupted("the run was stopped; committed work is kept")
        elif ending.outcome == "overrun":
            self._grow(ending, reservation)
        elif ending.outcome == "fault":
            assert ending.error is not None
            faults = await self.record.faults()
            self.record.log(f"fault {faults} of {FAULTS} in a row: {ending.error.message}")
            if faults >= FAULTS:
                raise _after(FAULTS, ending.error)
        elif ending.outcome == "killed":
            assert ending.error is not None
            kills = await self.record.kills()
            self.record.log(f"kill {kills} of {KILLS} in a row: {ending.error.message}")
            if kills >= KILLS:
                raise _after(KILLS, ending.error)
        elif ending.outcome == "failed":
            assert ending.error is not None
            raise ending.error
        elif ending.error is not None:
            self.record.log(ending.error.message)

    def _grow(self, ending: Ending, reservation: Reservation) -> None:
        assert ending.error is not None
        budget = max(self._shop.budget.bytes, 1)
        if reservation.bytes >= _WHOLE * budget:
            raise self._hopeless(ending.error, reservation.bytes, budget)
        self._at_least = min(2 * reservation.bytes, budget)
        self.record.log(f"{ending.error.message}; it starts again with {format_size(self._at_least)}")

    def _hopeless(self, error: NarrowboatError, reserved: int, budget: int) -> Overrun:
        peak = error.facts.get("peak_bytes", reserved)
        snapshot = self._shop.budget.snapshot()
        needed = max(peak, reserved)
        limit = needed + snapshot.own + HEADROOM + (snapshot.others if snapshot.limit.source != "machine" else 0)
        return Overrun(
            f"{self._label} used {format_size(peak)} and wanted more than the whole budget of {format_size(budget)}",
            hint=f"it needs a budget above {format_size(needed)}, so a limit above {format_size(limit)}",
            reserved_bytes=reserved,
            peak_bytes=peak,
            budget_bytes=budget,
            needed_bytes=needed,
        )


def _after(times: int, error: NarrowboatError) -> NarrowboatError:
    return type(error)(f"{error.message} ({times} times in a row)", hint=error.hint, **error.facts)
