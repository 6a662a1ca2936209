"""Scratch as a resource: what is promised to whom, and who took without asking.

Covers: room for files in scratch, given so that no two jobs get the same; scratch that lies in memory, where room comes
out of the memory budget; the job whose files grow while the disk is as good as full.
Does not cover: what a step writes elsewhere (outputs, packs), the journal's reserve (``journal/reserve``).

A file that is given room gets real blocks where the file system can do that: then neither another job nor another
program can take them, and in memory they are charged to us and not to the group of the worker that fills them. What it
was given is its own under another name too, as long as it stays in its folder: a part that is finished is renamed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from narrowboat import disk
from narrowboat.errors import DiskFull
from narrowboat.memory.budget import PATIENCE_S, Budget
from narrowboat.sizes import MIB, format_size

#: Bytes that the files of a job may grow, unasked, while there is no room: notes, and items that are exported (at most
#: 2 MiB for ten hours of speech).
SLACK = 8 * MIB
_LOOK_S = 0.2  # seconds between two looks at the memory budget
_DISK_HINT = "free some, or use --home on a larger disk"
_MEMORY_HINT = "use --home on a disk, or allow more memory"


class Disk:
    """The seam for readings of the disk that scratch is on: the real one, or a test's. All figures in bytes."""

    def free(self, path: Path) -> int:
        """What may still be written."""
        return disk.free_bytes(path)

    def floor(self, path: Path) -> int:
        """What has to stay free."""
        return disk.floor_bytes(path)

    def used(self, path: Path) -> int:
        """What a file or folder takes."""
        return disk.used_bytes(path)

    def extend(self, path: Path, size: int) -> None:
        """Real blocks for a file; OSError when there are none."""
        disk.extend(path, size)

    def identity(self, path: Path) -> int | None:
        """What stays the same when a file is renamed, its inode; None when there is no such file."""
        try:
            return path.lstat().st_ino
        except OSError:
            return None

    def named(self, folder: Path, identity: int) -> Path | None:
        """The file of that identity in a folder."""
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            return next((Path(entry.path) for entry in entries if entry.inode() == identity), None)
        return None


@dataclass(slots=True)
class _Promise:
    """The bytes that a file may have in all, and the identity of the file once it is there."""

    size: int
    identity: int | None = None


class Memory(Protocol):
    """What scratch in memory is charged to. Figures in bytes."""

    def free(self) -> int:
        """What may still be taken, as read now."""
        ...

    def whole(self) -> int:
        """What could be free if nobody else held any."""
        ...


class BudgetMemory:
    """A budget, as scratch sees it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def free(self) -> int:
        """What is not reserved, idle workers left out, as read now."""
        self._budget.refresh()
        figures = self._budget.snapshot()
        return figures.free + figures.idle

    def whole(self) -> int:
        """The budget."""
        return self._budget.bytes


class Space:
    """The room in the scratch of one home. Used from the event loop.

    Args:
        scratch: the folder; it need not exist yet.
        memory: the memory budget, when scratch lies in memory.
        readings: of the disk.
        patience_s: seconds to wait at most for memory that others hold.
    """

    def __init__(
        self,
        scratch: Path,
        memory: Memory | None = None,
        readings: Disk | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._scratch = scratch
        self._memory = memory
        self._patience_s = patience_s
        self._disk = readings or Disk()
        self._given: dict[Path, _Promise] = {}
        self._unasked: dict[Path, int] = {}  # by folder: what it had while there was room

    async def make_room(self, path: Path, size: int, what: str, held: int = 0) -> None:
        """Let the file ``path`` grow to ``size`` bytes in all; what was given before is part of it.

        Args:
            path: a file below scratch; of others only the disk is looked at.
            size: bytes.
            what: what needs it, for the message.
            held: bytes of memory that the one who asks has reserved: nothing frees them while it waits.

        Raises:
            DiskFull: there is not so much, with the numbers.
        """
        used = self._disk.used(path)
        if not path.is_relative_to(self._scratch):
            disk.require(path, size - used, what)
            return
        more = size - used
        if more <= 0:
            return
        before = self._given.get(path)
        await self._memory_for(path, size - max(used, before.size if before else 0), what, held)
        self._check_disk(path, more, what)
        promise = self._given[path] = _Promise(size)  # from here on nobody else gets it
        try:
            await asyncio.to_thread(self._disk.extend, path, size)
        except OSError as error:
            self._take_back(path, before)
            if error.errno in disk.FULL:
                raise self._refusal(path, more, what) from error
            raise disk.full(path, what) from error
        promise.identity = self._disk.identity(path)

    def _take_back(self, path: Path, before: _Promise | None) -> None:
        if before is None:
            self._given.pop(path, None)
        else:
            self._given[path] = before

    def free(self) -> int:
        """Bytes that could be given now."""
        free = self._on_disk()
        return free if self._memory is None else min(free, self._memory.free() - self.promised())

    def most(self) -> int:
        """Bytes that could be given if nobody held memory."""
        free = self._on_disk()
        return free if self._memory is None else min(free, self._memory.whole() - self.promised())

    def held(self, folder: Path) -> int:
        """Bytes that a folder of scratch takes, and what was given in it beside."""
        return self._disk.used(folder) + self._unused(lambda path: path.is_relative_to(folder))

    def _on_disk(self, but: Path | None = None) -> int:
        return self._disk.free(self._scratch) - self._disk.floor(self._scratch) - self.promised(but=but)

    def _check_disk(self, path: Path, more: int, what: str) -> None:
        if more > self._on_disk(but=path):
            raise self._refusal(path, more, what)

    def _refusal(self, path: Path, more: int, what: str) -> DiskFull:
        return disk.no_room(
            path,
            more,
            what,
            free=self._disk.free(self._scratch),
            floor=self._disk.floor(self._scratch),
            promised=self.promised(but=path),
        )

    async def _memory_for(self, path: Path, more: int, what: str, held: int) -> None:
        """Wait a while for what others hold, and no longer: they may wait for what this job holds."""
        if self._memory is None or more <= 0:
            return
        waited = 0.0
        while more > (free := self._memory.free() - self.promised(but=path)):
            if more > self._memory.whole() - held or waited >= self._patience_s:
                raise DiskFull(
                    f"{what} needs {format_size(more)} in {path.parent}, which lies in memory:"
                    f" {format_size(max(0, free))} of the budget are free",
                    hint=_MEMORY_HINT,
                    path=str(path),
                    needed_bytes=more,
                    free_bytes=max(0, free),
                )
            await asyncio.sleep(_LOOK_S)
            waited += _LOOK_S

    @property
    def in_memory(self) -> bool:
        """Whether scratch lies in memory."""
        return self._memory is not None

    def promised(self, but: Path | None = None) -> int:
        """What was given and is not used yet, in bytes, ``but`` for one file."""
        return self._unused(lambda path: path != but)

    def _unused(self, of: Callable[[Path], bool]) -> int:
        self._follow()
        return sum(max(0, promise.size - self._disk.used(path)) for path, promise in self._given.items() if of(path))

    def _follow(self) -> None:
        """What was given goes with a file that was renamed, and is over with one that is gone."""
        for path, promise in list(self._given.items()):
            if promise.identity is None or self._disk.identity(path) is not None:
                continue
            del self._given[path]
            if (name := self._disk.named(path.parent, promise.identity)) is not None:
                self._given[name] = promise

    def settle(self, folder: Path) -> None:
        """No step of a job runs: what its files were given and do not take is free again."""
        for path in [path for path in self._given if path.is_relative_to(folder)]:
            if used := self._disk.used(path):
                self._given[path].size = used
            else:
                del self._given[path]

    def forget(self, folder: Path) -> None:
        """A folder of scratch is gone, and what was given in it; or a file."""
        self._unasked.pop(folder, None)
        for path in [path for path in self._given if path.is_relative_to(folder)]:
            del self._given[path]

    def takers(self) -> dict[Path, DiskFull]:
        """Folders whose files grow unasked while there is no room, and what to say to their jobs.

        There is no room while less than the floor is free, or more memory is in use than the budget has. What grew
        while there was room is nobody's fault. On a disk files are looked at only while it is that full, and the first
        look finds nobody.
        """
        return self._takers_of_disk() or (self._takers_of_memory() if self._memory is not None else {})

    def _takers_of_disk(self) -> dict[Path, DiskFull]:
        free, floor = self._disk.free(self._scratch), self._disk.floor(self._scratch)
        if free >= floor:
            if self._memory is None:
                self._unasked.clear()
            return {}
        numbers = f"with {format_size(free)} free, and {format_size(floor)} have to stay"
        return {
            folder: _too_much("the disk is full", folder, taken, numbers, _DISK_HINT)
            for folder, taken in self._taken().items()
            if taken - self._unasked.setdefault(folder, taken) > SLACK
        }

    def _takers_of_memory(self) -> dict[Path, DiskFull]:
        taken = self._taken()
        grown = [folder for folder, size in taken.items() if size - self._unasked.get(folder, 0) > SLACK]
        if not grown or self._memory is None:
            return {}
        if self._memory.free() >= 0:
            self._unasked = taken
            return {}
        numbers = "they lie in memory, and nothing of its budget is free"
        return {folder: _too_much("memory is full", folder, taken[folder], numbers, _MEMORY_HINT) for folder in grown}

    def _taken(self) -> dict[Path, int]:
        """What the files of each job take, room that they were given left out."""
        self._follow()
        given: dict[Path, int] = {}
        for path, promise in self._given.items():
            folder = self._scratch / path.relative_to(self._scratch).parts[0]
            given[folder] = given.get(folder, 0) + min(promise.size, self._disk.used(path))
        return {folder: self._disk.used(folder) - given.get(folder, 0) for folder in self._folders()}

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self._scratch.iterdir() if path.is_dir()]
        except OSError:
            return []


def _too_much(what: str, folder: Path, taken: int, numbers: str, hint: str) -> DiskFull:
    return DiskFull(
        f"{what}: the files in {folder} have grown to {format_size(taken)}, {numbers}",
        hint=hint,
        path=str(folder),
        used_bytes=taken,
    )
