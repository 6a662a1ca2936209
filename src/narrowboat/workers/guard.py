"""The guard: a thread that reads what every worker uses and stops the one that takes more than it reserved.

Covers: the polling means, the limits of the workers' own groups while they work, pressure. Each worker's tree is read
every 2 to 20 ms, the sooner the less is free; above reservation + grace it is killed. When all together come near what
they may use, admission pauses, idle workers go, and then the youngest worker is killed before the kernel would act.
Does not cover: whom to kill (``watch``), when there is pressure (``memory/pressure``), making groups (``groups``), or
what becomes of the attempt (``ending``, ``runner/``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from narrowboat.memory.budget import GRACE, Budget
from narrowboat.memory.pressure import PAUSE_BELOW, Pressure, Stage, full_stall_us
from narrowboat.memory.processes import peak_resident, process_used
from narrowboat.memory.trees import SETTLE_S, Process
from narrowboat.sizes import format_size
from narrowboat.workers.groups import Slot
from narrowboat.workers.means import Means
from narrowboat.workers.watch import LAST_STAND, Verdict, Watch, decide, look_again_s

#: Without workers there is nobody to catch; the first one to come ends the wait.
POLL_IDLE_S = 0.5
#: Seconds between two looks at what changes slowly or costs much.
SELDOM_S = 0.2
#: The share of a core that polling takes at most: with a thousand processes to read it looks less often.
MOST_SHARE = 0.1
#: Seconds between two fresh readings of the room while little is free; a reading of a v1 group costs 0.7 ms.
FRESH_S = 0.05

logger = logging.getLogger("narrowboat.guard")


class Guard:
    """Watches workers from a thread of its own, so that a busy event loop does not blind it.

    Args:
        budget: whose room all workers share; told to read the machine again a few times a second by the runner.
        fork_server: its pid, once started.
        means: what is in force; by default all but worker groups.
    """

    def __init__(self, budget: Budget, fork_server: Callable[[], int | None], means: Means | None = None) -> None:
        self._budget = budget
        self._fork_server = fork_server
        self.means = means or Means()
        self._lock = threading.Lock()
        self._self = Process(os.getpid())
        self._helper: Process | None = None
        self._watches: list[Watch] = []
        self._leaving: list[tuple[float, int]] = []  # until when, bytes of those that have ended
        self._room: int | None = None  # bytes, read afresh while little is free
        self._room_at = 0.0
        self._known = budget.room
        self._slow_at = 0.0
        self._took_s = 0.0
        self._stopped = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="narrowboat-guard", daemon=True)
        stalls = self.means.stall_file
        self.pressure = Pressure(time.monotonic, lambda: None if stalls is None else full_stall_us(stalls))
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

    def place(self, reserved: int) -> Slot | None:
        """A group for a worker that is about to start, with a limit for so many bytes; None where it gets none."""
        if self.means.groups is None:
            return None
        try:
            return self.means.groups.take(reserved + GRACE)
        except OSError as error:
            self.no_place(error.strerror or str(error))
            return None

    def begins_with(self, slot: Slot | None) -> dict[str, Any]:
        """What the fork server is to give a worker before it runs anything."""
        return {
            "group": None if slot is None else str(slot.door),
            "oom_first": self.means.oom_score,
            "limit_data": self.means.rlimit,
        }

    def no_place(self, reason: str, slot: Slot | None = None) -> None:
        """A worker could not be put into its group: polling guards it, whatever was chosen."""
        logger.warning("a worker could not be put into a cgroup of its own (%s): polling guards it", reason)
        self.means.polling = True
        self.leave(slot)

    def leave(self, slot: Slot | None) -> None:
        """Nobody is in the group any more."""
        if slot is not None and self.means.groups is not None:
            self.means.groups.give_back(slot)

    def watch(self, pid: int, reserved: Callable[[], int], slot: Slot | None = None) -> Watch:
        """Watch a worker that was just started; ``reserved`` tells its reservation in bytes at any time."""
        watch = Watch(pid, reserved, baseline=process_used(pid), slot=slot)
        if slot is not None:
            watch.kills_before = (slot.own_kills, slot.outer_kills)
        with self._lock:
            self._watches.append(watch)
        self._woken.set()
        return watch

    def begin(self, watch: Watch) -> None:
        """A new attempt begins in the worker: its peak starts from what is used now."""
        with self._lock:
            watch.peak = 0
            watch.measure()
        if watch.slot is not None:
            watch.slot.renew()
            watch.kills_before = (watch.slot.own_kills, watch.slot.outer_kills)
            watch.kills = (0, 0)

    def measure(self, watch: Watch) -> int:
        """Bytes that the worker uses at this moment, read anew."""
        with self._lock:
            watch.measure()
            return watch.used

    def fit(self, watch: Watch, *, shrink: bool) -> None:
        """Set the limit of the worker's group to what is reserved now. A smaller one may take as long as reclaiming."""
        slot = watch.slot
        if slot is None or (slot.limit >= watch.limit and not shrink):
            return
        try:
            slot.fit(watch.limit)
        except OSError as error:
            self.no_place(error.strerror or str(error))

    def limit_kills(self, watch: Watch) -> tuple[int, int]:
        """Kernel kills in the worker's group in this attempt: at its own limit, and at one around it.

        One at its own limit shows that it had come to it: its peak is at least that.
        """
        slot = watch.slot
        if slot is None:
            return watch.kills
        slot.count()
        own, outer = slot.own_kills - watch.kills_before[0], slot.outer_kills - watch.kills_before[1]
        if own:
            watch.peak = max(watch.peak, slot.limit)
        watch.kills = (own, outer)
        return watch.kills

    def forget(self, watch: Watch) -> None:
        """The worker has ended."""
        with self._lock:
            if watch not in self._watches:
                return
            self._watches.remove(watch)
            if len(watch.members) > 1:  # its own memory is free by now, that of what it had started may not be
                self._leaving.append((time.monotonic() + SETTLE_S, watch.used + watch.leaving))
            watch.close()
        self.limit_kills(watch)
        self.leave(watch.slot)
        watch.slot = None

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
        self._leaving = [(until, size) for until, size in self._leaving if until > now]
        return sum(size for _, size in self._leaving) + sum(watch.leaving for watch in self._watches)

    def helpers_used(self) -> int:
        """Bytes of the fork server."""
        pid = self._fork_server()
        helper = self._helper
        if pid is None:
            return 0
        if helper is None or helper.pid != pid:
            return process_used(pid)
        return helper.used()

    def _find_helper(self) -> None:
        """Keep the files of the fork server open that runs now; it is another one when the first was killed."""
        pid = self._fork_server()
        if pid is None or (self._helper is not None and self._helper.pid == pid):
            return
        if self._helper is not None:
            self._helper.close()
        with contextlib.suppress(OSError):
            self._helper = Process(pid)

    @property
    def short(self) -> str | None:
        """What is done against pressure now, with the numbers; None while there is none."""
        if self.pressure.stage is Stage.CALM:
            return None
        return f"memory is short, {self.pressure.reading}: {_DONE[self.pressure.stage]}"

    def _run(self) -> None:
        while not self._stopped:
            self._woken.clear()  # before the look at who is there: one who comes after it ends the wait
            if self._watches:
                time.sleep(max(look_again_s(self._budget.room.bytes - self.used), self._took_s / MOST_SHARE))
            elif not self._stopped:
                self._woken.wait(POLL_IDLE_S)
            began = time.monotonic()
            self.poll()
            self._took_s = time.monotonic() - began

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
            self.fit(watch, shrink=False)
        now = time.monotonic()
        room = total + self._free(total, now)
        self._relieve(total, room, seldom=now - self._slow_at >= SELDOM_S)
        if now - self._slow_at >= SELDOM_S:
            self._slow_at = now
            self._find_helper()
            self.supervisor_peak_resident = max(self.supervisor_peak_resident, peak_resident(os.getpid()))
        going = sum(watch.used for watch in watches if watch.killed is not None)
        verdict = decide([watch for watch in watches if watch.killed is None], total - going, room)
        if verdict is not None and self.means.polling:
            self._execute(verdict)

    def _free(self, total: int, now: float) -> int:
        """Bytes that are left, those included that are on their way back from workers which end.

        The budget's reading is up to a tick old. While little is left it is read afresh: what is not free yet although
        its process shows nothing must cost nobody's life.
        """
        free = self._budget.room.bytes - total
        if free >= PAUSE_BELOW * self._budget.headroom:
            self._room = None
            return free
        stale = now - self._room_at >= FRESH_S or self._known is not self._budget.room
        if self._room is None or stale or self._room - total < LAST_STAND:
            with self._lock:
                leaving = self._on_its_way_back()
            self._room, self._room_at = self._budget.machine.room(total + leaving).bytes, now
            self._known = self._budget.room
        return self._room - total

    def _relieve(self, total: int, room: int, *, seldom: bool) -> None:
        """Pause admission, ask idle workers to go, or end both, as pressure comes and goes."""
        budget, pressure = self._budget, self.pressure
        changed = pressure.look(total, room, budget.headroom)
        if changed and pressure.stage is Stage.CALM:
            budget.resume()
        elif changed:
            budget.pause(f"memory is short: {pressure.reading}")
        asked = 0
        if pressure.stage is Stage.SHEDDING and (changed or seldom):
            asked = budget.recall_idle(max(1, budget.headroom - (room - total)))
        if changed or asked:
            what = _DONE[pressure.stage] + (f" ({format_size(asked)} were asked back)" if asked else "")
            event = pressure.note(pressure.stage.name.lower(), what)
            level = logging.INFO if pressure.stage is Stage.CALM else logging.WARNING
            logger.log(level, "%s: %s", event.what, event.reading)

    def _execute(self, verdict: Verdict) -> None:
        watch = verdict.watch
        watch.killed, watch.overran = verdict.reason, verdict.overran
        self.kill(watch)
        if not verdict.overran:
            event = self.pressure.note("killing", f"the youngest worker was killed (process {watch.pid})")
            logger.warning("%s: %s", event.what, event.reading)


_DONE = {
    Stage.CALM: "work is admitted again",
    Stage.PAUSED: "no more work is admitted",
    Stage.SHEDDING: "idle workers are asked to go",
}
