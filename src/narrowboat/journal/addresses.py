"""Whole addresses of jobs, apart from the journal: what a restart needs and nobody may see.

Covers: ``HOME/addresses/addresses.db``, which only its owner can read; addresses in journals of earlier versions, which
are moved there. It is made when the first address is to be kept that says more than what is shown of it.
Does not cover: what may be shown of an address (``narrowboat.shown``), fetching it (``sources/``).

An address is on the disk before its job is in the journal, and goes after the job has gone, so that no job is ever
without its own. What a death in between leaves over is removed when the home is opened next.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from narrowboat import disk
from narrowboat.errors import JournalError, NarrowboatError
from narrowboat.journal.database import BUSY_MS, CACHE_KIB, as_error, no_space
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import dump, load
from narrowboat.shown import safe_url
from narrowboat.values import Json

FOLDER, FILE = "addresses", "addresses.db"
T = TypeVar("T")
_SQL = queries("addresses")


class Addresses:
    """The addresses of one home, by the identity of their jobs. Its calls keep their order."""

    def __init__(self, home: Path) -> None:
        self.path = home / FOLDER / FILE
        self._db: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="narrowboat-addresses")

    async def keep(self, identity: str, address: Json) -> None:
        """Keep the address of a job, in the place of an earlier one: on the disk when this returns.

        Raises:
            DiskFull, JournalError: it can't be written.
        """
        values = {"identity": identity, "address": dump(address)}
        await self._do(lambda db: db.execute(_SQL["keep"], values).rowcount)

    async def get(self, identity: str) -> Json:
        """The address of a job; None when there is none."""
        if not self.path.exists():
            return None
        found = await self._do(lambda db: db.execute(_SQL["get"], {"identity": identity}).fetchone())
        return None if found is None else load(found[0])

    async def forget(self, identity: str) -> None:
        """The job is gone."""
        if self.path.exists():
            await self._do(lambda db: db.execute(_SQL["forget"], {"identity": identity}).rowcount)

    def close(self) -> None:
        """Blocks; harmless when done twice."""
        self._thread.shutdown(wait=True)
        if self._db is not None:
            self._db.close()  # the last connection: SQLite folds the log into the file
            self._db = None

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._now, work)

    def _now(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            self._db = self._db or connect(self.path)
            return work(self._db)
        except (sqlite3.Error, OSError) as error:
            raise _explained(error, self.path) from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes; makes the file, for its owner alone.

    Raises:
        sqlite3.Error, OSError: it can't be opened.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.parent.chmod(0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # its log gets the same rights
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for setting, value in (
            ("busy_timeout", BUSY_MS),
            ("cache_size", -CACHE_KIB),
            ("auto_vacuum", "FULL"),  # what is forgotten makes the file smaller
            ("journal_mode", "WAL"),
            ("synchronous", "FULL"),
            ("secure_delete", "ON"),
            ("journal_size_limit", 1 << 20),
        ):
            db.execute(f"PRAGMA {setting} = {value}")
        db.execute(_SQL["table"])
    except BaseException:
        db.close()
        raise
    return db


def settle(db: sqlite3.Connection, home: Path) -> None:
    """Bring addresses and journal in line when a home is opened: hide what an earlier version left open to read, and
    forget addresses whose jobs are gone.

    Args:
        db: the journal's own connection.

    Raises:
        sqlite3.Error: of the journal. NarrowboatError: of the addresses.
    """
    open_ones = [(row, shown) for row in db.execute(_SQL["not_looked_at"]) if (shown := safe_url(row[2])) != row[2]]
    path = home / FOLDER / FILE
    if not open_ones and not path.exists():
        db.execute(_SQL["looked_at"])
        return
    try:
        kept = connect(path)
        try:
            for (_, identity, source), _ in open_ones:
                kept.execute(_SQL["keep"], {"identity": identity, "address": dump({"url": source})})
        finally:
            kept.close()
    except (sqlite3.Error, OSError) as error:
        raise _explained(error, path) from error
    _hide(db, [(row[0], shown) for row, shown in open_ones])
    db.execute(_SQL["attach"], {"path": str(path)})
    try:
        db.execute("PRAGMA kept.secure_delete = ON")
        db.execute(_SQL["forget_strays"])
    finally:
        db.execute(_SQL["detach"])


def _hide(db: sqlite3.Connection, jobs: list[tuple[str, str]]) -> None:
    """Put what may be shown in the place of sources, so that nothing of them stays in the journal's files."""
    if jobs:
        db.execute("PRAGMA secure_delete = ON")
    db.execute("BEGIN IMMEDIATE")
    for job_id, shown in jobs:
        db.execute(_SQL["hide"], {"job": job_id, "source": shown})
    db.execute(_SQL["looked_at"])
    db.execute("COMMIT")
    if jobs:
        with contextlib.suppress(sqlite3.Error):  # no room for a second one: what is left are pieces of free pages
            db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        db.execute("PRAGMA secure_delete = OFF")


def _explained(error: sqlite3.Error | OSError, path: Path) -> NarrowboatError:
    if no_space(error) if isinstance(error, sqlite3.Error) else error.errno in disk.FULL:
        return disk.full(path, "the address of a job")
    if isinstance(error, sqlite3.Error):
        return as_error(error, path)
    return JournalError(
        f"the addresses {path} can't be opened: {error.strerror or error}",
        hint="check who owns the home and whether its file system is writable, or use another --home",
        path=str(path),
    )
