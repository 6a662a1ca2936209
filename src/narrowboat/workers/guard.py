"""The guard: a thread that reads what every worker uses and kills the one that takes more than it reserved.

Covers: the polling tier. Each worker's tree is read 50 times a second (100 when little of the limit is free); above
reservation + grace its process group is killed. When all together come near what
they may use, the youngest worker is killed before the kernel would act.
Does not cover: hard limits in cgroups, or what becomes of the attempt (``ending``, ``runner/``).

The reading and the deciding are apart: :func:`decide` is a function of one reading.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from narrowboat.memory.budget import GRACE, HEADROOM, Budget
from narrowboat.memory.processes import peak_resident, process_used, tree

POLL_S = 0.02
POLL_CLOSE_S = 0.01
#: Without workers there is nobody to catch; the first one to come ends the wait.
POLL_IDLE_S = 0.5
#: Free bytes below which polling is twice as fast.
CLOSE = 2 * HEADROOM
#: How far below the limit the sum of all is kept, in bytes: what the kernel needs to account in batches.
LAST_STAND = GRACE // 4
REFRESH_EVERY_S = 0.2


@dataclass(eq=False, slots=True)
class Watch:
    """One worker under guard; figures in bytes. ``peak`` starts anew with each attempt.

    Attributes:
        baseline: what the worker used when it had just been forked: pages shared with the fork server.
        killed: why the guard killed it, with the numbers; None while it has not.
        overran: it was killed for passing its own reservation, not for the sum of all.
    """

    pid: int
    reserved: Callable[[], int]
    baseline: int = 0
    used: int = 0
    peak: int = 0
    killed: str | None = None
    overran: bool = False
    members: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whom to kill and why."""

    watch: Watch
    reason: str
    overran: bool


def decide(watches: Sequence[Watch], total: int, room: int) -> Verdict | None:
    """Who must go, if anybody: first who is over the own reservation, then the youngest when all are too many.

    Args:
        watches: the living workers, oldest first, with ``used`` as just read.
        total: bytes of the whole tree, supervisor and fork server included.
        room: bytes that the whole tree may use.
    """
    for watch in watches:
        reserved = watch.reserved()
        if watch.used > reserved + GRACE:
            return Verdict(watch, f"used {watch.used} bytes of {reserved} reserved", overran=True)
    if watches and total > room - LAST_STAND:
        return Verdict(watches[-1], f"all used {total} of {room} bytes; it was the youngest", overran=False)
    return None


def _measure(watch: Watch) -> None:
    watch.members = tree(watch.pid)
    watch.used = sum(process_used(pid) for pid in watch.members)
    watch.peak = max(watch.peak, watch.used)


class Guard:
    """Watches workers from a thread of its own, so that a busy event loop does not blind it.

    Args:
        budget: whose room all workers share; told to read the machine again a few times a second by the runner.
        fork_server: its pid, once started.
    """

    def __init__(self, budget: Budget, fork_server: Callable[[], int | None]) -> None:
        self._budget = budget
        self._fork_server = fork_server
        self._lock = threading.Lock()
        self._watches: list[Watch] = []
        self._stopped = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="narrowboat-guard", daemon=True)
        self.used = 0
        self.peak_used = 0
        self.supervisor_peak_resident = 0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and wait for the thread."""
        self._stopped = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join()

    def watch(self, pid: int, reserved: Callable[[], int]) -> Watch:
        """Watch a worker that was just started; ``reserved`` tells its reservation in bytes at any time."""
        watch = Watch(pid, reserved, baseline=process_used(pid))
        with self._lock:
            self._watches.append(watch)
        self._woken.set()
        return watch

    def begin(self, watch: Watch) -> None:
        """A new attempt begins in the worker: its peak starts from what is used now."""
        with self._lock:
            watch.peak = 0
            _measure(watch)

    def forget(self, watch: Watch) -> None:
        """The worker has ended."""
        with self._lock, contextlib.suppress(ValueError):
            self._watches.remove(watch)

    def workers_used(self) -> int:
        """Bytes of all workers, without the pages that they were forked with: those count for the fork server."""
        with self._lock:
            return sum(max(0, watch.used - watch.baseline) for watch in self._watches)

    def helpers_used(self) -> int:
        """Bytes of the fork server."""
        pid = self._fork_server()
        return process_used(pid) if pid is not None else 0

    def kill(self, watch: Watch) -> None:
        """Kill a worker's process group and whatever else was seen below it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(watch.pid, signal.SIGKILL)
        for pid in watch.members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _run(self) -> None:
        while not self._stopped:
            self._woken.clear()  # before the look at who is there: one who comes after it ends the wait
            if self._watches:
                time.sleep(POLL_CLOSE_S if self._is_close() else POLL_S)
            elif not self._stopped:
                self._woken.wait(POLL_IDLE_S)
            self.poll()

    def _is_close(self) -> bool:
        return self._budget.room.bytes - self.used < CLOSE

    def poll(self) -> None:
        """Read everything once and act on it."""
        with self._lock:
            watches = list(self._watches)
            for watch in watches:
                _measure(watch)
        own = os.getpid()
        shared = sum(min(watch.used, watch.baseline) for watch in watches)
        total = process_used(own) + self.helpers_used() + sum(watch.used for watch in watches) - shared
        self.used, self.peak_used = total, max(self.peak_used, total)
        self.supervisor_peak_resident = max(self.supervisor_peak_resident, peak_resident(own))
        alive = [watch for watch in watches if watch.killed is None]
        verdict = decide(alive, total, self._budget.room.bytes)
        if verdict is not None:
            verdict.watch.killed, verdict.watch.overran = verdict.reason, verdict.overran
            self.kill(verdict.watch)
