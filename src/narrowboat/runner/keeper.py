"""What a supervisor that goes on for months needs beside what a command does.

Covers: uploads that belong to nobody yet, going on with what an earlier supervisor left, forgetting jobs with their
outputs, letting go of jobs that have ended.
Does not cover: how uploads come in (``service/``), running jobs (``scheduler``), a home without a supervisor
(``upkeep``).
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from narrowboat.errors import NarrowboatError, UsageError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, JobRow
from narrowboat.runner.attempts import Workshop
from narrowboat.runner.scheduler import Scheduler
from narrowboat.runner.scratch import Scratch
from narrowboat.runner.space import Space
from narrowboat.runner.steps import Step
from narrowboat.sources.locate import safe_stem
from narrowboat.values import Facts

#: In whose name the journal has uploads of no job: none is called so, and the next start removes them.
NOBODY = "upload"
_SUFFIX_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that is on its way into scratch."""

    folder: Path
    path: Path


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

    # -- uploads ------------------------------------------------------------------------------------------------

    async def upload(self, name: str) -> Upload:
        """A place in scratch for a file that somebody calls ``name``; the journal knows of it before it is made.

        Raises:
            DiskFull, JournalError: it can't be had.
        """
        folder = self._scratch.root / f"upload-{secrets.token_hex(8)}"
        await self._journal.own_scratch(NOBODY, folder)
        folder.mkdir(parents=True)
        return Upload(folder, folder / harmless(name))

    async def make_room(self, upload: Upload, size: int) -> None:
        """Let the upload grow to ``size`` bytes.

        Raises:
            DiskFull: there is not so much.
        """
        await self._scratch.space.make_room(upload.path, size, "an upload")

    async def drop(self, upload: Upload) -> None:
        """Remove an upload that no job has taken over."""
        await self._scratch.drop(upload.folder)

    async def adopt(self, upload: Upload, job_id: str) -> bool:
        """Give an upload to the job that was submitted with it, whose end is its end; False when the job did not need
        it: it is done, or works on the same content from elsewhere. Then it is removed.
        """
        entry = self._scheduler.entries.get(job_id)
        path = str(upload.path)
        if entry is None or entry.state in ENDED or entry.source.location != path:
            await self.drop(upload)
            return False
        await self._journal.own_scratch(job_id, upload.folder)
        await self._journal.move(job_id, path)
        if entry.state in ENDED:  # meanwhile
            await self._scratch.remove(job_id)
        return True

    # -- jobs ---------------------------------------------------------------------------------------------------

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
        self.dismiss(row.id)

    def dismiss(self, job_id: str) -> None:
        """Keep nothing in memory of a job that has ended; the journal has it all."""
        entry = self._scheduler.entries.get(job_id)
        if entry is not None and entry.state in ENDED:
            del self._scheduler.entries[job_id]


def harmless(name: str) -> str:
    """``name`` as a file name without any way out of its folder: the last part of it, its suffix if that is plain."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    suffix = Path(last).suffix.lower()
    plain = suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= _SUFFIX_LENGTH
    return safe_stem(last) + (suffix if plain and suffix != "." else "")
