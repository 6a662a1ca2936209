"""Running a user's own function over many inputs.

Covers: ``Runner.map``: each input is a job of its own, inputs are taken as there is room, results given as they come.
Does not cover: the jobs (``scheduler``), attempts (``attempts``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import Any

from narrowboat.errors import Interrupted, NarrowboatError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, NewJob
from narrowboat.runner.entries import Entry
from narrowboat.runner.job import Job
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.results import Result
from narrowboat.runner.scheduler import Scheduler
from narrowboat.runner.steps import Step, digest
from narrowboat.sources.locate import Source
from narrowboat.values import Json

#: Results that wait for the caller before no further input is taken.
_AHEAD = 64


class Mapping:
    """One ``map``: a feeder that submits inputs, and the results that come of them."""

    def __init__(self, journal: Journal, scheduler: Scheduler, step: Step) -> None:
        self._journal = journal
        self._scheduler = scheduler
        self._step = step
        self._pipeline = Pipeline(step.name, self._workflow)
        self._results: asyncio.Queue[Result | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)

    async def results(self, inputs: Iterable[Json] | AsyncIterable[Json]) -> AsyncGenerator[Result]:
        """The results as they come."""
        feeder = asyncio.create_task(self._feed(inputs))
        try:
            while (result := await self._results.get()) is not None:
                yield result
                self._room.release()
            await feeder
        finally:
            await ended(feeder)

    async def _feed(self, inputs: Iterable[Json] | AsyncIterable[Json]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                async for given in _each(inputs):
                    await self._room.acquire()
                    await self._scheduler.wanted()
                    if self._scheduler.stopping:
                        raise Interrupted("the run was stopped; committed work is kept")
                    group.create_task(self._one(given))
                    await asyncio.sleep(0)  # let it be queued, so that `wanted` sees it
        except* NarrowboatError as errors:
            raise errors.exceptions[0] from None
        finally:
            self._results.put_nowait(None)

    async def _one(self, given: Json) -> None:
        step = self._step
        identity = digest(["map", step.function, step.version, step.engine, given])
        row, _ = await self._journal.submit(NewJob(step.name, identity, step.function, {"input": given}))
        async with self._scheduler.turn(row.id):
            entry = self._scheduler.entries.get(row.id) or await self._queued(row.id)
        await self._scheduler.wait([row.id])
        if entry.state not in ENDED:
            raise Interrupted("the run was stopped; committed work is kept")
        done = await self._journal.step(row.id, step.name)
        value = done.result if done is not None and entry.state == "done" else None
        self._results.put_nowait(Result(given, value, entry.error, row.id, lambda: self._items(row.id)))
        if self._scheduler.entries.get(row.id) is entry:  # not that of the same input, run again meanwhile
            del self._scheduler.entries[row.id]  # inputs may be endless: only the journal keeps them all

    async def _queued(self, job_id: str) -> Entry:
        """The entry of a job that this run does not have, as the journal has it now; queued if it is not done."""
        row = await self._journal.job(job_id)
        entry = Entry(row.id, self._pipeline, Source("file", "", self._step.name), state=row.state)
        if row.state in ("failed", "cancelled"):
            await self._journal.requeue(row.id)
        if row.state != "done":
            self._scheduler.add(entry)
        return entry

    async def _workflow(self, job: Job) -> None:
        given = job.options["input"]
        facts = given if isinstance(given, dict) else {"input": given}
        if self._step.client is not None:
            await job.run(self._step, given, facts)
            return
        async with contextlib.aclosing(job.stream(self._step, given, facts)) as values:
            async for _ in values:
                pass

    async def _items(self, job_id: str) -> AsyncGenerator[Json]:
        async for _, value in self._journal.items(job_id, self._step.name):
            yield value


async def _each(inputs: Iterable[Json] | AsyncIterable[Json]) -> AsyncGenerator[Json]:
    if isinstance(inputs, AsyncIterable):
        async for given in inputs:
            yield given
    else:
        for given in inputs:
            yield given


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task of our own and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, NarrowboatError):
        await task
