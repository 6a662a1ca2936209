"""Looking after a home that no supervisor holds: cancelling, and clearing out what has ended.

Covers: what is done in the journal directly, with the home locked meanwhile.
Does not cover: a home with a supervisor (its control socket), running anything (``runner``).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from narrowboat.disk import used_bytes
from narrowboat.errors import UsageError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, JobRow
from narrowboat.runner.resting import Resting
from narrowboat.runner.scratch import Scratch


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was cleared out, or would be: jobs, stray scratch folders, bytes on disk."""

    jobs: list[str]
    scratch: int
    freed_bytes: int


async def cancel(home: Path, job_id: str) -> JobRow:
    """Cancel a job that waits to go on.

    Raises:
        NotFound: there is no such job.
        UsageError: it has ended.
        HomeHeld: a supervisor has come.
    """
    async with await Journal.open(home, owner="cancel") as journal:
        row = await journal.job(job_id)
        if row.state in ENDED:
            raise UsageError(f"job {row.id} has ended already: {row.state}")
        row = await journal.request_cancel(row.id)
        await Scratch(home, journal).remove(row.id)
        await Scratch(home, journal).tidy()
        return row


async def cancel_label(home: Path, label: str) -> list[JobRow]:
    """Cancel the jobs of a label that wait to go on; none when there is none.

    Raises:
        HomeHeld: a supervisor has come.
    """
    async with await Journal.open(home, owner="cancel") as journal:
        rows = [await journal.request_cancel(job_id) for job_id in await journal.ids_in(("queued",), label)]
        for row in rows:
            await Scratch(home, journal).remove(row.id)
        await Scratch(home, journal).tidy()
        return rows


async def forget_sources(home: Path, which: str) -> list[str]:
    """Forget what failed of the sources that ``which`` means (see :meth:`Resting.forget`); how these were shown.

    Raises:
        HomeHeld: a supervisor has come.
    """
    if not home.is_dir():
        return []
    async with await Journal.open(home, owner="sources") as journal:
        return await Resting(journal).forget(which)


async def clean(home: Path, *, older_s: float | None, states: Sequence[str] = ENDED, dry: bool = False) -> Cleaned:
    """Forget jobs that have ended, and remove scratch that nobody owns. Outputs are not touched, nor is it forgotten
    which sources failed.

    Args:
        older_s: only jobs that ended so many seconds ago; None for any.
        states: only jobs that ended so.
        dry: change nothing.

    Raises:
        HomeHeld: a supervisor is at work.
    """
    if not home.is_dir():
        return Cleaned([], 0, 0)
    async with await Journal.open(home, owner="clean") as journal:
        rows = await journal.jobs(states=[state for state in states if state in ENDED])
        before = time.time() - (older_s or 0)
        chosen = [row.id for row in rows if older_s is None or (row.ended or 0) <= before]
        stray = await Scratch(home, journal).strays()
        if dry:
            return Cleaned(chosen, len(stray), sum(map(used_bytes, stray)))
        had = used_bytes(home / "scratch") + _journal_size(home)
        for job_id in chosen:
            for path in await journal.forget(job_id):
                shutil.rmtree(path, ignore_errors=True)
                await journal.disown_scratch(path)
        await Scratch(home, journal).tidy()
    return Cleaned(chosen, len(stray), max(0, had - used_bytes(home / "scratch") - _journal_size(home)))


def _journal_size(home: Path) -> int:
    return sum(path.stat().st_size for path in home.glob("journal.db*"))
