"""The journal's thread: every write, in the order it was asked for, committed in groups.

Covers: one thread that owns the writing connection; when to commit, and how durably; who is told of an error; what
is given up when the disk is full. Does not cover: what is written (the topics beside this file).

A write is queued with one of three urgencies. ``LATER`` waits for company, at most ``group_s`` seconds.
``NOW`` commits at once, with all that was queued before it: it survives the death of this process.
``DURABLE`` does so with a sync of the disk: it survives the death of the machine.

On a full disk a group is done again with space from the reserve. The last of the reserve is not for ``LATER`` writes:
those are refused then (items, whose jobs fail; lines of history and peaks, which are let go), so that ends of jobs can
still be written.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from narrowboat.errors import DiskFull, JournalError, NarrowboatError
from narrowboat.journal.database import as_error, no_space
from narrowboat.journal.reserve import AGAIN_S, FOR_ENDS, Reserve
from narrowboat.journal.rows import Claim

MOST_IN_A_GROUP = 1000  # writes: a group that is this large is committed before its time
MOST_BYTES = 1 << 20  # of their values; the same

Work = Callable[[sqlite3.Connection], Any]
_OF_ONE_WRITE = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)


class Urgency(IntEnum):
    """How soon, and how safely, a write is committed."""

    LATER = 0
    NOW = 1
    DURABLE = 2


@dataclass(slots=True)
class _Write:
    work: Work
    urgency: Urgency
    key: Claim | None = None
    size: int = 0
    future: asyncio.Future[Any] | None = None
    result: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class _Group:
    writes: list[_Write] = field(default_factory=list)
    urgency: Urgency = Urgency.LATER
    size: int = 0
    due: float = 0.0

    def add(self, write: _Write) -> None:
        self.writes.append(write)
        self.urgency = max(self.urgency, write.urgency)
        self.size += write.size

    def full(self) -> bool:
        return len(self.writes) >= MOST_IN_A_GROUP or self.size >= MOST_BYTES

    def take(self) -> list[_Write]:
        taken, self.writes = self.writes, []
        self.urgency, self.size = Urgency.LATER, 0
        return taken


class Writer:
    """Runs writes on a thread of its own.

    Args:
        db: a connection nobody else uses any more; closed by :meth:`stop`.
        path: of its file, for messages.
        reserve: space for when the disk is full.
        group_s: how long a ``LATER`` write waits for others, in seconds.
        monotonic: the clock that measures ``group_s``.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        reserve: Reserve,
        *,
        group_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db, self._path, self._reserve = db, path, reserve
        self._take_again = -math.inf  # when to see that the reserve is whole
        self._group_s, self._monotonic = group_s, monotonic
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._asked = self._settled = 0  # writes so far: the first is counted by who asks, the second by the thread
        self._late: dict[Claim | None, NarrowboatError] = {}
        self._untold: set[Claim | None] = set()
        self._durable = True  # as the connection comes
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="narrowboat-journal", daemon=True)
        self._thread.start()

    async def call(self, work: Work, urgency: Urgency) -> Any:
        """Do ``work`` and commit it; its result, once that is committed. It is done even if nobody waits."""
        self._check_open()
        future = asyncio.get_running_loop().create_future()
        self._asked += 1
        self._queue.put(_Write(work, urgency, future=future))
        return await future

    def later(self, work: Work, *, key: Claim | None = None, size: int = 0, urgency: Urgency = Urgency.LATER) -> None:
        """Queue ``work`` on ``size`` bytes. When it fails, :meth:`raise_late` of ``key`` tells."""
        self._check_open()
        self._asked += 1
        self._queue.put(_Write(work, urgency, key=key, size=size))

    def idle(self) -> bool:
        """True when all that was asked is committed, or was refused."""
        self._check_open()
        return self._settled == self._asked

    def backlog(self) -> int:
        """Writes that the thread has not looked at yet."""
        return self._queue.qsize()

    def raise_late(self, key: Claim, *, tells: bool = True) -> None:
        """Raise the first error that a queued write of ``key`` met, if any; ``tells`` somebody who waits."""
        error = self._late.get(key)
        if error is not None:
            if tells:
                self._untold.discard(key)
            raise error

    def forget_late(self, key: Claim) -> None:
        """The claim is over: its queued writes no longer matter."""
        self._late.pop(key, None)
        self._untold.discard(key)

    def raise_untold(self) -> None:
        """Raise an error of queued writes that nobody was told of yet. Claims that met one stay barred."""
        while self._untold:
            key = self._untold.pop()
            error = self._late.get(key)
            if key is None:
                self._late.pop(None, None)
            if error is not None:
                raise error

    def stop(self) -> None:
        """Commit what is queued, fold the log into the file, close. Blocks; harmless when done twice."""
        if not self._stopped:
            self._stopped = True
            self._queue.put(None)
        self._thread.join()

    def _check_open(self) -> None:
        if self._stopped:
            raise closed(self._path)

    def _run(self) -> None:
        group = _Group()
        while True:
            wait = max(0.0, group.due - self._monotonic()) if group.writes else None
            try:
                write = self._queue.get(timeout=wait)
            except queue.Empty:
                self._commit(group.take())
                continue
            if write is None:
                break
            if not group.writes:
                group.due = self._monotonic() + self._group_s
            group.add(write)
            # A burst of urgent writes shares one commit: go on while there are more.
            urgent = group.urgency > Urgency.LATER and self._queue.empty()
            if urgent or group.full() or self._monotonic() >= group.due:
                self._commit(group.take())
        self._commit(group.take())
        self._close()

    def _commit(self, group: list[_Write]) -> None:
        if not group:
            return
        error = self._try(group)
        while error is not None and no_space(error) and self._give(keep=FOR_ENDS):
            error = self._try(group)
        if error is not None and no_space(error):
            error = self._without_later(group, error)
        if error is not None:
            ours = as_error(error, self._path)
            for write in group:
                write.error = write.error or ours
        elif self._monotonic() >= self._take_again:
            self._take_again = math.inf if self._reserve.take() else self._monotonic() + AGAIN_S
        self._tell(group)

    def _try(self, group: list[_Write]) -> sqlite3.Error | None:
        """Do the writes in one transaction; what is wrong with the file, if anything: then none of them is done."""
        try:
            self._sync_mode(any(write.urgency is Urgency.DURABLE for write in group))
            self._db.execute("BEGIN IMMEDIATE")
            for write in group:
                self._apply(write)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            return error
        return None

    def _without_later(self, group: list[_Write], error: sqlite3.Error) -> sqlite3.Error | None:
        """Refuse the writes of a group that can do without, and do the others with the last of the reserve."""
        ours = as_error(error, self._path)
        needed = [write for write in group if write.urgency is not Urgency.LATER]
        for write in group:
            if write.urgency is Urgency.LATER:
                write.error = ours
                self._note(write)  # before the others are done: no success is committed behind a missing item
        problem = self._try(needed)
        while problem is not None and no_space(problem) and self._give(keep=0):
            problem = self._try(needed)
        return problem

    def _give(self, keep: int) -> bool:
        self._take_again = self._monotonic() + AGAIN_S
        given = self._reserve.give(keep=keep)
        if given:  # what the log holds is smaller in the file, and then the log begins again at its start
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return given

    def _sync_mode(self, durable: bool) -> None:
        if durable != self._durable:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _apply(self, write: _Write) -> None:
        write.result, write.error = None, None  # it may be done again
        self._db.execute("SAVEPOINT write")
        try:
            write.result = write.work(self._db)
        except _OF_ONE_WRITE as error:
            write.error = as_error(error, self._path)
        except sqlite3.Error:
            raise  # of the file, not of this write: the group fails
        except Exception as error:
            write.error = error
        if write.error is not None:
            self._db.execute("ROLLBACK TO write")
            self._note(write)
        self._db.execute("RELEASE write")

    def _tell(self, group: list[_Write]) -> None:
        waiting: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
        for write in group:
            self._note(write)
            if write.future is not None:
                waiting.setdefault(write.future.get_loop(), []).append(write)
        self._settled += len(group)
        for loop, writes in waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, writes)

    def _note(self, write: _Write) -> None:
        error = write.error
        if error is None or write.future is not None or (write.key is None and isinstance(error, DiskFull)):
            return
        known = error if isinstance(error, NarrowboatError) else JournalError(f"a write failed: {error}")
        if write.key not in self._late:
            self._late[write.key] = known
            self._untold.add(write.key)

    def _close(self) -> None:
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            pass  # the log stays beside the file, and is read at the next start
        finally:
            self._db.close()


def closed(path: Path) -> JournalError:
    """Somebody asks a journal that was closed."""
    return JournalError(f"the journal {path} is closed", path=str(path))


def _settle(writes: list[_Write]) -> None:
    for write in writes:
        future = write.future
        if future is None or future.done():  # nobody waits any more
            continue
        if write.error is not None:
            future.set_exception(write.error)
        else:
            future.set_result(write.result)
