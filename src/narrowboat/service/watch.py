"""Sees what becomes of jobs, and has the newest state of each ready for who follows.

Covers: one look for everybody, a few times a second; who waits for a job; what was said last of each job.
Does not cover: sending it (``events``), what follows from an end (``webhooks``).

Followers get states and no queue of changes: one that is slow misses what came in between, and costs no memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from narrowboat.runner.entries import Entry
from narrowboat.runner.listing import ENDED
from narrowboat.runner.runner import Runner
from narrowboat.values import Json

LOOK_S = 0.25
#: Jobs whose last state is kept for who comes later; older ones are in the journal.
KEPT = 500


@dataclass(slots=True)
class State:
    """What was said last of a job, or of memory.

    Attributes:
        version: a number that grows with every change of anything.
    """

    version: int
    frames: dict[str, tuple[int, str]] = field(default_factory=dict)  # event -> version, data

    def say(self, version: int, event: str, data: str) -> bool:
        """Note it; False when it was said already."""
        known = self.frames.get(event)
        if known is not None and known[1] == data:
            return False
        self.frames[event] = (version, data)
        self.version = version
        return True


class Watch:
    """Looks after the jobs of a runner.

    Attributes:
        closed: nothing changes any more.

    Args:
        describe: a job as JSON for people outside.
        ended: told of every job that has ended, once.
    """

    def __init__(
        self,
        runner: Runner,
        describe: Callable[[str], Awaitable[Json]],
        memory: Callable[[], Json],
        ended: Callable[[Entry], Awaitable[None]],
    ) -> None:
        self._runner = runner
        self._describe = describe
        self._memory = memory
        self._ended = ended
        self.version = 0
        self.jobs: dict[str, State] = {}
        self.memory = State(0)
        self.followers = 0
        self.began: dict[str, float] = {}  # of running jobs, by the monotonic clock
        self._states: dict[str, str] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._changed = asyncio.Event()
        self.closed = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """One look: ends first, then how far the others are."""
        before = self.version
        entries = self._runner.entries
        for entry in entries:
            if self._states.get(entry.id) != entry.state:
                await self._turned(entry)
        for job_id in self._states.keys() - {entry.id for entry in entries}:
            await self._let_go(job_id)
        if self.followers:
            self._tell_progress()
        if self.version != before:
            self._changed.set()
            self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait for the next change, or for the end."""
        if not self.closed:
            await self._changed.wait()

    async def ends(self) -> None:
        """Wait until nothing changes any more."""
        while not self.closed:
            await self._changed.wait()

    def close(self) -> None:
        """Nobody is told anything any more."""
        self.closed = True
        self._changed.set()

    async def ended(self, job_id: str) -> None:
        """Wait until a job has ended and that was seen."""
        row = await self._runner.journal.job(job_id)
        if row.state in ENDED and not any(entry.id == job_id for entry in self._runner.entries):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(job_id, []).append(waiter)
        try:
            await waiter
        finally:
            left = [other for other in self._waiters.get(job_id, []) if other is not waiter]
            if left:
                self._waiters[job_id] = left
            else:
                self._waiters.pop(job_id, None)

    def forget(self, job_id: str) -> None:
        """Say that a job is no more."""
        self._say(job_id, "gone", {"id": job_id})

    async def _turned(self, entry: Entry) -> None:
        """A job has come, begun or ended."""
        state = entry.state
        self._say(entry.id, "job", await self._describe(entry.id))
        if state not in ENDED:
            self._states[entry.id] = state
            if state == "running":
                self.began[entry.id] = time.monotonic()
            return
        self._states.pop(entry.id, None)
        self.began.pop(entry.id, None)
        await self._ended(entry)
        if entry.state == state:  # else it was queued again meanwhile
            self._runner.keeper.dismiss(entry.id)
            self._wake(entry.id)

    async def _let_go(self, job_id: str) -> None:
        """Somebody else has let go of a job between two looks, so it has ended."""
        self._states.pop(job_id, None)
        self.began.pop(job_id, None)
        self._say(job_id, "job", await self._describe(job_id))
        self._wake(job_id)

    def _wake(self, job_id: str) -> None:
        for waiter in self._waiters.pop(job_id, []):
            if not waiter.done():
                waiter.set_result(None)

    def _tell_progress(self) -> None:
        for job in self._runner.status().jobs:
            if job.id not in self._states:  # an upload that comes in
                continue
            live = {
                "id": job.id,
                "stage": job.stage,
                "fraction": None if job.fraction is None else round(job.fraction, 4),
                "waiting": job.waiting,
                "used_bytes": job.used_bytes,
                "reserved_bytes": job.reserved_bytes,
                "facts": job.facts,
            }
            self._say(job.id, "progress", live)
        data = json.dumps(self._memory(), ensure_ascii=False)
        if self.memory.say(self.version + 1, "memory", data):
            self.version += 1

    def _say(self, job_id: str, event: str, value: Json) -> None:
        state = self.jobs.pop(job_id, None) or State(0)
        if event == "gone":
            state.frames.clear()
        if state.say(self.version + 1, event, json.dumps(value, ensure_ascii=False)):
            self.version += 1
            if event == "job":
                state.frames.pop("progress", None)
        self.jobs[job_id] = state  # the last that changed stands last
        while len(self.jobs) > KEPT:
            del self.jobs[next(iter(self.jobs))]
