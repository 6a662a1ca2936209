"""Runs a command in a memory box and measures it from outside.

    python bench/box.py 512M -- COMMAND [ARGUMENT ...]

Covers: a memory cgroup of its own (v1 or v2) with a hard limit; the peak of what can't be reclaimed (anonymous,
shared and tmpfs memory, sampled 50 times a second); kernel kills; processes that outlive the command.
Does not cover: limits on processor time; what the command says of itself.

Where no cgroup can be made the command runs without a limit, its processes are sampled one by one, and the result
says ``enforced: false``. Only the standard library is used, and nothing of Narrowboat: it is what is measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SAMPLE_S = 0.02
SAMPLE_PROCESSES_S = 0.1  # reading each process costs more than reading one group
LEAVE_S = 2.0  # how long processes may outlive the command
MARK = "BENCH_BOX"
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    """How a command went. Sizes in bytes, times in seconds.

    Attributes:
        enforced: whether the kernel kept the command to the limit.
        cpu_s: of the processes that were waited for, down the tree.
        peak_used: anonymous + shared + tmpfs memory of all its processes, at most.
        peak_first: resident memory of the first process, at most (its own high-water mark).
        kernel_kills: kills for memory by the kernel (see ``Group.kernel_kills``); None where that can't be known.
        left: processes that were still there ``LEAVE_S`` after the command had ended; they were killed.
    """

    limit: int | None
    enforced: bool
    rc: int
    wall_s: float
    cpu_s: float
    peak_used: int
    peak_first: int
    kernel_kills: int | None
    left: int


class Group:
    """A memory cgroup made for one command.

    Raises:
        OSError: none can be made here.
    """

    def __init__(self, limit: int | None) -> None:
        own, self.v2 = _own_group()
        parent = _with_limits_inside(own) if self.v2 else own
        self.path = parent / f"bench-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.path.mkdir()
        try:
            if limit is not None:
                self._write("memory.max" if self.v2 else "memory.limit_in_bytes", str(limit))
                with contextlib.suppress(OSError):  # a machine without swap accounting
                    self._write(
                        "memory.swap.max" if self.v2 else "memory.memsw.limit_in_bytes", "0" if self.v2 else str(limit)
                    )
        except OSError:
            self.path.rmdir()
            raise

    def _write(self, name: str, value: str) -> None:
        (self.path / name).write_text(value)

    def enter(self, command: Sequence[str]) -> list[str]:
        """``command``, started inside the group."""
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.path / "cgroup.procs"), *command]

    def used(self) -> int:
        """Bytes that can't be reclaimed."""
        stat = pairs(self.path / "memory.stat")
        return stat["anon"] + stat["shmem"] if self.v2 else stat["total_rss"] + stat.get("total_shmem", 0)

    def kernel_kills(self) -> int:
        """On v2 how often the kernel killed for the box's own limit; on v1 without kills in groups made inside."""
        found = pairs(self.path / ("memory.events.local" if self.v2 else "memory.oom_control"))
        return max(found.get("oom", 0), found.get("oom_kill", 0))

    def pids(self) -> list[int]:
        """Processes in the group and in groups made inside."""
        return [int(pid) for file in self.path.rglob("cgroup.procs") for pid in file.read_text().split()]

    def remove(self) -> None:
        for folder in sorted(self.path.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            self.path.rmdir()


class Marked:
    """In the place of a group: the processes that carry our mark in their environment."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex

    def pids(self) -> list[int]:
        needle = f"{MARK}={self.mark}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if needle in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def used(self) -> int:
        """Bytes that can't be reclaimed; pages that processes share after a fork are counted for each."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError, KeyError):
                status = pairs(Path(f"/proc/{pid}/status"))
                total += (status["RssAnon:"] + status["RssShmem:"]) << 10
        return total


def run(command: Sequence[str], limit: int | None = None, env: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end inside ``limit`` bytes (None: measured only). Its output goes to our stderr."""
    marked = Marked()
    group: Group | None = None
    with contextlib.suppress(OSError, KeyError, StopIteration):
        group = Group(limit)
    environment = {**os.environ, **(env or {}), MARK: marked.mark}
    place: Group | Marked = group or marked
    started, cpu = time.monotonic(), _cpu()
    process = subprocess.Popen(group.enter(command) if group else list(command), env=environment, stdout=sys.stderr)
    with _sampling(place, process.pid) as peaks:
        rc = process.wait()
        wall = time.monotonic() - started
    kills = group.kernel_kills() if group else None
    left = clear(place)
    if group:
        group.remove()
    enforced = group is not None and limit is not None
    return Measured(limit, enforced, rc, wall, _cpu() - cpu, peaks[0], peaks[1], kills, left)


@contextlib.contextmanager
def _sampling(place: Group | Marked, pid: int) -> Iterator[list[int]]:
    """Samples in a thread for as long as it is open: peak used, peak of the first process."""
    peaks, stop = [0, 0], threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_S if isinstance(place, Group) else SAMPLE_PROCESSES_S):
            with contextlib.suppress(OSError, KeyError):
                peaks[0] = max(peaks[0], place.used())
            with contextlib.suppress(OSError, KeyError):
                status = pairs(Path(f"/proc/{pid}/status"))
                peaks[1] = max(peaks[1], status.get("VmHWM:", status["VmRSS:"]) << 10)  # some kernels leave it out

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peaks
    finally:
        stop.set()
        thread.join()


def clear(place: Group | Marked) -> int:
    """Wait ``LEAVE_S`` for the last processes to go, kill those that stay; how many."""
    deadline = time.monotonic() + LEAVE_S
    while place.pids() and time.monotonic() < deadline:
        time.sleep(0.05)
    left = place.pids()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while place.pids():
        time.sleep(0.05)
    return len(left)


def _own_group() -> tuple[Path, bool]:
    """The folder of the memory cgroup that this process is in, and whether it is v2."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mounts = [line.partition(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    v1 = next((where for _, names, where in lines if "memory" in names.split(",")), None)
    where = v1 if v1 is not None else next(where for number, _, where in lines if number == "0")
    for head, _, tail in mounts:
        kind, _, options = tail.split(maxsplit=2)
        if (v1 is not None and kind == "cgroup" and "memory" in options.split(",")) or (
            v1 is None and kind == "cgroup2"
        ):
            root, top = head.split()[3:5]
            folder = Path(top) / os.path.relpath(where, root)
            return (folder if folder.is_dir() else Path(top)), v1 is None
    raise FileNotFoundError("no memory cgroup is mounted")


def _with_limits_inside(own: Path) -> Path:
    """A v2 group in which groups can have limits: it may hold no process itself, unless it is the root of all.

    Ours, where nothing but us is in it or it is set up already; else the one around it; else (a container, where
    nothing around it is to be seen) ours again, after all its processes have moved into a group inside it.
    """
    for group in (own, own.parent):
        control = group / "cgroup.subtree_control"
        with contextlib.suppress(OSError):
            if "memory" not in control.read_text().split():
                control.write_text("+memory")
            if os.access(group, os.W_OK):
                return group
    leaf = own / "bench-self"
    leaf.mkdir(exist_ok=True)
    for _ in range(5):  # again: one may have forked meanwhile
        for pid in (own / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(pid)
    (own / "cgroup.subtree_control").write_text("+memory")
    return own


def pairs(path: Path) -> dict[str, int]:
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) >= 2 and pair[1].isdigit()}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    try:
        split = sys.argv.index("--")
        size = sys.argv[1].upper().removesuffix("B").removesuffix("I")
        limit = int(float(size.rstrip("KMG")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1], 1))
    except (IndexError, ValueError):
        print("usage: box.py SIZE -- COMMAND [ARGUMENT ...]", file=sys.stderr)
        return 2
    measured = run(sys.argv[split + 1 :], limit)
    print(json.dumps(asdict(measured)))
    return measured.rc


if __name__ == "__main__":
    sys.exit(main())
