"""The runner: takes jobs in, lets them run as they fit, and remembers all of it.

Covers: the life of a supervisor (home, journal, guard, fork server, ticks), ``map``, cancel, stop.
Does not cover: taking jobs in (``intake``), which job runs when (``scheduler``), one job's steps (``job``,
``attempts``), admission (``memory/``), what a pipeline does (``pipelines/``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from narrowboat import allocator
from narrowboat.errors import DiskFull, UsageError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, JobRow
from narrowboat.memory.budget import HEADROOM, Budget
from narrowboat.memory.cgroups import own_groups
from narrowboat.memory.machine import LinuxMachine
from narrowboat.networks import parse_networks
from narrowboat.runner.attempts import StepRun
from narrowboat.runner.calls import CallRun
from narrowboat.runner.control import ControlServer
from narrowboat.runner.entries import Entry
from narrowboat.runner.feeds import Feeds
from narrowboat.runner.folders import Folders
from narrowboat.runner.intake import Intake
from narrowboat.runner.keeper import Keeper
from narrowboat.runner.leftovers import Leftovers
from narrowboat.runner.mapping import Mapping, ended
from narrowboat.runner.pipeline import Pipeline, find_pipeline
from narrowboat.runner.records import NoRecord, Peaks
from narrowboat.runner.resting import Resting
from narrowboat.runner.results import Result
from narrowboat.runner.scheduler import Scheduler
from narrowboat.runner.scratch import Scratch, kill_leftovers
from narrowboat.runner.space import BudgetMemory
from narrowboat.runner.status import Live, Status, job_status
from narrowboat.runner.steps import Step
from narrowboat.runner.workshop import Workshop
from narrowboat.sources.locate import Source
from narrowboat.values import Caps, Json
from narrowboat.workers.guard import Guard
from narrowboat.workers.means import choose
from narrowboat.workers.server import ForkServer

TICK_S = 0.2
#: Seconds between two times that freed memory is given back to the system: large frames leave holes behind.
TRIM_EVERY_S = 5.0
#: Seconds between two looks at scratch that lies in memory.
_WATCH_S = 0.02
#: Seconds that steps are given to reach an item boundary when the run is stopped.
GRACE_S = 10.0
#: Seconds that removing what was left in remote stores may take at the end; the next start does the rest.
CLEAR_S = 10.0


class Runner:
    """Runs jobs inside a budget; an async context manager.

    Args:
        memory: the limit (``"512M"``, bytes); None reads the container's or the machine's.
        cores: cores to use; None for all that this process may run on.
        home: where the journal and scratch are. None makes a temporary one that goes with the runner; with a folder,
            what was done or begun there before is not done again.
        preload: modules that the fork server imports, so that workers start with them.
        guard: what is to keep workers to their reservations: ``auto`` for all that can be had, or some of ``cgroup``,
            ``polling``, ``oom-score``, ``rlimit``, with commas or in a list.
        time_limit: seconds that one attempt of a step may take, where the step has no limit of its own.
        allowed_networks: turns the address guard on: sources are fetched from public addresses and from these networks
            (``10.1.0.0/16``) alone, whoever submitted them and whenever; None lets every address through.
        caps: what users have capped beside memory and cores (``narrowboat.config.caps`` reads it from the environment).
        budget: in the place of ``memory`` and ``cores``; for tests.

    Raises:
        HomeHeld: on entering, when another supervisor holds the home.
        UsageError: one of ``allowed_networks`` is none; on entering, when ``guard`` names what can't be had here.
    """

    def __init__(
        self,
        memory: str | int | None = None,
        *,
        cores: int | None = None,
        home: str | Path | None = None,
        preload: Sequence[str] = (),
        guard: str | Sequence[str] = "auto",
        time_limit: float | None = None,
        allowed_networks: Sequence[str] | None = None,
        caps: Caps | None = None,
        budget: Budget | None = None,
    ) -> None:
        together = any(group.kills_all() for group in own_groups())  # then one mistake costs all: keep more free
        self.budget = budget or Budget(memory, cores=cores, headroom=2 * HEADROOM if together else HEADROOM)
        self._guard_wanted = guard
        self._time_limit = time_limit
        self._allowed_networks = None if allowed_networks is None else list(map(str, parse_networks(allowed_networks)))
        self._caps = caps or Caps()
        self._home = None if home is None else Path(home).expanduser().absolute()
        self._preload = preload
        self._received = 0
        self._open = contextlib.AsyncExitStack()
        self.started = time.monotonic()

    # -- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Runner:
        try:
            await self._enter()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def _enter(self) -> None:
        if self._home is None:
            self._home = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="narrowboat-")))
        self.home = self._home
        self.journal = await Journal.open(self.home, owner=f"process {os.getpid()}")
        self._open.push_async_callback(self.journal.close)
        await kill_leftovers(self.journal)
        self._scratch = Scratch(self.home, self.journal, BudgetMemory(self.budget))
        await self._scratch.tidy()
        means = choose(self._guard_wanted, own_groups())
        self._open.push_async_callback(asyncio.to_thread, means.close)
        if isinstance(self.budget.machine, LinuxMachine) and means.groups is not None:
            self.budget.machine.limit_kills = means.groups.own_kills
        server = ForkServer(self._preload, means.groups.traces if means.groups is not None else None)
        self._open.push_async_callback(server.close)
        self.guard = Guard(self.budget, lambda: server.pid, means)
        self.budget.measure_with(
            helpers=self.guard.helpers_used, workers=self.guard.workers_used, files=self._scratch.in_memory
        )
        self._shop = Workshop(
            self.budget,
            self.guard,
            server,
            self._scratch.space,
            Peaks(self.journal),
            self._caps,
            self.journal,
        )
        self._shop.time_limit = self._time_limit
        self._shop.allowed_networks = self._allowed_networks
        self._leftovers = Leftovers(self._shop, self._scratch.root / "leftovers")
        self._scheduler = Scheduler(self.journal, self._shop, self._scratch, self._leftovers)
        self._intake = Intake(self.home, self.journal, self._scheduler, self._scratch.uploads, self.call, self._caps)
        self.folders = Folders(self._intake, self.call)
        self.feeds = Feeds(self.journal, self._intake, self._scratch, self.call)
        self.keeper = Keeper(self.journal, self._shop, self._scheduler, self._scratch)
        server.start()
        self.guard.start()
        self._open.callback(self.guard.stop)
        await self._open.enter_async_context(ControlServer(self.home / "control.sock", self._answer))
        self._open.push_async_callback(ended, asyncio.create_task(self._tick(), name="narrowboat-tick"))
        self._open.push_async_callback(ended, asyncio.create_task(self._watch_scratch(), name="narrowboat-scratch"))
        self._leftovers.start()

    async def __aexit__(self, *_: object) -> None:
        await self.abort()
        await self._leftovers.close(CLEAR_S)
        await self._shop.clients.close()
        await self._shop.pool.close()
        with contextlib.suppress(DiskFull):  # the next start tidies
            await self._scratch.tidy()
        await self._open.aclose()

    async def _tick(self) -> None:
        before = trimmed = time.monotonic()
        while True:
            self.budget.refresh()
            now = time.monotonic()
            self._shop.pool.look(min(now - before, 2 * TICK_S))  # a supervisor that was stopped heard nothing
            before = now
            if now - trimmed >= TRIM_EVERY_S:
                trimmed = now
                allocator.give_back()
            self._scheduler.pump()
            await self._scheduler.renew_leases()
            await asyncio.sleep(TICK_S)

    async def _watch_scratch(self) -> None:
        """Fail the jobs that fill the disk. In memory that takes less than a tick, and nothing else gives it back."""
        space = self._scratch.space
        while True:
            for folder, error in space.takers().items():
                self._scheduler.fail(folder.name, error)
            await asyncio.sleep(_WATCH_S if space.in_memory else TICK_S)

    async def drain(self, grace_s: float) -> None:
        """Start no further job; those that run get ``grace_s`` seconds to end. :meth:`stop` comes next."""
        await self._scheduler.drain(grace_s)

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Stop: running steps get ``grace_s`` seconds to reach an item boundary; what is committed is kept."""
        await self._scheduler.stop(grace_s)

    async def abort(self) -> None:
        """Stop at once: kill what runs; what is committed is kept."""
        await self._scheduler.abort()

    @property
    def stopping(self) -> bool:
        """True once the run was asked to stop."""
        return self._scheduler.stopping

    # -- taking jobs in -----------------------------------------------------------------------------------------

    async def submit(
        self,
        pipeline: Pipeline | str,
        source: str | Source,
        options: dict[str, Json] | None = None,
        *,
        out: str | Path | None = None,
        formats: Sequence[str] = (),
        again: bool = False,
        label: str | None = None,
        patience_s: float | None = None,
    ) -> str:
        """Take in one job; its id.

        A job of the same pipeline, content and result-changing options is the same job: done, it is not done
        again, and formats that it has not written yet are written from the journal; failed or interrupted, it goes
        on. A source that can't even be found becomes a job that has failed.

        Args:
            out: folder of the outputs; the home's ``outputs`` when None.
            again: forget what was done and do it again.
            patience_s: seconds that an address may take to say which version of its content it has; an address that
                does not say so is told from others by itself alone.
        """
        found = find_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
        job_id, _ = await self._intake.submit(
            found, source, options or {}, out=out, formats=formats, again=again, label=label, patience_s=patience_s
        )
        return job_id

    async def receive(
        self,
        pieces: AsyncIterable[bytes],
        name: str,
        *,
        shown: str = "the upload",
        max_bytes: int | None = None,
        declared: int | None = None,
    ) -> str:
        """Take in a body that comes in pieces; the path of the file that it became, a source to :meth:`submit`.

        It lies in the home until its job is done or cancelled, or is forgotten. What does not come whole, or is
        cancelled on the way, leaves nothing.

        Args:
            name: as the sender calls it: outputs are named after it.
            shown: what messages call it.
            max_bytes: of the body; the cap of the runner counts where it is smaller.
            declared: bytes that the sender says will come.

        Raises:
            TooLarge: above the cap, as declared or as it came.
            SourceError: empty, or longer than declared. FetchError: shorter than declared.
            DiskFull, OutputError: there is no room for it.
        """
        self._received += 1
        live = Live(f"upload {self._received}", name, stage="receive")
        self._scheduler.live[live.id] = live

        def tell(size: int) -> None:
            live.facts.update(bytes_done=size, bytes_total=declared)
            live.fraction = size / declared if declared else None

        try:
            path = await self._scratch.uploads.receive(
                pieces, name, shown=shown, max_bytes=self._caps.smaller(max_bytes), declared=declared, tell=tell
            )
        finally:
            del self._scheduler.live[live.id]
        return str(path)

    # -- steps outside of pipelines -----------------------------------------------------------------------------

    async def call(self, step: Step, given: Json, *, live: Live | None = None, scratch: Path | None = None) -> Json:
        """Run one step that belongs to no job and is not journaled; its result.

        Args:
            scratch: its folder, where that is to stay; the caller removes it.

        Raises:
            NarrowboatError: as the step ended.
        """
        folder = scratch or self._scratch.root / f"call-{time.monotonic_ns():x}"
        facts = given if isinstance(given, dict) else {}
        kind = StepRun if step.client is None else CallRun
        try:
            run = kind(self._shop, step, NoRecord(), live or Live("", ""), given=given, facts=facts, scratch=folder)
            return await run.result()
        finally:
            if scratch is None:
                await self._scratch.drop(folder)

    def map(
        self, step: Step | Callable[..., Any], inputs: Iterable[Json] | AsyncIterable[Json]
    ) -> AsyncGenerator[Result]:
        """Run a step on many inputs, as many at once as fit; results as they come.

        An input that fails gives a result with an error, and the others go on. Inputs are taken as there is room, so
        they may be endless. ``demand`` of the step is asked with the input when it is a dict, else with
        ``{"input": input}``.

        Raises:
            Interrupted: the runner was stopped.
        """
        chosen = step if isinstance(step, Step) else Step(step)
        return Mapping(self.journal, self._scheduler, chosen).results(inputs)

    # -- from outside -------------------------------------------------------------------------------------------

    async def wait(self, job_ids: Iterable[str] | None = None) -> None:
        """Wait until the jobs (all of this run) have ended, or the run was stopped."""
        await self._scheduler.wait(list(self._scheduler.entries) if job_ids is None else job_ids)

    async def cancel(self, job_id: str) -> JobRow:
        """Cancel a job: a queued one at once, a running one by stopping its worker.

        Raises:
            NotFound: there is no such job.
            UsageError: it has ended.
        """
        row = await self.journal.job(job_id)
        if row.state in ENDED:
            raise UsageError(f"job {row.id} has ended already: {row.state}")
        await self.journal.request_cancel(row.id)
        await self._scheduler.cancel(row.id)
        row = await self.journal.job(row.id)
        if row.state in ENDED:
            await self._scratch.remove(row.id)
            await self._scratch.uploads.release(row.source)
        return row

    async def retry(self, job_id: str) -> JobRow:
        """Run a job again that failed, was cancelled or was interrupted; committed items are kept.

        Raises:
            NotFound: there is no such job.
            UsageError: it runs, or it is done.
        """
        return await self._intake.retry(job_id)

    def status(self) -> Status:
        """The live figures of this moment."""
        counts = dict.fromkeys(("queued", "running", *ENDED), 0)
        for entry in self.entries:
            counts[entry.state] += 1
        return Status(
            memory=self.budget.snapshot(),
            used=self.guard.used,
            peak_used=self.guard.peak_used,
            jobs=[job_status(live) for live in self._scheduler.live.values()],
            counts=counts,
            pressure=self.guard.relief.short,
        )

    @property
    def entries(self) -> list[Entry]:
        """The jobs of this run, in the order of submission."""
        return list(self._scheduler.entries.values())

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """A request from the control socket."""
        op = request.get("op")
        if op == "status":
            return self.status().to_json()
        if op in ("cancel", "retry"):
            row = await (self.cancel if op == "cancel" else self.retry)(str(request.get("id")))
            return {"id": row.id, "state": row.state, "reason": row.reason}
        if op == "forget_sources":
            return {"forgotten": await Resting(self.journal).forget(str(request.get("which")))}
        raise UsageError(f"the control socket knows no {op!r}")
