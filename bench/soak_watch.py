"""Watches a run from outside: memory of its box, memory of its supervisor, size of its journal, what it leaves.

Covers: samples in a thread, least-squares slopes, kernel kills at the box's own level apart from those in groups made
inside it, processes, groups and files that are left.
Does not cover: what the tasks were or how they ended (``soak``). Nothing of Narrowboat is used.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import box

MIB = 1 << 20
SAMPLE_S = 0.02
SERIES_S = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """The run at one moment: tasks that have ended, bytes of the supervisor, of the journal and of its log."""

    tasks: int
    supervisor: int
    journal: int
    log: int


class Kills:
    """Counts what the kernel does about memory in a box.

    A v2 group tells which limit was hit (``memory.events.local``). A v1 group counts a kill where the victim was, also
    when it was an outer limit that was hit; so there a notification of the box's own out-of-memory state is counted.
    """

    def __init__(self, group: box.Group) -> None:
        self._group = group
        self._inner: dict[Path, int] = {}
        self._seen = 0
        self._notified: int | None = None
        if not group.v2:
            with contextlib.suppress(OSError):
                self._notified = _notify(group.path)

    @property
    def certain(self) -> bool:
        """Whether a kill at the box's level that took a process of an inner group would be seen."""
        return self._group.v2 or self._notified is not None

    def outside(self) -> int:
        """Times that the kernel acted because of the box's limit or one around it, or killed in no inner group."""
        if self._group.v2:
            found = box.pairs(self._group.path / "memory.events.local")
            return max(found.get("oom", 0), found.get("oom_kill", 0))
        acted = 0
        if self._notified is not None:
            with contextlib.suppress(BlockingIOError):
                self._seen += os.eventfd_read(self._notified)
            acted = self._seen
        return max(acted, self._group.kernel_kills())

    def inside(self) -> int:
        """Kills in groups made inside the box, those that are gone included as they were last seen."""
        for folder in self._group.path.rglob("*/"):
            with contextlib.suppress(OSError):
                name = "memory.events.local" if self._group.v2 else "memory.oom_control"
                self._inner[folder] = box.pairs(folder / name).get("oom_kill", 0)
        return sum(self._inner.values())

    def close(self) -> None:
        """Give the descriptor back."""
        if self._notified is not None:
            os.close(self._notified)
            self._notified = None


def _notify(folder: Path) -> int:
    """An eventfd that counts how often a v1 group ran out of memory."""
    event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    control = os.open(folder / "memory.oom_control", os.O_RDONLY)
    try:
        (folder / "cgroup.event_control").write_text(f"{event} {control}")
    except OSError:
        os.close(event)
        raise
    finally:
        os.close(control)
    return event


class Watch:
    """Samples a run until it is closed.

    Args:
        place: its box, or the processes that carry its mark where no box can be made.
        supervisor: pid.
        home: where the journal is.
        tasks: tells how many have ended.

    Attributes:
        peak: bytes in use at most, and ``peak_at`` what :attr:`doing` said then.
        doing: tells what is going on, for that.
    """

    def __init__(
        self,
        place: box.Group | box.Marked,
        supervisor: int,
        home: Path,
        tasks: Callable[[], int],
        doing: Callable[[], str],
    ) -> None:
        self._place, self._supervisor, self._home = place, supervisor, home
        self._tasks, self._doing = tasks, doing
        self.peak, self.peak_at = 0, ""
        self.peak_supervisor = 0
        self.peak_log = 0
        self.series: list[Sample] = []
        self.kills = Kills(place) if isinstance(place, box.Group) else None
        self.killed_outside = self.killed_inside = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, with a last look at the kernel's counts."""
        self._stop.set()
        self._thread.join()
        self._count()
        if self.kills is not None:
            self.kills.close()

    def _run(self) -> None:
        due = 0.0
        while not self._stop.wait(SAMPLE_S if isinstance(self._place, box.Group) else box.SAMPLE_PROCESSES_S):
            with contextlib.suppress(OSError, KeyError):
                used = self._place.used()
                if used > self.peak:
                    self.peak, self.peak_at = used, self._doing()
            if time.monotonic() >= due:
                due = time.monotonic() + SERIES_S
                self._sample()

    def _sample(self) -> None:
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{self._supervisor}/statm").read_text().split()
            used = (int(fields[1]) - int(fields[2])) * _PAGE
            log = _size(self._home / "journal.db-wal")
            self.series.append(Sample(self._tasks(), used, _size(self._home / "journal.db"), log))
            self.peak_supervisor, self.peak_log = max(self.peak_supervisor, used), max(self.peak_log, log)
        self._count()

    def _count(self) -> None:
        if self.kills is not None:
            self.killed_outside, self.killed_inside = self.kills.outside(), self.kills.inside()


def slope(points: Sequence[tuple[int, int]]) -> float | None:
    """MiB per 1000 tasks by least squares over (tasks, bytes); None with too little to tell."""
    if len({tasks for tasks, _ in points}) < 3:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return over / sum((x - mean_x) ** 2 for x, _ in points) * 1000 / MIB


def left_processes(place: box.Group | box.Marked) -> list[str]:
    """Processes that outlive the run by ``box.LEAVE_S`` seconds, as pid and command line."""
    until = time.monotonic() + box.LEAVE_S
    while (pids := place.pids()) and time.monotonic() < until:
        time.sleep(0.05)
    return [f"{pid} {_command(pid)}" for pid in pids]


def left_files(home: Path, mark: str) -> list[str]:
    """Scratch, and files in /dev/shm that carry the mark."""
    found = [str(path) for path in (home / "scratch").rglob("*")] if (home / "scratch").exists() else []
    return found + [str(path) for path in Path("/dev/shm").glob(f"{mark}*")]


def left_groups(place: box.Group | box.Marked) -> list[str]:
    """Groups that were made inside the box and not removed."""
    if isinstance(place, box.Marked):
        return []
    return [str(folder.relative_to(place.path)) for folder in place.path.rglob("*/") if folder != place.path]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:100]
    return "?"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
