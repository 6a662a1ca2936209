"""The guard: a thread that reads what every worker uses and stops the one that takes more than it reserved.

Covers: polling. Each worker's tree is read every 2 to 20 ms, the sooner the less is free; above reservation + grace it
is killed. When all together come near what they may use, the youngest is killed before the kernel would act.
Does not cover: whom to kill (``watch``), the workers' own groups (``places``), what comes before killing (``relief``),
or what becomes of the attempt (``ending``, ``runner/``).

Measured on two cores that others kept busy all the time (load 6 to 13). One look: 9 to 17 µs, and 20 to 60 for each
worker, where listing and reading anew took 160 to 240. With eight workers that is 2 % of a core at 20 ms; at 2 ms it
would be 20, so the share of a core is bounded. What one worker got hold of past reservation + grace in one native
allocation (private, MAP_SHARED, huge pages; 24 tries each, mean and most in MiB): 20 ms 14 and 78; 10 ms 11 and 53;
3.3 ms 4 and 13; 2 ms 2 and 7. With two more processes that never rest: 6 and 15; 6 and 26; 6 and 19; 6 and 21. So the
rate follows what is free: with no more than the headroom left it is 3.3 ms. With a cgroup of its own: 1.6 each time,
and 9.7 when the pages that a worker shares with the fork server were not taken off its limit. A niceness for workers,
SCHED_BATCH for them, a short slice for this thread: none made it wake sooner by more than the measurement varied.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable

from narrowboat.memory.budget import Budget
from narrowboat.memory.pressure import Pressure, full_stall_us
from narrowboat.memory.processes import peak_resident, process_used
from narrowboat.memory.trees import SETTLE_S, Process
from narrowboat.workers.groups import Slot
from narrowboat.workers.means import Means
from narrowboat.workers.places import Places
from narrowboat.workers.relief import Relief
from narrowboat.workers.watch import Watch, decide, look_again_s

#: Without workers there is nobody to catch; the first one to come ends the wait.
POLL_IDLE_S = 0.5
#: Seconds between two looks at what changes slowly.
SELDOM_S = 0.2
#: The share of a core that polling takes at most: with a thousand processes to read it looks less often.
MOST_SHARE = 0.1


class Guard:
    """Watches workers from a thread of its own, so that a busy event loop does not blind it.

    Args:
        budget: whose room all workers share; told to read the machine again a few times a second by the runner.
        fork_server: its pid, once started.
        means: what is in force; by default all but worker groups.

    Attributes:
        places: the workers' own groups.
        relief: what is done before anybody is killed for the sum of all.
        used: bytes of the whole tree, as last read; ``peak_used`` the most of it.
    """

    def __init__(self, budget: Budget, fork_server: Callable[[], int | None], means: Means | None = None) -> None:
        self._budget = budget
        self._fork_server = fork_server
        self.means = means or Means()
        self.places = Places(self.means)
        self._lock = threading.Lock()
        self._self = Process(os.getpid())
        self._helper: Process | None = None
        self._watches: list[Watch] = []
        self._leaving: list[tuple[float, int]] = []  # until when, bytes of those that have ended
        self._slow_at = 0.0
        self._took_s = 0.0
        self._left = 0  # bytes between what is used and what may be
        self._stopped = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="narrowboat-guard", daemon=True)
        stalls = self.means.stall_file
        pressure = Pressure(time.monotonic, lambda: None if stalls is None else full_stall_us(stalls))
        self.relief = Relief(budget, pressure, self._on_its_way_back)
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
        for watch in self._watches:
            watch.close()
        self._self.close()
        if self._helper is not None:
            self._helper.close()

    # -- one worker ---------------------------------------------------------------------------------------------

    def watch(self, pid: int, reserved: Callable[[], int], slot: Slot | None = None) -> Watch:
        """Watch a worker that was just started; ``reserved`` tells its reservation in bytes at any time."""
        watch = Watch(pid, reserved, baseline=process_used(pid), slot=slot)
        self.places.begin(watch)
        self.places.shrink(watch)  # without waiting: hardly anything is charged yet
        with self._lock:
            self._watches.append(watch)
        self._woken.set()
        return watch

    def begin(self, watch: Watch) -> None:
        """A new attempt begins in the worker: its peak starts from what is used now."""
        with self._lock:
            watch.peak = 0
            watch.measure()
        self.places.begin(watch)

    def measure(self, watch: Watch) -> int:
        """Bytes that the worker uses at this moment, read anew."""
        with self._lock:
            watch.measure()
            return watch.used

    def forget(self, watch: Watch) -> None:
        """The worker has ended."""
        with self._lock:
            if watch not in self._watches:
                return
            self._watches.remove(watch)
            if len(watch.members) > 1:  # its own memory is free by now, that of what it had started may not be
                self._leaving.append((time.monotonic() + SETTLE_S, watch.used + watch.leaving))
            watch.close()
        self.places.forget(watch)

    def kill(self, watch: Watch) -> None:
        """Kill a worker's process group, whatever else was seen below it, and whoever is in its cgroup."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(watch.pid, signal.SIGKILL)
        members = watch.members[1:]
        slot = watch.slot
        if slot is not None:
            members += [pid for pid in slot.group.pids() if pid]
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    # -- all together -------------------------------------------------------------------------------------------

    def workers_used(self) -> int:
        """Bytes of all workers, without the pages that they were forked with: those count for the fork server.

        They are read now, since whatever they use more than is known passes for somebody else's. So would what is on
        its way back from workers that end: it is still theirs.
        """
        with self._lock:
            for watch in self._watches:
                watch.measure()
            living = sum(max(0, watch.used - watch.baseline) for watch in self._watches)
        return living + self._on_its_way_back()

    def _on_its_way_back(self) -> int:
        now = time.monotonic()
        with self._lock:
            self._leaving = [(until, size) for until, size in self._leaving if until > now]
            return sum(size for _, size in self._leaving) + sum(watch.leaving for watch in self._watches)

    def helpers_used(self) -> int:
        """Bytes of the fork server. Its files are kept open; it is another one when the first was killed."""
        pid = self._fork_server()
        with self._lock:
            if self._helper is not None and self._helper.pid != pid:
                self._helper.close()
                self._helper = None
            if pid is None:
                return 0
            if self._helper is None:
                with contextlib.suppress(OSError):
                    self._helper = Process(pid)
            return self._helper.used() if self._helper is not None else 0

    def _run(self) -> None:
        while not self._stopped:
            self._woken.clear()  # before the look at who is there: one who comes after it ends the wait
            if self._watches:
                time.sleep(max(look_again_s(self._left), self._took_s / MOST_SHARE))
            elif not self._stopped:
                self._woken.wait(POLL_IDLE_S)
            began = time.thread_time()  # not the time that others had the processor meanwhile
            self.poll()
            self._took_s = time.thread_time() - began

    def poll(self) -> None:
        """Read everything once and act on it."""
        with self._lock:
            watches = list(self._watches)
            for watch in watches:
                watch.measure()
        shared = sum(min(watch.used, watch.baseline) for watch in watches)
        own = self._self.used() + self.helpers_used() + self._budget.files_used()
        total = own + sum(watch.used for watch in watches) - shared
        self.used, self.peak_used = total, max(self.peak_used, total)
        for watch in watches:
            self.places.grow(watch)
        room = self.relief.look(total)
        self._left = room - total
        now = time.monotonic()
        if now - self._slow_at >= SELDOM_S:
            self._slow_at = now
            self.supervisor_peak_resident = max(self.supervisor_peak_resident, peak_resident(os.getpid()))
            self._finish_off(watches)
        if self.means.polling:
            self._enforce(watches, total, room)

    def _finish_off(self, watches: list[Watch]) -> None:
        """Kill the rest of a worker that the kernel took a process of at its own limit.

        Its step may wait for that process for ever. On v2 the kernel does it itself (``memory.oom.group``).
        """
        for watch in watches:
            if watch.killed is None and watch.slot is not None and self.places.kills(watch)[0]:
                watch.killed, watch.overran = "the kernel took one of its processes at its own limit", True
                self.kill(watch)

    def _enforce(self, watches: list[Watch], total: int, room: int) -> None:
        going = sum(watch.used for watch in watches if watch.killed is not None)
        verdict = decide([watch for watch in watches if watch.killed is None], total - going, room)
        if verdict is None:
            return
        verdict.watch.killed, verdict.watch.overran = verdict.reason, verdict.overran
        self.kill(verdict.watch)
        if not verdict.overran:
            self.relief.killed(verdict.watch.pid)
