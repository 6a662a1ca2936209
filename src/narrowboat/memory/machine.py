"""What there is: the limit, and the room that this process tree has under it now.

Covers: choosing the limit (override, container, machine), what others use, what the machine has available.
Does not cover: sharing the room out (``budget``), or the files behind the figures (``cgroups``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from narrowboat.memory.cgroups import Charge, Group, KillCount, own_groups
from narrowboat.memory.processes import process_used


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit in bytes and where it was found (``"--memory"``, ``"cgroup v2 /docker/1f"``, ``"machine"``)."""

    bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Room:
    """What the tree may use in all, and what bounds it.

    Attributes:
        bytes: the tree's share, its present use included; never below zero.
        others_bytes: what others use of the box or machine that bounds it.
        bound_by: the limit's source, or ``"machine"`` when the machine has less available than the limit.
    """

    bytes: int
    others_bytes: int
    bound_by: str


class Machine(Protocol):
    """The seam for memory readings: the real machine, or a test's."""

    def limit(self) -> Limit:
        """The limit; asked once, at the start."""
        ...

    def supervisor_used(self) -> int:
        """What this process uses itself."""
        ...

    def room(self, own_bytes: int) -> Room:
        """What the tree that uses ``own_bytes`` now may use in all."""
        ...

    def surely_free(self) -> int | None:
        """Bytes that are free in the boxes around us at the least, page cache taken for used; None where there is none.

        For who asks hundreds of times a second, to see whether :meth:`room` must be read again.
        """
        ...

    def kernel_kills(self) -> int:
        """Kernel kills for memory so far in the box that we are in."""
        ...


class LinuxMachine:
    """Reads ``/proc`` and the cgroup file systems; where there are none (macOS), the physical memory.

    Args:
        override: ``--memory`` in bytes. It is the limit even where a container's limit is larger; a
            container's smaller one bounds the room all the same, since the kernel keeps to it.
        root: where ``proc`` and ``sys`` are found; tests bring a tree of their own.

    Attributes:
        limit_kills: tells the kernel kills at the workers' own limits so far; set by who made their groups.
    """

    def __init__(self, override: int | None = None, root: Path = Path("/")) -> None:
        self._override = override
        self._meminfo = root / "proc/meminfo"
        self.groups = own_groups(root)
        self._kills = KillCount(self.groups[0]) if self.groups else None
        limits = [(group.limit(), Charge(group)) for group in self.groups]
        self._charges = [(size, charge) for size, charge in limits if size is not None]
        self.limit_kills: Callable[[], int] = lambda: 0
        self._kills_seen = self._kills_inside = 0

    def limit(self) -> Limit:
        """``--memory``, else the tightest container limit, else physical memory."""
        if self._override is not None:
            return Limit(self._override, "--memory")
        found = [Limit(physical_memory(), "machine")]
        for group in self.groups:
            size = group.limit()
            if size is not None:
                found.append(Limit(size, _source(group)))
        return min(found, key=lambda limit: limit.bytes)

    def supervisor_used(self) -> int:
        """Anonymous + shared memory of this process."""
        return process_used(os.getpid())

    def room(self, own_bytes: int) -> Room:
        """The least of: the override, each container's limit less what others use in it, what is available."""
        available = _meminfo(self._meminfo, "MemAvailable") or physical_memory()
        physical = _meminfo(self._meminfo, "MemTotal") or physical_memory()
        share = available + own_bytes
        rooms = [Room(share, max(0, physical - share), "machine")]
        if self._override is not None:
            rooms.append(Room(self._override, 0, "--memory"))
        for group in self.groups:
            size, used = group.limit(), group.used()
            if size is not None and used is not None:
                others = max(0, used - own_bytes)
                rooms.append(Room(max(0, size - others), others, _source(group)))
        return min(rooms, key=lambda room: room.bytes)

    def surely_free(self) -> int | None:
        """The least of the limits less what is charged to each. Limits are those of the start: room() reads them."""
        return min((size - charge.read() for size, charge in self._charges), default=None)

    def kernel_kills(self) -> int:
        """Those in our own group: whatever is ours counts there, whichever group's limit it was killed for.

        v1 does not count what happens in groups inside it. v2 does: kills at the workers' own limits are taken out.
        """
        count = self._kills.read() if self._kills is not None else 0
        if self.groups and self.groups[0].version == 2 and count != self._kills_seen:
            self._kills_seen, self._kills_inside = count, self.limit_kills()
        return max(0, count - self._kills_inside)


def _source(group: Group) -> str:
    return f"cgroup v{group.version} {group.name}"


def physical_memory() -> int:
    """Bytes of physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_cores() -> int:
    """Cores that this process may run on: its affinity, less where a cgroup's CPU quota is tighter."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return max(1, min(allowed, int(quota + 0.5) if quota else allowed))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The container's CPU quota in cores (v2 ``cpu.max``, v1 ``cpu.cfs_quota_us``); None without one."""
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    folder = root / "sys/fs/cgroup/cpu"
    try:
        quota_us = int((folder / "cpu.cfs_quota_us").read_text())
        return quota_us / int((folder / "cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    except (OSError, ValueError):
        return None


def _meminfo(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return None
