"""Space that the journal keeps for itself, so that a disk which others have filled does not stop it.

Covers: ``HOME/journal.reserve``, a file of real blocks that is given back to the disk piece by piece, and taken again.
Does not cover: when (``writer``).
"""

from __future__ import annotations

import os
from pathlib import Path

from narrowboat.disk import allocate, free_bytes
from narrowboat.sizes import MIB

FILE = "journal.reserve"
#: Bytes of the whole reserve: two fillings of the log, which SQLite folds into the file at 4 MiB.
SIZE = 8 * MIB
#: Bytes that are given back at a time: little, so that whoever fills the disk does not get it all at once.
PIECE = MIB
#: Bytes that only ends of jobs, steps and attempts may take, not items: about a hundred ends.
FOR_ENDS = 4 * MIB
#: Seconds between two tries to take back what was given.
AGAIN_S = 10.0


class Reserve:
    """The reserve of one home; used by one thread at a time."""

    def __init__(self, home: Path, size: int = SIZE) -> None:
        self._path, self._whole = home / FILE, size

    def size(self) -> int:
        """Bytes that are kept now."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def give(self, keep: int = 0) -> bool:
        """Give a piece to the disk; False when only ``keep`` bytes are left."""
        size = self.size()
        if size <= keep:
            return False
        try:
            os.truncate(self._path, max(keep, size - PIECE))
        except OSError:
            return False
        return True

    def take(self) -> bool:
        """Take the whole of it, where that leaves as much again free; True when it is there."""
        missing = self._whole - self.size()
        if missing <= 0:
            return True
        if free_bytes(self._path) < missing + self._whole:
            return False
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        before = os.fstat(descriptor).st_size
        try:
            allocate(descriptor, self._whole)
        except OSError:  # somebody was faster: what came of it is worth nothing unless it is real
            os.ftruncate(descriptor, before)
            return False
        finally:
            os.close(descriptor)
        return True
