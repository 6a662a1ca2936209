"""Memory behind a process's descriptors: memfds, and files in tmpfs that have no name any more.

Covers: the bytes of such files that one process has open, read again and again for little.
Does not cover: mapped memory (``trees``); files in tmpfs that have a name: those outlive the process, and are scratch's
or the box's.

What is written to such a file and not mapped is in no figure of the process, and filled a box unseen at 1 GB/s. Of the
``fd`` folder the size is the number of descriptors (Linux 6.2 and newer; before, 0), which costs 1 µs to read; they are
listed again, 30 µs, when it has changed, and every ``LISTED_FOR_S``: one opened where another was closed leaves
the number as it was. (Every 32 looks in the place of this, a file grew for 0.56 s unseen, by 1.3 GiB.)
Source: proc_pid_fd(5), memfd_create(2).
"""

from __future__ import annotations

import os
import stat
import time
from functools import cache
from pathlib import Path

#: Seconds for which a list of descriptors is good.
LISTED_FOR_S = 0.008
#: Descriptors that are looked at: a step that opens thousands must not blind the guard.
_MOST = 256


class NamelessFiles:
    """Those of one process."""

    __slots__ = ("_count", "_folder", "_found", "_listed")

    def __init__(self, pid: int) -> None:
        self._folder = f"/proc/{pid}/fd"
        self._count = -1
        self._listed = 0.0
        self._found: list[str] = []

    def read(self) -> dict[tuple[int, int], int]:
        """Bytes by device and inode; empty when the process has ended, or may not be looked at."""
        try:
            count, now = os.stat(self._folder).st_size, time.monotonic()
            if count != self._count or now - self._listed >= LISTED_FOR_S:
                self._found = os.listdir(self._folder)[:_MOST]
                self._count, self._listed = count, now
        except OSError:
            return {}
        sizes: dict[tuple[int, int], int] = {}
        kept: list[str] = []
        for name in self._found:
            try:
                file = os.stat(f"{self._folder}/{name}")
            except OSError:
                continue
            if stat.S_ISREG(file.st_mode) and file.st_dev in _in_memory():
                kept.append(name)  # it may lose its name later
                if file.st_nlink == 0:
                    sizes[file.st_dev, file.st_ino] = file.st_blocks * 512
        self._found = kept
        return sizes


@cache
def _in_memory() -> frozenset[int]:
    """The devices of file systems that lie in memory: every tmpfs that is mounted, and where memfds are."""
    found = set()
    try:
        descriptor = os.memfd_create("narrowboat")
        found.add(os.fstat(descriptor).st_dev)
        os.close(descriptor)
    except (AttributeError, OSError):
        pass  # not Linux, or forbidden
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        head, _, tail = line.partition(" - ")
        if tail.split(maxsplit=1)[:1] == ["tmpfs"]:
            major, minor = head.split()[2].split(":")
            found.add(os.makedev(int(major), int(minor)))
    return frozenset(found)
