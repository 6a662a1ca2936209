"""What a supervisor that goes on for months needs beside what a command does.

Covers: going on with what an earlier supervisor left, forgetting jobs with their outputs, letting go of jobs that have
ended, refusing early what could never fit.
Does not cover: running jobs (``scheduler``), a home without a supervisor (``upkeep``).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Awaitable, Callable

from narrowboat.errors import NarrowboatError, UsageError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, JobRow
from narrowboat.runner.scheduler import Scheduler
from narrowboat.runner.scratch import Scratch
from narrowboat.runner.space import Space
from narrowboat.runner.steps import Step
from narrowboat.runner.workshop import Workshop
from narrowboat.values import Facts


class Keeper:
    """Of one runner, as ``runner.keeper``."""

    def __init__(self, journal: Journal, shop: Workshop, scheduler: Scheduler, scratch: Scratch) -> None:
        self._journal = journal
        self._shop = shop
        self._scheduler = scheduler
        self._scratch = scratch

    @property
    def space(self) -> Space:
        """The room in scratch."""
        return self._scratch.space

    async def release(self, source: str) -> None:
        """Remove an upload that no job needs; nothing when ``source`` is none."""
        await self._scratch.uploads.release(source)

    async def resume(self, retry: Callable[[str], Awaitable[JobRow]]) -> int:
        """Queue what an earlier supervisor left, in the order of submission; how many there were.

        Args:
            retry: the runner's.
        """
        waiting = await self._journal.ids_in(("queued",))
        for job_id in waiting:
            with contextlib.suppress(NarrowboatError):  # its pipeline is not installed any more: it waits on
                await retry(job_id)
        return len(waiting)

    async def require(self, step: Step, facts: Facts | None = None) -> None:
        """Refuse now what could never fit.

        Raises:
            CannotFit: the step's declared demand is above the whole budget, and nothing else is known of it.
        """
        asked = await self._shop.estimate(step, facts or {})
        if not asked.learned:
            self._shop.budget.check(asked.demand, step.name)

    async def forget(self, job_id: str) -> None:
        """Delete a job that has ended: its outputs, its scratch, and all that the journal knows of it.

        Raises:
            NotFound: there is no such job.
            UsageError: it has not ended.
        """
        row = await self._journal.job(job_id)
        if row.state not in ENDED or self._scheduler.is_running(row.id):
            raise UsageError(f"job {row.id} is {row.state}", hint="cancel it first")
        for output in await self._journal.outputs(row.id):
            with contextlib.suppress(OSError):
                output.path.unlink(missing_ok=True)
        for path in await self._journal.forget(row.id):
            shutil.rmtree(path, ignore_errors=True)
            await self._journal.disown_scratch(path)
        await self.release(row.source)
        self.dismiss(row.id)

    def dismiss(self, job_id: str) -> None:
        """Keep nothing in memory of a job that has ended; the journal has it all."""
        entry = self._scheduler.entries.get(job_id)
        if entry is not None and entry.state in ENDED:
            del self._scheduler.entries[job_id]
