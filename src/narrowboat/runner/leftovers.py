"""Remote files that calls have left behind: removed when their job ends, and by the next start after a crash.

Covers: calling the step that removes each, and forgetting those that are gone.
Does not cover: writing down that they may be there (``calls``, ``journal/remote_files``), removing one (``engines/``).
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from narrowboat.errors import NarrowboatError
from narrowboat.journal.rows import RemoteFileRow
from narrowboat.runner.calls import CallRun
from narrowboat.runner.records import NoRecord
from narrowboat.runner.status import Live
from narrowboat.runner.steps import Step
from narrowboat.runner.workshop import Workshop

#: What one removal adds to the client.
_MEMORY = "2M"
#: Seconds that calls whose job has ended get to remove what they uploaded by themselves.
SETTLE_S = 5.0


class Leftovers:
    """Removes what is left in remote stores, beside everything else."""

    def __init__(self, shop: Workshop, scratch: Path) -> None:
        self._shop = shop
        self._scratch = scratch
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """What the journal has of earlier runs is left over: remove it. Fails nothing when it can't be done."""
        self._begin(None)

    def ended(self, job_id: str) -> None:
        """A job has ended: remove what its calls have left."""
        self._begin(job_id)

    async def close(self, seconds: float) -> None:
        """Remove all that is left, for at most so long; the rest is for the next start."""
        self._begin(None)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, job_id: str | None) -> None:
        task = asyncio.create_task(self._remove(job_id), name="narrowboat-leftovers")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _remove(self, job_id: str | None) -> None:
        with contextlib.suppress(NarrowboatError):  # the journal's: they stay written down
            rows = await self._shop.journal.remote_files(job_id)
            if rows and job_id is not None:
                await self._shop.clients.settled(SETTLE_S)
                rows = await self._shop.journal.remote_files(job_id)
            await asyncio.gather(*(self._remove_one(row) for row in rows))

    async def _remove_one(self, row: RemoteFileRow) -> None:
        step = Step(row.remove, memory=_MEMORY, name="remove", client=row.client)
        live, scratch = Live("", row.name), self._scratch
        call = CallRun(self._shop, step, NoRecord(), live, given=row.given, facts={}, scratch=scratch, clears=True)
        try:
            await call.result()
            await self._shop.journal.remote_file_gone(row.name)
        except NarrowboatError as error:
            if row.job_id:
                self._shop.journal.log(row.job_id, f"the remote file {row.name} may be there still: {error.message}")
