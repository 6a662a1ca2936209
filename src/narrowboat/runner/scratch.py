"""Folders for files of a job that go when it ends.

Covers: where they are, making and removing them, what a dead supervisor left behind, what they take of the memory.
Does not cover: who owns which (``journal/`` remembers it), who may have how much (``space``), ``uploads``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from narrowboat.disk import in_memory, used_bytes
from narrowboat.journal.journal import Journal
from narrowboat.memory.processes import start_ticks
from narrowboat.runner.space import Memory, Space
from narrowboat.runner.uploads import Uploads
from narrowboat.shown import UPLOADS


class Scratch:
    """The scratch folders below a home.

    Args:
        memory: what scratch is charged to where it lies in memory.
    """

    def __init__(self, home: Path, journal: Journal, memory: Memory | None = None) -> None:
        self.root = home / "scratch"
        self._journal = journal
        self._lies_in_memory = in_memory(home)
        self.space = Space(self.root, memory if self._lies_in_memory else None)
        self.uploads = Uploads(home / UPLOADS, journal, self.space)

    def in_memory(self) -> int:
        """Bytes of memory that scratch and the files of the journal take; 0 where the home is on a disk."""
        if not self._lies_in_memory:
            return 0
        kept = [self.root, self.root.parent / "addresses", *self.root.parent.glob("journal.*")]
        return sum(map(used_bytes, kept))

    async def own(self, job_id: str) -> Path:
        """The folder of a job; remembered before anybody makes it, which is when the first file is to be in it."""
        path = self.root / job_id
        await self._journal.own_scratch(job_id, path)
        return path

    async def remove(self, job_id: str) -> None:
        """Remove what a job owned."""
        for path in await self._journal.scratch_of(job_id):
            await self.drop(path)

    def empty(self, job_id: str) -> None:
        """Remove a job's files. The folder stays its own."""
        shutil.rmtree(self.root / job_id, ignore_errors=True)
        self.space.forget(self.root / job_id)

    async def drop(self, path: Path) -> None:
        """Remove a folder and forget who owned it."""
        shutil.rmtree(path, ignore_errors=True)
        self.space.forget(path)
        await self._journal.disown_scratch(path)

    async def tidy(self) -> int:
        """Remove what jobs that have ended left behind, and folders nobody owns; how many there were."""
        orphans = list(dict.fromkeys([*await self._journal.orphaned_scratch(), *await self.strays()]))
        for path in orphans:
            await self.drop(path)
        for folder in (self.uploads.root, self.root):
            with contextlib.suppress(OSError):
                folder.rmdir()
        return len(orphans)

    async def strays(self) -> list[Path]:
        """Folders of no job that may still run, and uploads that none needs."""
        live = await self._journal.jobs(states=("queued", "running"))
        owned = {path for job in live for path in await self._journal.scratch_of(job.id)} | {self.uploads.root}
        folders: list[Path] = []
        with contextlib.suppress(OSError):
            folders = [path for path in self.root.iterdir() if path not in owned]
        return folders + await self.uploads.strays()


async def kill_leftovers(journal: Journal) -> int:
    """Kill workers of an earlier supervisor that outlived it; how many there were.

    A pid is killed only when the process started when the journal says the worker did.
    """
    killed = 0
    for attempt in await journal.open_attempts():
        if attempt.pid is not None and start_ticks(attempt.pid) == attempt.start_ticks:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(attempt.pid, signal.SIGKILL)
                killed += 1
        await journal.reaped(attempt.id)
    return killed
