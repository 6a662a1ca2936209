"""Folders for files of a job that go when it ends.

Covers: where they are, making and removing them, what a dead supervisor left behind, whether they lie in memory.
Does not cover: who owns which (``journal/`` remembers it).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

from narrowboat.journal.journal import Journal
from narrowboat.memory.processes import start_ticks


class Scratch:
    """The scratch folders below a home."""

    def __init__(self, home: Path, journal: Journal) -> None:
        self.root = home / "scratch"
        self._journal = journal

    async def own(self, job_id: str) -> Path:
        """The folder of a job; remembered before it is made."""
        path = self.root / job_id
        await self._journal.own_scratch(job_id, path)
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def remove(self, job_id: str) -> None:
        """Remove what a job owned."""
        for path in await self._journal.scratch_of(job_id):
            await self.drop(path)

    async def drop(self, path: Path) -> None:
        """Remove a folder and forget who owned it."""
        shutil.rmtree(path, ignore_errors=True)
        await self._journal.disown_scratch(path)

    async def tidy(self) -> int:
        """Remove what jobs that have ended left behind, and folders nobody owns; how many there were."""
        orphans = await self._journal.orphaned_scratch()
        live = await self._journal.jobs(states=("queued", "running"))
        owned = {path for job in live for path in await self._journal.scratch_of(job.id)}
        with contextlib.suppress(OSError):
            orphans += [path for path in self.root.iterdir() if path not in owned and path not in orphans]
        for path in orphans:
            await self.drop(path)
        with contextlib.suppress(OSError):
            self.root.rmdir()
        return len(orphans)


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


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that ``path`` is or would be on (``ext4``, ``tmpfs``); empty when unknown."""
    best, kind = "", ""
    with contextlib.suppress(OSError):
        for line in mounts.read_text(errors="replace").splitlines():
            _, point, fs_type, *_ = line.split()
            point = point.encode().decode("unicode_escape")
            if path.is_relative_to(point) and len(point) >= len(best):
                best, kind = point, fs_type
    return kind
