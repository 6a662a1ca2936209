"""The runner: takes jobs in, lets them run as they fit, and remembers all of it.

Covers: the life of a supervisor (home, journal, guard, fork server, ticks), submitting, ``map``, cancel, retry,
stopping.
Does not cover: one job's steps (``job``, ``attempts``), admission (``memory/``), what a pipeline does (``pipelines/``).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from narrowboat.errors import Cancelled, Interrupted, LeaseLost, NarrowboatError, StepFailed, UsageError, from_json
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, Claim, JobRow, NewJob
from narrowboat.memory.budget import Budget
from narrowboat.runner.attempts import StepRun, Workshop
from narrowboat.runner.control import ControlServer
from narrowboat.runner.entries import Entry, identify
from narrowboat.runner.job import Job, shown
from narrowboat.runner.outputs import want_outputs
from narrowboat.runner.pipeline import Pipeline, find_pipeline
from narrowboat.runner.records import NoRecord, Peaks
from narrowboat.runner.results import Result
from narrowboat.runner.scratch import Scratch, kill_leftovers
from narrowboat.runner.status import Live, Status, job_status
from narrowboat.runner.steps import Step, digest
from narrowboat.sources.locate import Source, locate
from narrowboat.values import Json
from narrowboat.workers.guard import Guard
from narrowboat.workers.start import ForkServer

TICK_S = 0.2
LEASE_S = 60.0
#: Seconds that steps are given to reach an item boundary when the run is stopped.
GRACE_S = 10.0
#: Results of ``map`` that wait for the caller before no further input is taken.
_RESULTS_AHEAD = 64


class Runner:
    """Runs jobs inside a budget; an async context manager.

    Args:
        memory: the limit (``"512M"``, bytes); None reads the container's or the machine's.
        cores: cores to use; None for all that this process may run on.
        home: where the journal and scratch are. None makes a temporary one that goes with the runner; with a folder,
            what was done or begun there before is not done again.
        preload: modules that the fork server imports, so that workers start with them.
        budget: in the place of ``memory`` and ``cores``; for tests.

    Raises:
        HomeHeld: on entering, when another supervisor holds the home.
    """

    def __init__(
        self,
        memory: str | int | None = None,
        *,
        cores: int | None = None,
        home: str | Path | None = None,
        preload: Sequence[str] = (),
        budget: Budget | None = None,
    ) -> None:
        self.budget = budget or Budget(memory, cores=cores)
        self._home = None if home is None else Path(home).expanduser().absolute()
        self._preload = preload
        self._entries: dict[str, Entry] = {}
        self._live: dict[str, Live] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._claims: dict[str, Claim] = {}
        self._cancelled: set[str] = set()
        self._queue: deque[str] = deque()
        self._once: dict[str, asyncio.Task[Json]] = {}
        self._changed = asyncio.Event()
        self._open = contextlib.AsyncExitStack()
        self.started = time.monotonic()
        self.stopping = False

    # -- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Runner:
        try:
            await self._enter()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def _enter(self) -> None:
        if self._home is None:
            self._home = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="narrowboat-")))
        self.home = self._home
        self.journal = await Journal.open(self.home, owner=f"{' '.join(sys.argv)[:200]}")
        self._open.push_async_callback(self.journal.close)
        await kill_leftovers(self.journal)
        self._scratch = Scratch(self.home, self.journal)
        await self._scratch.tidy()
        self._server = ForkServer(self._preload)
        self._open.push_async_callback(self._server.close)
        self.guard = Guard(self.budget, lambda: self._server.pid)
        self.budget.measure_with(helpers=self.guard.helpers_used, workers=self.guard.workers_used)
        self._shop = Workshop(self.budget, self.guard, self._server, Peaks(self.journal))
        self._shop.granted = self._pump
        self._server.start()
        self.guard.start()
        self._open.callback(self.guard.stop)
        await self._open.enter_async_context(ControlServer(self.home / "control.sock", self._answer))
        ticking = asyncio.create_task(self._tick(), name="narrowboat-tick")
        self._open.push_async_callback(_ended, ticking)

    async def __aexit__(self, *_: object) -> None:
        await self.stop(0 if not self.stopping else GRACE_S)
        await self._open.aclose()

    async def _tick(self) -> None:
        renewed = time.monotonic()
        while True:
            self.budget.refresh()
            self._pump()
            if time.monotonic() - renewed > LEASE_S / 3:
                renewed = time.monotonic()
                for claim in list(self._claims.values()):
                    with contextlib.suppress(LeaseLost):  # its own task finds out with its next write
                        await self.journal.renew(claim, LEASE_S)
            await asyncio.sleep(TICK_S)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Stop: running steps get ``grace_s`` seconds to reach an item boundary; what is committed is kept."""
        self.stopping = True
        self._queue.clear()
        self._shop.stop()
        tasks = list(self._tasks.values())
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)
        await self.abort()

    async def abort(self) -> None:
        """Stop at once: kill what runs; what is committed is kept."""
        self.stopping = True
        self._queue.clear()
        tasks = [*self._tasks.values(), *self._once.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- taking jobs in -----------------------------------------------------------------------------------------

    async def submit(
        self,
        pipeline: Pipeline | str,
        source: str,
        options: dict[str, Json] | None = None,
        *,
        out: str | Path | None = None,
        formats: Sequence[str] = (),
        again: bool = False,
        label: str | None = None,
    ) -> str:
        """Take in one job; its id.

        A job of the same pipeline, content and result-changing options is the same job: done, it is not done
        again, and formats that it has not written yet are written from the journal; failed or interrupted, it goes
        on. A source that can't even be found becomes a job that has failed.

        Args:
            out: folder of the outputs; the home's ``outputs`` when None.
            again: forget what was done and do it again.
        """
        found = find_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
        options = options or {}
        try:
            place = locate(source)
            identity = await identify(self, found, place, options)
        except NarrowboatError as error:
            return await self._submit_failed(found, source, options, error, label)
        row, created = await self.journal.submit(NewJob(found.name, identity, place.location, options, label))
        if again and not created and row.state != "running":
            row = await self.journal.restart(row.id)
        wanted = False
        if formats:
            folder = Path(out).expanduser().absolute() if out is not None else self.home / "outputs"
            wanted = await want_outputs(self.journal, row.id, folder, place.stem, formats)
        await self._take(row, found, place, wanted or again, options)
        return row.id

    async def _submit_failed(
        self, pipeline: Pipeline, source: str, options: dict[str, Json], error: NarrowboatError, label: str | None
    ) -> str:
        new = NewJob(pipeline.name, digest(["not found", pipeline.name, source]), source, options, label)
        row, created = await self.journal.submit(new)
        if not created and row.state in ENDED:
            row = await self.journal.restart(row.id)
        self._entries[row.id] = Entry(row.id, pipeline, Source("file", source, "source"))
        await self.journal.end(await self.journal.claim(row.id, LEASE_S), "failed", error.to_json())
        self._finished(row.id, "failed", error)
        return row.id

    async def _take(
        self, row: JobRow, pipeline: Pipeline, source: Source, wanted: bool, options: dict[str, Json]
    ) -> None:
        if row.id in self._entries and self._entries[row.id].state in ("queued", "running"):
            return
        entry = self._entries[row.id] = Entry(row.id, pipeline, source)
        if row.state == "done" and not wanted:
            entry.again = True
            self._finished(row.id, "done", None)
            return
        if row.state in ENDED:
            await self.journal.requeue(row.id, options=options)
        self._queue.append(row.id)
        self._pump()

    # -- running ------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Start jobs while those that run do not wait for room themselves."""
        while self._queue and not self.stopping and self._has_room():
            job_id = self._queue.popleft()
            entry = self._entries[job_id]
            entry.state = "running"
            self._live[job_id] = Live(job_id, shown(entry.source), waiting=True)
            self._tasks[job_id] = asyncio.create_task(self._run(entry), name=f"narrowboat-{job_id}")

    def _has_room(self) -> bool:
        return sum(live.waiting for live in self._live.values()) < self.budget.cores

    async def _run(self, entry: Entry) -> None:
        live = self._live[entry.id]
        state, error = "queued", None
        try:
            state, error = await self._work(entry, live)
        finally:
            entry.peak_used = max(entry.peak_used, live.peak_used)
            entry.seconds += time.monotonic() - entry.began
            self._live.pop(entry.id, None)
            self._tasks.pop(entry.id, None)
            self._claims.pop(entry.id, None)
            self._cancelled.discard(entry.id)
            self._finished(entry.id, state, error)
            self._pump()

    async def _work(self, entry: Entry, live: Live) -> tuple[str, NarrowboatError | None]:
        entry.began = time.monotonic()
        claim = self._claims[entry.id] = await self.journal.claim(entry.id, LEASE_S)
        job = Job(
            await self.journal.job(entry.id),
            claim,
            entry.source,
            journal=self.journal,
            shop=self._shop,
            live=live,
            scratch=await self._scratch.own(entry.id),
            once=self._do_once,
        )
        try:
            state, error = await self._outcome(entry, job)
        finally:
            entry.items_resumed = job.items_resumed
        if state == "queued":
            await self.journal.release(claim)
        else:
            await self.journal.end(claim, state, None if error is None else error.to_json())
            await self._scratch.remove(entry.id)
        return state, error

    async def _outcome(self, entry: Entry, job: Job) -> tuple[str, NarrowboatError | None]:
        try:
            await entry.pipeline.workflow(job)
            await self.journal.flush()
        except Interrupted as error:
            return "queued", error
        except NarrowboatError as error:
            return "failed", error
        except asyncio.CancelledError:
            if entry.id in self._cancelled:
                return "cancelled", Cancelled("it was cancelled")
            return "queued", Interrupted("the run was stopped; committed work is kept")
        except Exception as error:  # a mistake in a workflow must not take the run along
            return "failed", StepFailed(f"the workflow {entry.pipeline.name} raised {type(error).__name__}: {error}")
        return "done", None

    def _finished(self, job_id: str, state: str, error: NarrowboatError | None) -> None:
        entry = self._entries[job_id]
        entry.state, entry.error = state, error
        self._changed.set()
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_result(None)
        entry.waiters.clear()

    async def _do_once(self, key: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """Do ``work`` once for all who ask for ``key`` at the same time, or after it was done."""
        if key not in self._once:
            task = self._once[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._forget_once(key, done))
        return await asyncio.shield(self._once[key])

    def _forget_once(self, key: str, done: asyncio.Task[Json]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._once.pop(key, None)  # the next to ask tries again

    async def call(self, step: Step, given: Json, *, live: Live | None = None) -> Json:
        """Run one step that belongs to no job and is not journaled; its result.

        Raises:
            NarrowboatError: as the step ended.
        """
        scratch = self._scratch.root / f"call-{id(given):x}-{time.monotonic_ns():x}"
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            run = StepRun(
                self._shop,
                step,
                NoRecord(),
                live or Live("", ""),
                given=given,
                facts=given if isinstance(given, dict) else {},
                scratch=scratch,
            )
            return await run.result()
        finally:
            await self._scratch.drop(scratch)

    # -- a user's own function ----------------------------------------------------------------------------------

    async def map(
        self, step: Step | Callable[..., Any], inputs: Iterable[Json] | AsyncIterable[Json]
    ) -> AsyncGenerator[Result]:
        """Run a step on many inputs, as many at once as fit; results as they come.

        An input that fails gives a result with an error, and the others go on. Inputs are taken as there is room, so
        they may be endless. ``demand`` of the step is asked with the input when it is a dict, else with
        ``{"input": input}``.

        Raises:
            Interrupted: the runner was stopped.
        """
        chosen = step if isinstance(step, Step) else Step(step)
        results: asyncio.Queue[Result | None] = asyncio.Queue()
        feeder = asyncio.create_task(self._feed(chosen, inputs, results))
        try:
            while (result := await results.get()) is not None:
                yield result
            await feeder
        finally:
            await _ended(feeder)

    async def _feed(
        self, step: Step, inputs: Iterable[Json] | AsyncIterable[Json], results: asyncio.Queue[Result | None]
    ) -> None:
        pipeline = Pipeline(step.name, _mapped(step))
        pending: set[asyncio.Task[None]] = set()
        try:
            async for given in _each(inputs):
                while self._queue or not self._has_room() or results.qsize() >= _RESULTS_AHEAD:
                    await self._wait_for_change()
                if self.stopping:
                    raise Interrupted("the run was stopped; committed work is kept")
                task = asyncio.create_task(self._map_one(pipeline, step, given, results))
                pending.add(task)
                task.add_done_callback(pending.discard)
                await asyncio.sleep(0)
            await asyncio.gather(*pending)
        finally:
            for task in pending:
                task.cancel()
            results.put_nowait(None)

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), TICK_S)

    async def _map_one(
        self, pipeline: Pipeline, step: Step, given: Json, results: asyncio.Queue[Result | None]
    ) -> None:
        identity = digest(["map", step.function, step.version, step.engine, given])
        row, _ = await self.journal.submit(NewJob(pipeline.name, identity, step.function, {"input": given}))
        await self._take(row, pipeline, Source("file", "", step.name), False, {"input": given})
        await self.wait([row.id])
        entry = self._entries[row.id]
        if entry.state not in ENDED:
            raise Interrupted("the run was stopped; committed work is kept")
        done = await self.journal.step(row.id, step.name)

        async def items() -> AsyncGenerator[Json]:
            async for _, value in self.journal.items(row.id, step.name):
                yield value

        value = done.result if done is not None and entry.state == "done" else None
        results.put_nowait(Result(given, value, entry.error, row.id, items))
        del self._entries[row.id]  # endless inputs: only the journal keeps them all

    # -- from outside -------------------------------------------------------------------------------------------

    async def wait(self, job_ids: Iterable[str] | None = None) -> None:
        """Wait until the jobs (all of this run) have ended, or the run was stopped."""
        for job_id in list(self._entries if job_ids is None else job_ids):
            entry = self._entries[job_id]
            while entry.state in ("queued", "running") and not (self.stopping and job_id not in self._tasks):
                waiter = asyncio.get_running_loop().create_future()
                entry.waiters.append(waiter)
                await asyncio.wait([waiter], timeout=TICK_S)

    async def cancel(self, job_id: str) -> JobRow:
        """Cancel a job: a queued one at once, a running one by stopping its worker.

        Raises:
            NotFound: there is no such job.
            UsageError: it has ended.
        """
        row = await self.journal.job(job_id)
        if row.state in ENDED:
            raise UsageError(f"job {row.id} has ended already: {row.state}")
        row = await self.journal.request_cancel(row.id)
        if row.id in self._tasks:
            self._cancelled.add(row.id)
            self._tasks[row.id].cancel()
            await asyncio.wait([self._tasks[row.id]])
            return await self.journal.job(row.id)
        with contextlib.suppress(ValueError):
            self._queue.remove(row.id)
        await self._scratch.remove(row.id)
        if row.id in self._entries:
            self._finished(row.id, "cancelled", Cancelled("it was cancelled"))
        return row

    async def retry(self, job_id: str) -> JobRow:
        """Run a job again that failed, was cancelled or was interrupted; committed items are kept.

        Raises:
            NotFound: there is no such job.
            UsageError: it runs, or it is done.
        """
        row = await self.journal.job(job_id)
        if row.id in self._tasks or row.state == "done":
            raise UsageError(f"job {row.id} is {row.state}", hint="only what failed or was stopped can be retried")
        pipeline = find_pipeline(row.pipeline)
        if row.state in ENDED:
            row = await self.journal.requeue(row.id)
        try:
            source = locate(row.source)
        except NarrowboatError as error:
            self._entries[row.id] = Entry(row.id, pipeline, Source("file", row.source, "source"))
            await self.journal.end(await self.journal.claim(row.id, LEASE_S), "failed", error.to_json())
            self._finished(row.id, "failed", error)
            return await self.journal.job(row.id)
        await self._take(row, pipeline, source, True, row.options)
        return row

    def status(self) -> Status:
        """The live figures of this moment."""
        counts = dict.fromkeys(("queued", "running", *ENDED), 0)
        for entry in self._entries.values():
            counts[entry.state] += 1
        return Status(
            memory=self.budget.snapshot(),
            used=self.guard.used,
            peak_used=self.guard.peak_used,
            jobs=[job_status(live) for live in self._live.values()],
            counts=counts,
        )

    @property
    def entries(self) -> list[Entry]:
        """The jobs of this run, in the order of submission."""
        return list(self._entries.values())

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """A request from the control socket."""
        op = request.get("op")
        if op == "status":
            return self.status().to_json()
        if op in ("cancel", "retry"):
            row = await (self.cancel if op == "cancel" else self.retry)(str(request.get("id")))
            return {"id": row.id, "state": row.state, "reason": row.reason}
        raise UsageError(f"the control socket knows no {op!r}")


def error_of(row: JobRow) -> NarrowboatError | None:
    """Why a job ended, as an error."""
    return None if row.reason is None else from_json(row.reason)


def _mapped(step: Step) -> Callable[[Job], Awaitable[None]]:
    async def workflow(job: Job) -> None:
        given = job.options["input"]
        facts = given if isinstance(given, dict) else {"input": given}
        async with contextlib.aclosing(job.stream(step, given, facts)) as values:
            async for _ in values:
                pass

    return workflow


async def _each(inputs: Iterable[Json] | AsyncIterable[Json]) -> AsyncGenerator[Json]:
    if isinstance(inputs, AsyncIterable):
        async for given in inputs:
            yield given
    else:
        for given in inputs:
            yield given


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task of our own and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, NarrowboatError):
        await task
