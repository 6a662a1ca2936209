"""Which job runs when: starting jobs as there is room, seeing each to its end, stopping them.

Covers: the jobs of this run in memory, their claims, and how each ended.
Does not cover: taking jobs in (``runner``), one job's steps (``job``, ``attempts``), bytes and cores (``memory/``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from weakref import WeakValueDictionary

from narrowboat.config import part_path
from narrowboat.errors import Cancelled, DiskFull, Interrupted, LeaseLost, NarrowboatError, StepFailed
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import Claim
from narrowboat.runner.entries import Entry
from narrowboat.runner.job import Job, shown
from narrowboat.runner.leftovers import Leftovers
from narrowboat.runner.queue import Queue
from narrowboat.runner.scratch import Scratch
from narrowboat.runner.shortage import Shortage
from narrowboat.runner.status import Live
from narrowboat.runner.workshop import Workshop
from narrowboat.values import Json

LEASE_S = 60.0
#: Seconds between two looks at whether a run was stopped, for those who wait for a job.
_LOOK_S = 0.2


class Scheduler:
    """Runs entries, in one event loop."""

    def __init__(self, journal: Journal, shop: Workshop, scratch: Scratch, leftovers: Leftovers) -> None:
        self._journal = journal
        self._shop = shop
        self._scratch = scratch
        self._leftovers = leftovers
        self.entries: dict[str, Entry] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.live: dict[str, Live] = {}
        self.stopping = False
        self.draining = False
        self._queue = Queue(shop.lanes)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._claims: dict[str, Claim] = {}
        self._cancelled: set[str] = set()
        self._failed: dict[str, NarrowboatError] = {}
        self._once: dict[str, asyncio.Task[Json]] = {}
        self._renewed = time.monotonic()
        self._changed = asyncio.Event()
        self._shortage = Shortage(
            scratch.root,
            scratch.space,
            running=self._tasks.keys,
            give_up=scratch.empty,
            stop=shop.stop_asked,
        )
        shop.granted = self.pump

    # -- starting -----------------------------------------------------------------------------------------------

    def turn(self, job_id: str) -> asyncio.Lock:
        """Who asks for a job does so after those who asked before: two at once would both queue it."""
        turn = self._turns.get(job_id)
        if turn is None:
            turn = self._turns[job_id] = asyncio.Lock()
        return turn

    def add(self, entry: Entry) -> None:
        """Queue a job of this run, in its :meth:`turn`."""
        entry.state, entry.closed = "queued", False
        self.entries[entry.id] = entry
        self._queue.add(entry.id, entry.way)
        self.pump()

    def pump(self) -> None:
        """Start jobs while those that run do not wait for room themselves; those behind a cap are passed by."""
        while not (self.stopping or self.draining) and self._has_room():
            job_id = self._queue.take()
            if job_id is None:
                return
            entry = self.entries[job_id]
            entry.state = "running"
            self.live[entry.id] = Live(entry.id, shown(entry.source), waiting=True)
            self._tasks[entry.id] = asyncio.create_task(self._run(entry), name=f"narrowboat-{entry.id}")

    def _has_room(self) -> bool:
        return not self._shortage.there and sum(live.waiting for live in self.live.values()) < self._shop.budget.cores

    async def wanted(self) -> None:
        """Wait until another job would start at once, or the run is stopped."""
        while (self._queue.next() is not None or not self._has_room()) and not self.stopping:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _LOOK_S)

    async def renew_leases(self) -> None:
        """Renew the leases of running jobs when it is time."""
        if time.monotonic() - self._renewed < LEASE_S / 3:
            return
        self._renewed = time.monotonic()
        for claim in list(self._claims.values()):
            with contextlib.suppress(LeaseLost, DiskFull):  # its own task finds out with its next write
                await self._journal.renew(claim, LEASE_S)

    # -- one job ------------------------------------------------------------------------------------------------

    async def _run(self, entry: Entry) -> None:
        live = self.live[entry.id]
        state, error = "queued", None
        began = time.monotonic()
        try:
            state, error = await self._work(entry, live)
        except NarrowboatError as problem:  # the journal itself: the job stays as it is there
            state, error = "failed", problem
        except Exception as problem:  # a mistake of ours: whoever waits for the job must hear of it
            state, error = "failed", StepFailed(f"the runner raised {type(problem).__name__}: {problem}")
        finally:
            entry.peak_used = max(entry.peak_used, live.peak_used)
            entry.seconds += time.monotonic() - began
            for table in (self.live, self._tasks, self._claims, self._failed):
                table.pop(entry.id, None)
            self._shortage.forget(entry.id)
            self._cancelled.discard(entry.id)
            for lane in entry.way.through:
                self._shop.lanes.leave(*lane)
            self.finished(entry, state, error)
            self.pump()

    async def _work(self, entry: Entry, live: Live) -> tuple[str, NarrowboatError | None]:
        claim = self._claims[entry.id] = await self._journal.claim(entry.id, LEASE_S)
        row = await self._journal.job(entry.id)
        scratch = await self._scratch.own(entry.id)
        job = Job(
            row,
            claim,
            entry.source,
            journal=self._journal,
            shop=self._shop,
            live=live,
            scratch=scratch,
            once=self.once,
            wanted=entry.wanted,
            told=entry.told,
            anyway=entry.anyway,
        )
        try:
            state, error = await self._outcome(entry, job)
        finally:
            entry.items_resumed, entry.closed = job.items_resumed, True
            self._leftovers.ended(entry.id)
        if state == "queued":
            await self._journal.release(claim)
        else:
            await self._remove_parts(entry.id)
            await self._end(claim, state, error)
            with contextlib.suppress(DiskFull):  # its files are gone; the next start forgets whose they were
                await self._scratch.remove(entry.id)
                await self._scratch.uploads.release(entry.source.location)
        return state, error

    async def _end(self, claim: Claim, state: str, error: NarrowboatError | None) -> None:
        """End a job in the journal; when even the journal's reserve is gone, with the space that its scratch took."""
        reason = None if error is None else error.to_json()
        try:
            await self._journal.end(claim, state, reason)
        except DiskFull as full:
            self._scratch.empty(claim.job_id)
            try:
                await self._journal.end(claim, state, reason)
            except DiskFull:  # there it goes on with the next start; here it is told what went wrong first
                raise (error or full) from None

    async def _remove_parts(self, job_id: str) -> None:
        """A writer that was killed may have left a begun file beside an output."""
        for output in await self._journal.outputs(job_id):
            with contextlib.suppress(OSError):
                part_path(output.path).unlink(missing_ok=True)

    async def _outcome(self, entry: Entry, job: Job) -> tuple[str, NarrowboatError | None]:
        try:
            await self._flow_with_room(entry, job)
        except Interrupted as error:
            return "queued", error
        except NarrowboatError as error:
            return "failed", error
        except asyncio.CancelledError:
            return self._why_cancelled(entry)
        except Exception as error:  # a mistake in a workflow must not take the run along
            return "failed", StepFailed(f"the workflow {entry.pipeline.name} raised {type(error).__name__}: {error}")
        return "done", None

    def _why_cancelled(self, entry: Entry) -> tuple[str, NarrowboatError]:
        if entry.id in self._failed:
            return "failed", self._failed[entry.id]
        if entry.id in self._cancelled:
            return "cancelled", Cancelled("it was cancelled")
        return "queued", Interrupted("the run was stopped; committed work is kept")

    async def _flow_with_room(self, entry: Entry, job: Job) -> None:
        """Run the workflow, and again when room in scratch has come that was missing: what is done stays done."""
        live = self.live[entry.id]

        def waits() -> None:
            live.stage = "waits for room on the disk"
            live.facts.clear()

        while True:
            try:
                await self._flow(entry, job)
            except DiskFull as error:
                if not await self._shortage.over(entry.id, error, waits):
                    raise
                job.log(f"{error.message}; it has waited for what other jobs held, and goes on")
                self.pump()
            else:
                return

    async def _flow(self, entry: Entry, job: Job) -> None:
        """Run the workflow, and again for outputs that came to be wanted meanwhile: what is done is not done again."""
        while True:
            wanted = len(entry.wanted or ())
            job.rewind()
            await entry.pipeline.workflow(job)
            await self._journal.flush()
            if len(entry.wanted or ()) == wanted:
                entry.closed = True
                return

    def finished(self, entry: Entry, state: str, error: NarrowboatError | None) -> None:
        """Note how a job of this run ended, and wake those who wait for it."""
        self.entries[entry.id] = entry
        if error is not None:
            error.__traceback__ = error.__context__ = None  # whoever keeps it keeps no frames of the job alive
        entry.state, entry.error, entry.closed = state, error, True
        self._changed.set()
        for waiter in entry.waiters:
            if not waiter.done():
                waiter.set_result(None)
        entry.waiters.clear()

    async def once(self, key: str, work: Callable[[], Awaitable[Json]]) -> Json:
        """Do ``work`` once for all who ask for ``key``; what failed is done again by the next to ask."""
        if key not in self._once:
            task = self._once[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._forget_once(key, done))
        return await asyncio.shield(self._once[key])

    def _forget_once(self, key: str, done: asyncio.Task[Json]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._once.pop(key, None)

    # -- ending -------------------------------------------------------------------------------------------------

    def is_running(self, job_id: str) -> bool:
        """True while the job's workflow runs."""
        return job_id in self._tasks

    async def wait(self, job_ids: Iterable[str]) -> None:
        """Wait until the jobs have ended, or the run was stopped."""
        for job_id in job_ids:
            entry = self.entries.get(job_id)
            if entry is None:  # it has ended, and was let go of
                continue
            while entry.state in ("queued", "running") and not (self.stopping and job_id not in self._tasks):
                waiter = asyncio.get_running_loop().create_future()
                entry.waiters.append(waiter)
                await asyncio.wait([waiter], timeout=_LOOK_S)

    async def cancel(self, job_id: str) -> None:
        """Stop a job's worker and wait until the job has ended as cancelled; nothing when it does not run."""
        task = self._tasks.get(job_id)
        if task is not None:
            self._cancelled.add(job_id)
            task.cancel()
            await asyncio.wait([task])
            return
        self._queue.remove(job_id)
        if job_id in self.entries:
            self.finished(self.entries[job_id], "cancelled", Cancelled("it was cancelled"))

    async def drain(self, grace_s: float) -> None:
        """Start no further job; those that run get ``grace_s`` seconds to end."""
        self.draining = True
        tasks = list(self._tasks.values())
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)

    def fail(self, job_id: str, error: NarrowboatError) -> None:
        """Stop a job's worker; the job ends as failed with ``error``. Nothing when its workflow does not run."""
        if job_id in self._tasks and job_id not in self._failed and not self.entries[job_id].closed:
            self._failed[job_id] = error
            self._tasks[job_id].cancel()

    async def stop(self, grace_s: float) -> None:
        """Start nothing more; running steps get ``grace_s`` seconds to reach an item boundary."""
        self.stopping = True
        self._queue.clear()
        self._shop.stop()
        self._changed.set()
        tasks = list(self._tasks.values())
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)
        await self.abort()

    async def abort(self) -> None:
        """Stop at once: what runs is killed; what is committed is kept."""
        self.stopping = True
        self._queue.clear()
        tasks = [*self._tasks.values(), *self._once.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
