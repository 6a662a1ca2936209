"""The journal of a home: opened by one supervisor, read by anybody.

Covers: opening, recovery after a death, reading from a second process, closing.
Does not cover: the topics that it joins (``jobs``, ``steps``, ``attempts``, ``records``, ``remote_files``,
``failed_sources``, ``known_feeds``, ``notices``,
``requests``).
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from narrowboat.journal import database
from narrowboat.journal.addresses import settle
from narrowboat.journal.attempts import Attempts
from narrowboat.journal.failed_sources import FailedSources
from narrowboat.journal.jobs import Jobs, recover
from narrowboat.journal.known_feeds import KnownFeeds
from narrowboat.journal.lock import HomeLock
from narrowboat.journal.notices import Notices
from narrowboat.journal.records import Records
from narrowboat.journal.remote_files import RemoteFiles
from narrowboat.journal.requests import Requests
from narrowboat.journal.reserve import Reserve
from narrowboat.journal.steps import Steps
from narrowboat.journal.writer import Writer

GROUP_S = 0.5  # how long items wait for each other: what a power cut or a kill can take


class Journal(Jobs, Steps, Attempts, Records, RemoteFiles, FailedSources, KnownFeeds, Notices, Requests):
    """What a home remembers. Made by :meth:`open` or :meth:`read_only`.

    Coroutines that write return when the write is committed. Calls that are no coroutines queue a write that is
    committed within half a second, or with the next write that is not queued. Writes keep their order.
    """

    _lock: HomeLock | None = None

    @classmethod
    async def open(
        cls,
        home: Path,
        *,
        owner: str,
        clock: Callable[[], float] = time.time,
        group_s: float = GROUP_S,
    ) -> Journal:
        """Take ``home``, make it if need be, and recover from a supervisor that died in it.

        Args:
            home: folder of the journal.
            owner: in whose name jobs are claimed.
            clock: seconds since the epoch, for leases and times.
            group_s: how long queued writes wait for each other, in seconds.

        Raises:
            HomeHeld: another supervisor has it.
            JournalError: damaged, or of a newer version.
            UsageError, DiskFull: the home can't be used.
        """
        path, reserve = Path(home) / database.FILE, Reserve(Path(home))
        lock = await asyncio.to_thread(HomeLock, Path(home))
        try:
            db = await asyncio.to_thread(_open, path, clock(), reserve)
        except BaseException:
            lock.release()
            raise
        journal = cls(path, owner, clock, Writer(db, path, reserve, group_s=group_s))
        journal._lock = lock
        return journal

    @classmethod
    def read_only(cls, home: Path) -> Journal:
        """For a second process: only what reads works. A home without a journal is empty."""
        return cls(Path(home) / database.FILE, "", time.time, None)

    async def close(self) -> None:
        """Commit what is queued, and let go of the home. Harmless when done twice.

        Raises:
            NarrowboatError: a queued write failed, and nobody was told yet.
        """
        try:
            if self._lock is not None:
                await self.flush()
        finally:
            await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._close_reading()
        self._addresses.close()
        if self._writer is not None:
            self._writer.stop()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def __aenter__(self) -> Journal:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()


def _open(path: Path, now: float, reserve: Reserve) -> sqlite3.Connection:
    while True:
        try:
            return _recovered(path, now)
        except sqlite3.Error as error:
            if not (database.no_space(error) and reserve.give()):
                raise database.as_error(error, path) from error


def _recovered(path: Path, now: float) -> sqlite3.Connection:
    db = database.connect(path)
    try:
        recover(db, now)
        settle(db, path.parent)
    except BaseException:
        db.close()
        raise
    return db
