"""The memory cgroups that this process is in: their limits, their use, and the kernel's kills.

Covers: cgroup v1 and v2, every ancestor that can be seen from here.
Does not cover: making cgroups (the guard's hard tier), or what the budget makes of the figures (``machine``).
Sources: Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst of the Linux kernel, proc(5).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# v1 has no word for "no limit": it shows the largest page-aligned 63-bit number. Anything of that order is none.
_V1_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Group:
    """One memory cgroup: its folder, the version (1 or 2), its name for messages, and whether it is the top.

    The top is the outermost that can be seen from here; a container may have more above it.
    """

    folder: Path
    version: int
    name: str
    top: bool

    def limit(self) -> int | None:
        """The hard limit in bytes; None when there is none or it can't be read.

        On v1 the top one's is the tightest of all above it too (``hierarchical_memory_limit``).
        """
        if self.version == 2:
            return _number(self.folder / "memory.max")
        value = _number(self.folder / "memory.limit_in_bytes") or _V1_UNLIMITED
        if self.top:
            value = min(value, self.stat().get("hierarchical_memory_limit", value))
        return value if value < _V1_UNLIMITED else None

    def used(self) -> int | None:
        """Anonymous + shared + tmpfs bytes of the group and its descendants: what can't be reclaimed."""
        stat = self.stat()
        if self.version == 1:
            return stat["total_rss"] + stat.get("total_shmem", 0) if "total_rss" in stat else None
        return stat["anon"] + stat["shmem"] if "anon" in stat else None

    def stat(self) -> dict[str, int]:
        """``memory.stat`` as numbers; empty when it can't be read."""
        return _table(self.folder / "memory.stat")

    def charged(self) -> int:
        """Everything charged to the group in bytes, page cache and kernel memory included; exact, and cheap to read."""
        return _number(self.folder / self.charge_file) or 0

    @property
    def charge_file(self) -> str:
        """The file that has it."""
        return "memory.usage_in_bytes" if self.version == 1 else "memory.current"

    def kernel_kills(self) -> int:
        """How often the kernel has killed a process here for memory; v1 leaves out inner cgroups."""
        return _table(self.folder / self.kills_file).get("oom_kill", 0)

    @property
    def kills_file(self) -> str:
        """The file that has the count."""
        return "memory.oom_control" if self.version == 1 else "memory.events"

    def ran_out(self) -> int:
        """How often the kernel found nothing to reclaim at the group's own limit; 0 on v1, which does not count it.

        A victim counts in its own group whichever group's limit it died for: v2 tells the two apart by this.
        """
        return _table(self.folder / "memory.events").get("oom", 0) if self.version == 2 else 0

    def most_charged(self) -> int:
        """The high-water mark of :meth:`charged` on v1; 0 on v2, where :meth:`ran_out` says more."""
        return (_number(self.folder / "memory.max_usage_in_bytes") or 0) if self.version == 1 else 0

    def pids(self) -> list[int]:
        """The processes in the group itself; 0 stands for one that this pid namespace does not see."""
        return [int(line) for line in _lines(self.folder / "cgroup.procs") if line.isdigit()]

    def kills_all(self) -> bool:
        """True when one kill takes the whole group (v2, ``memory.oom.group``)."""
        return self.version == 2 and _number(self.folder / "memory.oom.group") == 1


class _Kept:
    """A file of a group that is read often: opening it costs more than reading it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def text(self) -> bytes:
        """What it says now; empty when it can't be read."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._descriptor, 512, 0)
        except OSError:
            return b""

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


class KillCount(_Kept):
    """The kernel's kills in a group, for who asks often."""

    def __init__(self, group: Group) -> None:
        super().__init__(group.folder / group.kills_file)

    def read(self) -> int:
        """The count so far; 0 when it can't be read."""
        lines = self.text().splitlines()
        return next((int(line[9:]) for line in lines if line.startswith(b"oom_kill ")), 0)


class Charge(_Kept):
    """Everything charged to a group in bytes, as :meth:`Group.charged`, for who asks often."""

    def __init__(self, group: Group) -> None:
        super().__init__(group.folder / group.charge_file)

    def read(self) -> int:
        """The bytes now; 0 when it can't be read."""
        text = self.text().strip()
        return int(text) if text.isdigit() else 0


def own_groups(root: Path = Path("/")) -> list[Group]:
    """The groups of this process, innermost first; empty where there are none.

    Args:
        root: where ``proc`` and ``sys`` are found; tests bring a tree of their own.
    """
    lines = _lines(root / "proc/self/cgroup")
    mounts = _lines(root / "proc/self/mountinfo")
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if "memory" in controllers.split(","):
            return _chain(root, mounts, "cgroup", place, version=1)
    for line in lines:
        number, controllers, place = line.split(":", 2)
        if number == "0" and not controllers:
            return _chain(root, mounts, "cgroup2", place, version=2)
    return []


def _chain(root: Path, mounts: list[str], kind: str, place: str, version: int) -> list[Group]:
    for line in mounts:
        head, _, tail = line.partition(" - ")
        fields, (fs_type, _, options) = head.split(), tail.split(maxsplit=2)
        if fs_type != kind or (version == 1 and "memory" not in options.split(",")):
            continue
        mounted_root, mount_point = PurePosixPath(fields[3]), PurePosixPath(fields[4])
        top = root / str(mount_point).lstrip("/")
        # A container without a cgroup namespace is told its path from the host's root, but sees only its part.
        inside = PurePosixPath(place)
        below = inside.relative_to(mounted_root) if inside.is_relative_to(mounted_root) else PurePosixPath()
        folder = top / below
        if ".." in below.parts or not folder.is_dir():
            folder = top
        folders = [folder, *(p for p in folder.parents if p.is_relative_to(top))]
        return [Group(f, version, "/" + str(f.relative_to(top)).strip("."), f == top) for f in folders]
    return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max" is no number: no limit
        return None


def _table(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in _lines(path))
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
