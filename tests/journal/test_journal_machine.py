"""The journal under any order of calls, of two supervisors of which one may be late, and of kills.

Covers: at most one claim of a job holds, its token only grows, and whoever lost it writes nothing more; items have no
gaps and no repeats, and what is committed stays; jobs that ended stay so until they are queued again; deaths of the
supervisor are counted. A home lets one supervisor in: the second stands for one that the lock could not keep out (a
network file system, a copy of a machine), which is what fencing tokens are for.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from journal_harness import Clock, asynchronous, new_job, numbers, past_the_lock

from narrowboat.errors import JournalError, LeaseLost, NarrowboatError, UsageError
from narrowboat.journal import Claim, Journal

LEASE_S = 60.0
ENDED = ("done", "failed", "cancelled")
NEVER_S = 3600.0  # queued writes wait for an urgent one


@dataclass
class Model:
    """What a job ought to be."""

    state: str = "queued"
    token: int = 0
    owner: str = ""
    until: float = 0.0
    step: int | None = None  # its row
    finished: bool = False
    items: int = 0
    attempts: int = 0
    open: list[int] = field(default_factory=list)
    deaths: int = 0
    asked: bool = False

    def holds(self, claim: Claim) -> bool:
        return self.state == "running" and (claim.token, claim.owner) == (self.token, self.owner)

    def stop(self, state: str) -> None:
        """It runs no more, and nothing of it is open."""
        self.state, self.asked, self.open = state, False, []
        if state in ENDED:
            self.deaths = 0


@dataclass
class Seat:
    """A supervisor: its journal, and the items that it queued and that no commit has taken along yet."""

    owner: str
    journal: Journal
    queued: list[tuple[Claim, int | None, int]] = field(default_factory=list)
    barred: dict[Claim, type[NarrowboatError]] = field(default_factory=dict)  # claims with an item that was refused
    untold: set[Claim] = field(default_factory=set)

    def bar(self, claim: Claim, why: type[NarrowboatError]) -> None:
        if claim not in self.barred:
            self.barred[claim] = why
            self.untold.add(claim)

    def forget(self, claim: Claim) -> None:
        self.barred.pop(claim, None)
        self.untold.discard(claim)


class JournalMachine(RuleBasedStateMachine):
    """Seat 0 holds the home. Seat 1 writes into the same file, past the lock."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.lives = 0
        self.home = Path(self.folder.name) / "0"
        self.loop = asyncio.Runner()
        self.clock = Clock()
        self.model: dict[str, Model] = {}
        self.claims: list[Claim] = []
        self.seats: list[Seat] = []
        self.sit_down()

    def sit_down(self) -> None:
        journal = self.do(Journal.open(self.home, owner="one", clock=self.clock, group_s=NEVER_S))
        late = past_the_lock(self.home, "two", self.clock, NEVER_S)
        self.seats = [Seat("one", journal), Seat("two", late)]

    def do(self, call: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await call

        return self.loop.run(wait())

    def refused(self, call: Awaitable[Any], kind: type[NarrowboatError] = LeaseLost) -> None:
        with pytest.raises(kind):
            self.do(call)

    def teardown(self) -> None:
        try:
            self.stand_up()
        finally:
            self.loop.close()
            self.folder.cleanup()

    def stand_up(self) -> None:
        """Both leave in good order: what they queued is committed."""
        for seat in reversed(self.seats):
            self.settle(seat)
            try:
                self.do(seat.journal.close())
            except NarrowboatError:
                assert seat.untold

    # -- what ought to happen -----------------------------------------------------------------------------------

    def settle(self, seat: Seat) -> None:
        """An urgent write takes along what its seat has queued, in order."""
        for claim, step, seq in seat.queued:
            job = self.model[claim.job_id]
            if claim in seat.barred:
                continue
            if not job.holds(claim):
                seat.bar(claim, LeaseLost)
            elif step is None or step != job.step or job.finished or seq != job.items:
                seat.bar(claim, JournalError)
            else:
                job.items, job.deaths = job.items + 1, 0
        seat.queued.clear()

    def seat(self, data: st.DataObject) -> Seat:
        return self.seats[data.draw(st.sampled_from([0, 0, 1]), "seat")]

    def pick(self, data: st.DataObject, seat: Seat) -> Claim:
        """Mostly a claim that this seat holds, at times any that ever was, or one that nobody was given."""
        which = data.draw(st.sampled_from(["holding"] * 8 + ["any", "any", "made up"]))
        if which == "made up":
            job_id = self.job(data)
            other = "one" if self.model[job_id].owner == "two" else "two"
            return Claim(job_id, self.model[job_id].token, other)
        queued = [job_id for job_id, job in self.model.items() if job.state == "queued"]
        if queued and which == "holding":
            self.take(seat, data.draw(st.sampled_from(queued)))
        holding = [c for c in self.claims if c.owner == seat.owner and self.model[c.job_id].holds(c)]
        return data.draw(st.sampled_from(holding if holding and which == "holding" else self.claims), "claim")

    def job(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model)), "job")

    # -- jobs and claims ----------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.submit_to(self.seats[0])
        self.take(self.seats[0], "j0001")

    @precondition(lambda self: len(self.model) < 3)
    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        self.submit_to(self.seat(data))

    def submit_to(self, seat: Seat) -> None:
        self.settle(seat)
        job, created = self.do(seat.journal.submit(new_job(str(len(self.model)))))
        assert created
        self.model[job.id] = Model()

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        self.take(self.seat(data), self.job(data))

    def take(self, seat: Seat, job_id: str) -> None:
        self.settle(seat)
        job = self.model[job_id]
        expired = job.state == "running" and job.until <= self.clock.now
        if job.state != "queued" and not expired:
            self.refused(seat.journal.claim(job_id, LEASE_S))
            return
        claim = self.do(seat.journal.claim(job_id, LEASE_S))
        assert claim == Claim(job_id, job.token + 1, seat.owner)
        job.state, job.token, job.owner, job.open = "running", claim.token, seat.owner, []
        job.until = self.clock.now + LEASE_S
        seat.forget(claim)
        self.claims.append(claim)

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        seat = self.seat(data)
        claim = self.pick(data, seat)
        self.settle(seat)
        job = self.model[claim.job_id]
        if job.holds(claim):
            self.do(seat.journal.renew(claim, LEASE_S))
            job.until = self.clock.now + LEASE_S
        else:
            self.refused(seat.journal.renew(claim, LEASE_S))

    @rule(data=st.data(), state=st.sampled_from(["not yet"] * 5 + ["", *ENDED]))
    def let_go(self, data: st.DataObject, state: str) -> None:
        if state == "not yet":
            return  # more often, and there is little else
        seat = self.seat(data)
        claim = self.pick(data, seat)
        self.settle(seat)
        job = self.model[claim.job_id]
        call = seat.journal.end(claim, state) if state else seat.journal.release(claim)
        if state == "done" and claim in seat.barred:
            seat.untold.discard(claim)
            self.refused(call, seat.barred[claim])
        elif job.holds(claim):
            self.do(call)
            job.stop(state or ("cancelled" if job.asked else "queued"))
            seat.forget(claim)
        else:
            self.refused(call)

    @rule(data=st.data(), what=st.sampled_from(["cancel", "requeue", "requeue", "requeue", "restart"]))
    def ask(self, data: st.DataObject, what: str) -> None:
        seat, job_id = self.seat(data), self.job(data)
        self.settle(seat)
        job, journal = self.model[job_id], seat.journal
        if what == "cancel":
            self.do(journal.request_cancel(job_id))
            job.asked = job.state == "running"
            if job.state == "queued":
                job.stop("cancelled")
            return
        call = journal.requeue(job_id) if what == "requeue" else journal.restart(job_id)
        if job.state == "running":
            self.refused(call, UsageError)
            return
        self.do(call)
        job.state, job.deaths = "queued", 0
        if what == "restart":
            job.items, job.step, job.finished, job.attempts = 0, None, False, 0

    # -- steps, items, attempts ---------------------------------------------------------------------------------

    @rule(data=st.data())
    def begin_step(self, data: st.DataObject) -> None:
        seat = self.seat(data)
        self.begun(seat, self.pick(data, seat))

    def begun(self, seat: Seat, claim: Claim) -> None:
        self.settle(seat)
        job = self.model[claim.job_id]
        call = seat.journal.begin_step(claim, "recognise", "m:f", "1", "h")
        if not job.holds(claim):
            self.refused(call)
            return
        row = self.do(call)
        assert row.items == job.items
        assert row.cursor == ({"at": job.items - 1} if job.items else None)
        assert job.step in (None, row.id)
        job.step = row.id

    @rule(data=st.data(), off=st.sampled_from([0] * 8 + [1, -1]), count=st.integers(1, 4), flush=st.booleans())
    def add_items(self, data: st.DataObject, off: int, count: int, flush: bool) -> None:
        seat = self.seat(data)
        claim = self.pick(data, seat)
        if self.model[claim.job_id].step is None:
            self.begun(seat, claim)
        step = self.model[claim.job_id].step
        first = self.model[claim.job_id].items + sum(claim == queued for queued, _, _ in seat.queued)
        for seq in range(max(0, first + off), max(0, first + off) + count):
            call = (claim, step or 999, seq, {"at": seq}, {"n": seq})
            if claim in seat.barred:
                seat.untold.discard(claim)
                with pytest.raises(seat.barred[claim]):
                    seat.journal.add_item(*call)
            else:
                seat.journal.add_item(*call)
                seat.queued.append((claim, step, seq))
        if flush:
            self.flush(seat)

    def flush(self, seat: Seat) -> None:
        self.settle(seat)
        for _ in range(len(seat.untold)):
            self.refused(seat.journal.flush(), NarrowboatError)
        seat.untold.clear()
        self.do(seat.journal.flush())

    @rule(data=st.data())
    def finish_step(self, data: st.DataObject) -> None:
        seat = self.seat(data)
        claim = self.pick(data, seat)
        if self.model[claim.job_id].step is None:
            self.begun(seat, claim)
        self.settle(seat)
        job = self.model[claim.job_id]
        call = seat.journal.finish_step(claim, job.step or 999, None)
        if claim in seat.barred:
            seat.untold.discard(claim)
            self.refused(call, seat.barred[claim])
        elif not job.holds(claim):
            self.refused(call)
        elif job.step is None:
            self.refused(call, JournalError)
        else:
            self.do(call)
            job.finished = True

    @rule(data=st.data())
    def start_attempt(self, data: st.DataObject) -> None:
        seat = self.seat(data)
        claim = self.pick(data, seat)
        if self.model[claim.job_id].step is None:
            self.begun(seat, claim)
        self.settle(seat)
        job = self.model[claim.job_id]
        call = seat.journal.start_attempt(claim, job.step or 999, 1, 1, 1)
        if not job.holds(claim):
            self.refused(call)
        elif job.step is None:
            self.refused(call, JournalError)
        else:
            job.open.append(self.do(call))
            job.attempts += 1

    # -- supervisors --------------------------------------------------------------------------------------------

    @rule(how=st.sampled_from(["not yet"] * 3 + ["leave", "kill"]))
    def next_supervisors(self, how: str) -> None:
        if how == "not yet":
            return
        if how == "leave":
            self.stand_up()
        else:
            self.kill()
        for job in self.model.values():
            if job.state == "running":
                job.deaths += bool(job.open)
                job.stop("cancelled" if job.asked else "queued")
        self.sit_down()

    def kill(self) -> None:
        """What a kill -9 leaves is what is in the files: the next supervisors find a copy of them."""
        gone, self.lives = self.home, self.lives + 1
        self.home = Path(self.folder.name) / str(self.lives)
        shutil.copytree(gone, self.home, ignore=shutil.ignore_patterns("*-shm", "*.reserve"))
        for seat in self.seats:  # their threads end on files that no longer count
            with contextlib.suppress(NarrowboatError):
                self.do(seat.journal.close())

    # -- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def the_journal_is_as_it_ought_to_be(self) -> None:
        for seat in self.seats:
            for row in self.do(seat.journal.jobs()):
                job = self.model[row.id]
                found = (row.state, row.token, row.items, row.attempts, row.supervisor_deaths, row.cancel_requested)
                assert found == (job.state, job.token, job.items, job.attempts, job.deaths, job.asked)
                assert self.do(numbers(seat.journal, row.id)) == list(range(job.items))
                still = [attempt.id for attempt in self.do(seat.journal.attempts(row.id)) if attempt.ended is None]
                assert still == job.open


JournalMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestJournal = JournalMachine.TestCase


@asynchronous
async def test_of_two_who_claim_everything_at_once_each_job_has_one(tmp_path: Path) -> None:
    clock = Clock()
    async with await Journal.open(tmp_path, owner="one", clock=clock) as first:
        second = past_the_lock(tmp_path, "two", clock, 0.0)
        jobs = [(await first.submit(new_job(str(number))))[0].id for number in range(100)]
        tries = [journal.claim(job, 60) for job in jobs for journal in (first, second)]
        claims = [claim for claim in await asyncio.gather(*tries, return_exceptions=True) if isinstance(claim, Claim)]
        await second.close()
        assert sorted(claim.job_id for claim in claims) == jobs
        assert {claim.token for claim in claims} == {1}
        assert {(row.id, row.state) for row in await first.jobs()} == {(job, "running") for job in jobs}
