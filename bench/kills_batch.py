"""One batch of transcriptions as a real command, killed at random moments and started again until it is done.

Covers: the command's processes and who is who among them, moments and victims, what a dead supervisor left and how
soon that was gone.
Does not cover: what is transcribed (``kills_sounds``), what was committed (``kills_proof``), judging (``kills``).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import box
import kills_proof

MARK = "BENCH_KILLS"
FORMATS = ("txt", "srt", "vtt", "json")
SUPERVISOR, SERVER, WORKER = "the supervisor", "the fork server", "a worker"
ALL, BOTH = "all of them", "supervisor and fork server"
VICTIMS = (SUPERVISOR, SERVER, WORKER, ALL, BOTH)
#: When the next kill comes, and how often of a hundred. The first three count from the start of a supervisor or the
#: kill before; the others from when the supervisor serves: any time, while outputs are being written, when the journal
#: has just been written, when an item has just been computed and may or may not be committed.
MOMENTS = {
    "first 0.3 s": 10,
    "start-up": 10,
    "twice": 10,
    "any time": 40,
    "writing outputs": 10,
    "journal commit": 8,
    "item computed": 12,
}
#: Kills without a new item after which the next one waits for an item: a step that is killed ten times in a row without
#: one fails, and rightly. Kills that come faster than items can would prove nothing but that.
BARREN = 5
#: Seconds of those that do not wait for a supervisor to serve.
_AT_ONCE = {"first 0.3 s": (0.0, 0.3), "start-up": (0.3, 2.0), "twice": (0.0, 0.05)}
#: Seconds in which what a dead supervisor left must be gone. A busy machine needs some of them for the next start.
CLEAN_S = 10.0
#: What that is: its processes, its workers' cgroups, the scratch of calls that belong to no job.
REMAINS = ("processes", "cgroups", "scratch")
#: Seconds that a supervisor may take to serve; one that takes longer is killed all the same.
_SERVES_S = 30.0
#: Seconds that are waited for a new item at most.
_ITEM_S = 120.0
_LOOK_S = 0.003
_OTHER_LOOKS_S = 0.05
_JOURNAL_LOOKS_S = 0.25


# -- the command's processes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where a command runs: its own home, outputs, temporary files, and the box around all its processes.

    Attributes:
        mark: what its processes, and theirs, carry in their environment.
    """

    folder: Path
    arguments: list[str]
    group: box.Group | None
    mark: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def witness(self) -> Path:
        return self.folder / "computed.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "output.txt"

    def start(self, number: int) -> subprocess.Popen[bytes]:
        """Start the command; ``number`` tells its processes from those of the others before."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "narrowboat", "transcribe", *self.arguments, "--out", str(self.out)]
        command += ["--home", str(self.home), "--formats", ",".join(FORMATS), "--quiet"]
        modules = [str(Path(__file__).with_name("witness")), os.environ.get("PYTHONPATH", "")]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, modules)),
            "TMPDIR": str(self.temporary),
            "BENCH_KILLS_WITNESS": str(self.witness),
            MARK: f"{self.mark}-{number}",
        }
        with self.log.open("ab") as log:
            entered = self.group.enter(command) if self.group else command
            return subprocess.Popen(entered, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def processes(self, number: int | None = None) -> list[int]:
        """Processes of the command, of the one that was started as ``number`` or of all."""
        needle = f"{MARK}={self.mark}-".encode() + (b"" if number is None else f"{number}\0".encode())
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if needle in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
        return found

    def groups(self, pid: int | None = None) -> list[Path]:
        """Memory cgroups that a supervisor (any: None) made for its workers and that are still there."""
        begins = "narrowboat-" if pid is None else f"narrowboat-{pid}-"
        return [path for path in inside(self.group.path) if path.name.startswith(begins)] if self.group else []

    def used(self) -> list[Path]:
        """Scratch files and folders, begun outputs, temporary files: nothing of this outlives its jobs."""
        begun = [path for path in inside(self.out) if path.name.startswith(".") or path.suffix == ".part"]
        return [*(self.home / "scratch").rglob("*"), *begun, *self.temporary.rglob("*")]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for task in inside(Path(f"/proc/{pid}/task")):
        with contextlib.suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def inside(folder: Path) -> list[Path]:
    """What is in a folder that may go meanwhile, or be gone."""
    with contextlib.suppress(OSError):
        return [folder / name for name in os.listdir(folder)]  # noqa: PTH208 - a glob fails when the folder goes
    return []


def family(supervisor: int) -> tuple[int | None, list[int]]:
    """The fork server below a supervisor, and its workers."""
    for child in children(supervisor):
        with contextlib.suppress(OSError):
            if b"narrowboat.workers.forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                return child, children(child)
    return None, []


def end(pids: list[int]) -> None:
    """SIGKILL."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# -- killing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kill:
    """One kill. Times in seconds: since the batch began, since the supervisor was started."""

    at_s: float
    age_s: float
    moment: str
    victim: str
    processes: int
    during: list[str]


@dataclass
class Left:
    """What a dead supervisor left, until it is gone; ``since``: monotonic seconds of its death."""

    number: int
    pid: int
    calls: list[Path]
    since: float
    waits_for: set[str] = field(default_factory=lambda: set(REMAINS))


@dataclass
class Disturbed:
    """A batch that is killed until ``kills`` are done, and then left to end.

    Attributes:
        cleaned_s: for each supervisor that died, seconds until each of ``REMAINS`` was gone: processes from its death
            on, for they go by themselves; the others from the start that came after it.
        rc: how the last one ended.
    """

    place: Place
    chance: random.Random
    wait_s: tuple[float, float]
    kills: int
    patience_s: float
    done: list[Kill] = field(default_factory=list)
    committed: kills_proof.Committed = field(default_factory=kills_proof.Committed)
    cleaned_s: dict[str, list[float]] = field(default_factory=lambda: {what: [] for what in REMAINS})
    left: list[Left] = field(default_factory=list)
    rc: int | None = None
    _number: int = 0
    _looked: float = 0.0
    _asked: float = 0.0
    _items: int = 0
    _barren: int = 0
    _turns: list[str] = field(default_factory=list)

    def run(self) -> None:
        """To the end, or until it takes too long."""
        self._began = time.monotonic()
        self._start()
        fresh = True
        while len(self.done) < self.kills:
            moment = self._moment(fresh)
            if not self._wait(moment):
                break
            fresh = self._kill(moment)
        until = time.monotonic() + self.patience_s
        self._until(lambda: time.monotonic() > until)
        self.rc = self._process.poll()
        if self.rc is None:
            end(self.place.processes())
            self._process.wait()
        until = time.monotonic() + box.LEAVE_S
        while (self.left or self.place.processes()) and time.monotonic() < until:
            self._look()
            time.sleep(_OTHER_LOOKS_S)
        self.committed.add(kills_proof.snapshot(self.place.home))

    def _start(self) -> None:
        self._number += 1
        self._started, self._started_at = time.monotonic(), time.time()
        self._process = self.place.start(self._number)

    def _moment(self, fresh: bool) -> str:
        chosen = self.chance.choices(list(MOMENTS), list(MOMENTS.values()))[0]
        if self._barren >= BARREN or kills_proof.most_kills_in_a_row(self.place.home) >= BARREN:
            return "a new item"
        return chosen if fresh or chosen == "twice" or chosen not in _AT_ONCE else "any time"

    def _wait(self, moment: str) -> bool:
        """Wait for the moment, or for as long as any wait is; False when the command ended before it came."""
        if moment not in _AT_ONCE:
            until = time.monotonic() + _SERVES_S
            if not self._until(lambda: self._serves() or time.monotonic() >= until):
                return False
        waiting, seen = self._sign(moment)
        until = time.monotonic() + waiting
        if not self._until(lambda: time.monotonic() >= until or seen()):
            return False
        # an item is committed within a second of being computed: some are in flight then, some are not
        until = time.monotonic() + (self.chance.uniform(0.0, 1.2) if moment == "item computed" else 0.0)
        return self._until(lambda: time.monotonic() >= until)

    def _sign(self, moment: str) -> tuple[float, Callable[[], bool]]:
        """How many seconds a moment is waited for at most, and what tells that it has come."""
        log, begun = self.place.home / "journal.db-wal", self.place.out
        before, computed = _changed(log), _changed(self.place.witness)
        longest = 2 * self.wait_s[1]
        signs: dict[str, tuple[float, Callable[[], bool]]] = {
            "writing outputs": (longest, lambda: next(begun.glob(".*.part"), None) is not None),
            "journal commit": (longest, lambda: _changed(log) != before),
            "item computed": (longest, lambda: _changed(self.place.witness) != computed),
            "a new item": (min(self.patience_s, _ITEM_S), self._has_a_new_item),
        }
        return signs.get(moment) or (self.chance.uniform(*_AT_ONCE.get(moment, self.wait_s)), lambda: False)

    def _has_a_new_item(self) -> bool:
        if time.monotonic() < self._asked + _JOURNAL_LOOKS_S:
            return False
        self._asked = time.monotonic()
        new = len(kills_proof.snapshot(self.place.home).items) > self._items
        return new and kills_proof.most_kills_in_a_row(self.place.home) < BARREN

    def _until(self, true: Callable[[], bool]) -> bool:
        while not true():
            if self._process.poll() is not None:
                return False
            self._look()
            time.sleep(_LOOK_S)
        return self._process.poll() is None

    def _kill(self, moment: str) -> bool:
        """Kill somebody who is there; True when the supervisor was started again."""
        supervisor, at = self._process.pid, time.time()
        server, workers = family(supervisor)
        servers = [] if server is None else [server]
        everybody = [supervisor, *servers, *workers]
        there = {SUPERVISOR, ALL} | ({SERVER, BOTH} if servers else set()) | ({WORKER} if workers else set())
        name = self._victim(there)
        pids = {
            SUPERVISOR: [supervisor],
            SERVER: servers,
            WORKER: self.chance.sample(workers, min(1, len(workers))),
            ALL: self.chance.sample(everybody, len(everybody)),
            BOTH: [supervisor, *servers],
        }[name]
        age = time.monotonic() - self._started
        end(pids)
        if supervisor in pids:
            self._process.wait()
            self.left.append(Left(self._number, supervisor, self._calls(), time.monotonic()))
        during = kills_proof.at_work(self.place.home, at) or (["start-up"] if not self._serves() else ["between steps"])
        seen = kills_proof.snapshot(self.place.home)
        self.committed.add(seen)
        self._barren = 0 if len(seen.items) > self._items else self._barren + 1
        self._items = len(seen.items)
        self.done.append(Kill(time.monotonic() - self._began, age, moment, name, len(pids), during))
        if supervisor in pids:
            self._start()
        return supervisor in pids

    def _victim(self, there: set[str]) -> str:
        """One of those who are there; each has its turn before any comes again."""
        if not there & set(self._turns):
            self._turns += self.chance.sample(VICTIMS, len(VICTIMS))
        chosen = next(name for name in self._turns if name in there)
        self._turns.remove(chosen)
        return chosen

    def _serves(self) -> bool:
        with contextlib.suppress(OSError):
            return (self.place.home / "control.sock").stat().st_mtime > self._started_at
        return False

    def _calls(self) -> list[Path]:
        return [path for path in inside(self.place.home / "scratch") if path.name.startswith("call-")]

    def _look(self) -> None:
        """See whether what dead supervisors left is gone."""
        if not self.left or time.monotonic() < self._looked + _OTHER_LOOKS_S:
            return
        self._looked = time.monotonic()
        for one in list(self.left):
            for what in sorted(one.waits_for):
                if not self._is_gone(one, what):
                    continue
                since = one.since if what == "processes" else max(one.since, self._started)
                self.cleaned_s[what].append(time.monotonic() - since)
                one.waits_for.discard(what)
            if not one.waits_for:
                self.left.remove(one)

    def _is_gone(self, one: Left, what: str) -> bool:
        if what == "processes":
            return not self.place.processes(one.number)
        return not (self.place.groups(one.pid) if what == "cgroups" else [path for path in one.calls if path.exists()])


def _changed(path: Path) -> tuple[int, int]:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return 0, 0
