"""Claims, leases and tokens under any order of calls: nobody writes without the newest token, items have no gaps."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from journal_harness import Clock, new_job, numbers

from narrowboat.errors import JournalError, LeaseLost, NarrowboatError, UsageError
from narrowboat.journal import Claim, Journal

LEASE_S = 60.0
ENDED = ("done", "failed", "cancelled")


@dataclass
class Model:
    """What a job ought to be."""

    state: str = "queued"
    token: int = 0
    owner: str = ""
    until: float = 0.0
    items: int = 0
    asked: bool = False
    barred: set[int] = field(default_factory=set)  # tokens with an item that was refused

    def holds(self, claim: Claim) -> bool:
        return self.state == "running" and (claim.token, claim.owner) == (self.token, self.owner)


class Claims(RuleBasedStateMachine):
    """Two owners in turn, jobs, and every claim that was ever made."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.Runner()
        self.clock = Clock()
        self.model: dict[str, Model] = {}
        self.claims: list[Claim] = []
        self.owner = "one"
        self.journal = self.open()

    def open(self) -> Journal:
        home = Path(self.folder.name)
        return self.loop.run(Journal.open(home, owner=self.owner, clock=self.clock, group_s=3600))

    def do(self, call: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await call

        return self.loop.run(wait())

    def pick(self, data: st.DataObject) -> Claim:
        """Mostly a claim that holds, at times any that ever was."""
        holding = [claim for claim in self.claims if self.model[claim.job_id].holds(claim)]
        among = holding if holding and data.draw(st.sampled_from([True, True, True, False])) else self.claims
        return data.draw(st.sampled_from(among))

    def refused(self, call: Awaitable[Any], kind: type[NarrowboatError] = LeaseLost) -> None:
        with pytest.raises(kind):
            self.do(call)

    def teardown(self) -> None:
        try:
            self.do(self.journal.close())
        except NarrowboatError:
            pass  # a refused item nobody asked about
        finally:
            self.loop.close()
            self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.submit()
        self.take("j0001")

    @precondition(lambda self: len(self.model) < 3)
    @rule()
    def submit(self) -> None:
        job, created = self.do(self.journal.submit(new_job(str(len(self.model)))))
        assert created
        self.model[job.id] = Model()

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        self.take(data.draw(st.sampled_from(sorted(self.model))))

    def take(self, job_id: str) -> None:
        job = self.model[job_id]
        expired = job.state == "running" and job.until <= self.clock.now
        if job.state != "queued" and not expired:
            self.refused(self.journal.claim(job_id, LEASE_S))
            self.claims.append(Claim(job_id, job.token + 1, self.owner))  # what somebody might make up
            return
        claim = self.do(self.journal.claim(job_id, LEASE_S))
        assert claim.token == job.token + 1
        job.state, job.token, job.owner = "running", claim.token, self.owner
        job.until = self.clock.now + LEASE_S
        job.barred.discard(claim.token)
        self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        claim = self.pick(data)
        job = self.model[claim.job_id]
        if job.holds(claim):
            self.do(self.journal.renew(claim, LEASE_S))
            job.until = self.clock.now + LEASE_S
        else:
            self.refused(self.journal.renew(claim, LEASE_S))

    @rule(data=st.data(), counts=st.lists(st.integers(1, 3), min_size=1, max_size=3))
    def add_items(self, data: st.DataObject, counts: list[int]) -> None:
        for count in counts:
            self.add_some(data, 0, count)

    @rule(data=st.data(), off=st.sampled_from([1, -1]), count=st.integers(1, 3))
    def add_wrong_items(self, data: st.DataObject, off: int, count: int) -> None:
        self.add_some(data, off, count)

    def add_some(self, data: st.DataObject, off: int, count: int) -> None:
        claim = self.pick(data)
        job = self.model[claim.job_id]
        if not job.holds(claim):
            self.refused(self.journal.begin_step(claim, "recognise", "m:f", "1", "h"))
            # A claim that a wrong item barred may go on hearing of that one.
            with pytest.raises((LeaseLost, JournalError) if claim.token in job.barred else LeaseLost):
                self.journal.add_item(claim, 1, job.items, None, {"n": job.items})
                self.do(self.journal.flush())
            return
        step = self.do(self.journal.begin_step(claim, "recognise", "m:f", "1", "h"))
        assert step.items == job.items
        try:
            for seq in range(job.items + off, job.items + off + count):
                self.journal.add_item(claim, step.id, seq, {"at": seq}, {"n": seq})
            self.do(self.journal.flush())
        except NarrowboatError as error:
            assert off != 0 or claim.token in job.barred, error
            job.barred.add(claim.token)
        else:
            assert off == 0
            assert claim.token not in job.barred
            job.items += count

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), state=st.sampled_from(["", *ENDED]))
    def let_go(self, data: st.DataObject, state: str) -> None:
        claim = self.pick(data)
        job = self.model[claim.job_id]
        if state:
            self.end(claim, job, state)
        elif job.holds(claim):
            self.do(self.journal.release(claim))
            job.state, job.asked = ("cancelled", False) if job.asked else ("queued", False)
        else:
            self.refused(self.journal.release(claim))

    def end(self, claim: Claim, job: Model, state: str) -> None:
        if job.holds(claim) and claim.token in job.barred and state == "done":
            self.refused(self.journal.end(claim, state), JournalError)
        elif job.holds(claim):
            self.do(self.journal.end(claim, state))
            job.state, job.asked = state, False
        else:
            self.refused(self.journal.end(claim, state))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), what=st.sampled_from(["cancel", "requeue", "restart"]))
    def ask(self, data: st.DataObject, what: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.model)))
        job = self.model[job_id]
        if what == "cancel":
            self.do(self.journal.request_cancel(job_id))
            job.asked = job.state == "running"
            if job.state == "queued":
                job.state = "cancelled"
            return
        call = self.journal.requeue(job_id) if what == "requeue" else self.journal.restart(job_id)
        if job.state == "running":
            self.refused(call, UsageError)
            return
        self.do(call)
        job.state = "queued"
        if what == "restart":
            job.items = 0

    @rule(owner=st.sampled_from(["", "", "", "one", "two"]))
    def another_supervisor(self, owner: str) -> None:
        if not owner:
            return  # more often, and there is little else
        self.do(self.journal.close())
        self.owner = owner
        self.journal = self.open()
        for job in self.model.values():
            if job.state == "running":
                job.state = "cancelled" if job.asked else "queued"
                job.asked = False

    @invariant()
    def the_journal_is_as_it_ought_to_be(self) -> None:
        for row in self.do(self.journal.jobs()):
            job = self.model[row.id]
            found = (row.state, row.token, row.items, row.cancel_requested)
            assert found == (job.state, job.token, job.items, job.asked)
            assert self.do(numbers(self.journal, row.id)) == list(range(job.items))


Claims.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestClaims = Claims.TestCase
