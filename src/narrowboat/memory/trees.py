"""What a process and all below it use, read again and again for little.

Covers: one worker's tree under a guard that looks up to 500 times a second; members that were seen once count until
they end, wherever they were re-parented to.
Does not cover: one reading of one process (``processes``), deciding anything (``workers/guard.py``).

Files of ``/proc`` are kept open: a read costs 1–2 µs, opening and closing it 10. Such a descriptor stays with its
process, so another one with the same pid is never read in its place. ``RssShmem`` is in ``status`` alone, which is dear
(20 µs): it is read again when the shared part of ``statm`` has changed by more than 1 MiB, and now and then. The
children of a process are listed by thread; the link count of its ``task`` folder tells when threads have come or gone.
Source: proc(5), proc_pid_statm(5), proc_tid_children(5).
"""

from __future__ import annotations

import contextlib
import os
import time

from narrowboat.memory.nameless import NamelessFiles
from narrowboat.memory.processes import is_ending, shmem
from narrowboat.sizes import MIB

#: Files that are kept open at most, in all trees: a process that forks without end must not use up our descriptors.
MOST_KEPT = 256
#: Seconds that the memory of a process which has ended takes at most to come back: the kernel frees about 5 GB a
#: second, and shows the process as empty before it has.
SETTLE_S = 0.25
#: Readings after which what is read seldom is read anyway: it may have changed and been made up for.
_SELDOM = 32
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _File:
    """A file of ``/proc``, kept open while few are. Raises OSError when its process has ended."""

    kept = 0
    __slots__ = ("_descriptor", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        if _File.kept < MOST_KEPT:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            _File.kept += 1

    def read(self, size: int) -> bytes:
        if self._descriptor is not None:
            return os.pread(self._descriptor, size, 0)
        with open(self._path, "rb", buffering=0) as file:
            return file.read(size)

    def place(self) -> int | str:
        """What names it for good: the descriptor, or the path when it is not kept open."""
        return self._path if self._descriptor is None else self._descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            _File.kept -= 1


class Process:
    """One process. Raises OSError on making when it has ended.

    Attributes:
        shmem: bytes of shared memory that it maps, as last read.
        nameless: its files in memory that have no name.
    """

    __slots__ = (
        "_age",
        "_children",
        "_held",
        "_shared",
        "_since",
        "_statm",
        "_task",
        "_threads",
        "nameless",
        "pid",
        "shmem",
    )

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._statm = _File(f"/proc/{pid}/statm")
        self._task = _File(f"/proc/{pid}/task")
        self._children: dict[str, _File] = {}
        self._threads = -1
        self._shared = 0
        self.shmem = 0
        self.nameless = NamelessFiles(pid)
        self._age = 0
        self._held = 0
        self._since: float | None = None

    def used(self) -> int:
        """Anonymous + shared memory in bytes; 0 when it has ended."""
        now = self._read()
        self._held = now or self._held
        return now

    def leaving(self) -> int:
        """Bytes that it held when it ended and the kernel may not have freed yet."""
        if is_ending(self.pid):
            return self._held
        self._since = self._since or time.monotonic()
        return self._held if time.monotonic() - self._since < SETTLE_S else 0

    def _read(self) -> int:
        try:
            _, resident, shared, *_ = self._statm.read(128).split()
        except (OSError, ValueError):
            return 0
        pages = int(shared)
        if abs(pages - self._shared) * _PAGE > MIB or self._age % _SELDOM == 0:
            self._shared, self.shmem = pages, shmem(self.pid)
        self._age += 1
        return (int(resident) - pages) * _PAGE + self.shmem

    def children(self) -> list[int] | None:
        """The living children, whichever thread started them; None when it has ended."""
        try:
            threads = os.stat(self._task.place()).st_nlink
            if threads != self._threads or self._age % _SELDOM == 1:
                self._list_threads()
                self._threads = threads
        except OSError:
            return None
        found: list[int] = []
        for file in self._children.values():
            try:
                found += map(int, file.read(1 << 16).split())
            except OSError:
                self._threads = -1  # that thread has ended: its children are another thread's now
        return found

    def _list_threads(self) -> None:
        now = set(os.listdir(self._task.place()))
        if not now:
            raise ProcessLookupError(self.pid)
        for thread in self._children.keys() - now:
            self._children.pop(thread).close()
        for thread in now - self._children.keys():
            with contextlib.suppress(OSError):
                self._children[thread] = _File(f"/proc/{self.pid}/task/{thread}/children")

    def close(self) -> None:
        """Close what is open."""
        for file in (self._statm, self._task, *self._children.values()):
            file.close()
        self._children = {}


class Tree:
    """A process and all that came from it.

    Attributes:
        members: those that live, as last read, the first one first.
        leaving: bytes of members that have ended and are not reaped yet, which may not be free yet.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.leaving = 0
        self._known: dict[int, Process] = {}
        self._behind = 0  # bytes of nameless files, as last seen
        self._gone_since: float | None = None
        self._add(pid)

    @property
    def members(self) -> list[int]:
        return list(self._known)

    def used(self) -> int:
        """Read all of it; bytes that can't be reclaimed. Pages that they share after a fork count for each.

        A nameless file counts once, and what is mapped of it may not count again: so of shared memory and such files
        the larger sum is taken.
        """
        total = leaving = mapped = 0
        files: dict[tuple[int, int], int] = {}
        queue = list(self._known.values())
        for process in queue:  # grows while it is walked
            children = process.children()
            if children is None:
                del self._known[process.pid]
                process.close()
                continue
            used = process.used()
            total += used
            mapped += process.shmem
            files |= process.nameless.read()
            leaving += 0 if used else process.leaving()
            for pid in children:
                if pid not in self._known and self._add(pid):
                    queue.append(self._known[pid])
        behind = max(0, sum(files.values()) - mapped)
        self.leaving = leaving + (0 if total or behind else self._behind_leaving())
        self._behind = behind or self._behind
        return total + behind

    def _behind_leaving(self) -> int:
        """Nameless files of processes that have all ended: the kernel frees them last."""
        if any(is_ending(pid) for pid in self._known):
            return self._behind
        self._gone_since = self._gone_since or time.monotonic()
        return self._behind if time.monotonic() - self._gone_since < SETTLE_S else 0

    def _add(self, pid: int) -> bool:
        try:
            self._known[pid] = Process(pid)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close what is open."""
        for process in self._known.values():
            process.close()
        self._known = {}
