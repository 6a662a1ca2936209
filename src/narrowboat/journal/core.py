"""What the topics of the journal share: a way to write, a way to read, and who may write.

Covers: the reading thread, the check of claims, errors of a journal that only reads.
Does not cover: the writing thread (``writer``), any table (``jobs``, ``steps``, ``attempts``, ``records``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from narrowboat.errors import JournalError, LeaseLost, NotFound
from narrowboat.journal.addresses import Addresses
from narrowboat.journal.database import as_error, connect_reading
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import Claim
from narrowboat.journal.writer import Urgency, Writer, closed

T = TypeVar("T")
NOW, DURABLE = Urgency.NOW, Urgency.DURABLE


class Core:
    """Base of the topics; :class:`~narrowboat.journal.Journal` joins them."""

    def __init__(self, path: Path, owner: str, clock: Callable[[], float], writer: Writer | None) -> None:
        self._path, self._owner, self._clock, self._writer = path, owner, clock, writer
        self._addresses = Addresses(path.parent)
        self._reading: sqlite3.Connection | None = None
        self._closed = False
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="narrowboat-journal-read")

    def now(self) -> float:
        """Seconds since the epoch, by the clock of the journal."""
        return self._clock()

    def _writing(self) -> Writer:
        if self._writer is None:
            raise JournalError(f"the journal {self._path} was opened for reading only", path=str(self._path))
        return self._writer

    async def _write(self, work: Callable[[sqlite3.Connection], T], urgency: Urgency = DURABLE) -> T:
        found: T = await self._writing().call(work, urgency)
        return found

    def _later(self, work: Callable[[sqlite3.Connection], object], **kept: Any) -> None:
        self._writing().later(work, **kept)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise closed(self._path)
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read_now, work)

    def _read_now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db = self._reading or connect_reading(self._path)
            try:
                return work(db)
            finally:
                if db.execute("PRAGMA database_list").fetchone()["file"]:
                    self._reading = db
                else:  # no journal yet: look again next time
                    db.close()
        except sqlite3.Error as error:
            raise as_error(error, self._path) from error

    def _close_reading(self) -> None:
        self._closed = True
        self._reader.shutdown(wait=True)
        if self._reading is not None:
            self._reading.close()
            self._reading = None


def check_claim(db: sqlite3.Connection, claim: Claim) -> None:
    """Part of every write for a job, in its transaction.

    Raises:
        LeaseLost: the token moved on, the owner changed, or the job runs no more.
    """
    found = db.execute(queries("jobs")["holder"], {"job": claim.job_id}).fetchone()
    if found is not None and found["state"] == "running":
        if found["token"] == claim.token and found["owner"] == claim.owner:
            return
        why = f"it is {found['owner']}'s by token {found['token']}"
    else:
        why = "it is gone" if found is None else f"it is {found['state']}"
    raise LeaseLost(
        f"{claim.owner} no longer has job {claim.job_id} by token {claim.token}: {why}",
        job=claim.job_id,
        token=claim.token,
    )


def no_such_job(text: str, *, hint: str = "`narrowboat jobs` lists them") -> NotFound:
    """No job is meant by ``text``."""
    return NotFound(f"there is no job {text!r}", hint=hint, job=text)
