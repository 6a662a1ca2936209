"""Random histories of the budget: what must always hold.

Covers: never above the budget or the cores when something is granted, no lost wake-up, no starvation, impossible
requests refused at once, idle workers taken over by one at most and recalled before anybody waits in vain, pauses.
"""

from __future__ import annotations

import contextlib
import queue
import random
import threading
from concurrent.futures import Future

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from stand_ins import FakeClock, FakeMachine

from narrowboat.memory.budget import AGED_AFTER_S, PATIENCE_S, Budget
from narrowboat.memory.reservation import Parked, Reservation
from narrowboat.sizes import MIB
from narrowboat.values import Demand

CORES = 4
KINDS = ("speech", "pose")
ANY = st.integers(0, 1000)


class Watched:
    """A budget whose every grant is looked at in the moment it is made; what was wrong is kept."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.wrong: list[str] = []
        self.taken: set[Parked] = set()

    def ask(self, demand: Demand, *, learned: bool = False, kind: str | None = None) -> Future[Reservation]:
        future = self.budget.request(demand, learned=learned, kind=kind)
        future.add_done_callback(lambda done: self._look(done, kind))  # in the thread that grants, with the lock held
        return future

    def _look(self, done: Future[Reservation], kind: str | None) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        granted, now = done.result(), self.budget.snapshot()
        if now.reserved > now.budget:
            self.wrong.append(f"{now.reserved} reserved of {now.budget}")
        if now.cores_reserved > now.cores:
            self.wrong.append(f"{now.cores_reserved} cores of {now.cores}")
        takes = granted.takes
        if takes is not None:
            if takes.recalled or takes.kind != kind or takes.bytes > granted.bytes or takes in self.taken:
                self.wrong.append(f"took over {takes.kind}, {takes.bytes} bytes, recalled: {takes.recalled}")
            self.taken.add(takes)


class BudgetMachine(RuleBasedStateMachine):
    """Requests, releases, idle workers that come and go, others that grow and shrink, pauses, time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.machine, self.clock = FakeMachine(1024 * MIB), FakeClock()
        self.budget = Budget(cores=CORES, machine=self.machine, clock=self.clock)
        self.watched = Watched(self.budget)
        self.asked: list[tuple[Future[Reservation], Demand, bool, str | None]] = []
        self.held: list[Reservation] = []
        self.idle: list[Parked] = []
        self.recalled: list[object] = []  # their holders
        self.paused = False

    # -- requests -----------------------------------------------------------------------------------------------

    @rule(
        mib=st.one_of(st.integers(1, 200), st.integers(1, 1200)),
        cores=st.integers(0, 6),
        more_cores=st.integers(0, 3),
        per_core=st.integers(0, 200),
        learned=st.booleans(),
        kind=st.sampled_from([None, *KINDS]),
    )
    def ask(self, mib: int, cores: int, more_cores: int, per_core: int, learned: bool, kind: str | None) -> None:
        self.request(Demand(mib * MIB, cores, cores + more_cores, per_core * MIB), learned, kind)

    @rule(mib=st.integers(0, 60), kind=st.sampled_from([None, *KINDS]))
    def ask_for_what_is_free_and_a_little_more(self, mib: int, kind: str | None) -> None:
        self.request(Demand(max(1, self.budget.snapshot().free + mib * MIB), 0), False, kind)

    def request(self, wanted: Demand, learned: bool, kind: str | None) -> None:
        future = self.watched.ask(wanted, learned=learned, kind=kind)
        self.asked.append((future, wanted, learned, kind))
        if not learned and wanted.bytes > self.budget.ceiling:
            assert future.done()
            assert future.exception() is not None

    @precondition(lambda self: self.asked)
    @rule(which=ANY)
    def give_up(self, which: int) -> None:
        self.asked[which % len(self.asked)][0].cancel()

    @precondition(lambda self: self.held)
    @rule(which=ANY)
    def release(self, which: int) -> None:
        self.leave(self.held.pop(which % len(self.held)))

    @precondition(lambda self: self.held)
    @rule(which=ANY)
    def give_back_cores(self, which: int) -> None:
        self.held[which % len(self.held)].give_back_cores()

    @precondition(lambda self: self.held)
    @rule(which=ANY, mib=st.integers(1, 900))
    def resize(self, which: int, mib: int) -> None:
        held = self.held[which % len(self.held)]
        before, free = held.bytes, self.budget.snapshot().free
        done = held.resize(mib * MIB)
        assert done == (mib * MIB - before <= max(free, 0) or mib * MIB <= before)
        assert held.bytes == (mib * MIB if done else before)

    # -- idle workers -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.held)
    @rule(which=ANY)
    def start(self, which: int) -> None:
        """The attempt begins: from here on an idle worker that came with the reservation is this one's."""
        self.held[which % len(self.held)].takes = None

    @precondition(lambda self: self.held)
    @rule(which=ANY, kind=st.sampled_from(KINDS), mib=st.integers(1, 400))
    def park(self, which: int, kind: str, mib: int) -> None:
        held = self.held[which % len(self.held)]
        if held.takes is not None:
            return  # its attempt has not begun
        self.held.remove(held)
        holder = object()
        recall = lambda: self.recalled.append(holder)  # noqa: E731
        self.idle.append(self.budget.park(held, kind, mib * MIB, holder=holder, recall=recall))
        assert self.idle[-1].bytes == min(mib * MIB, held.bytes)

    @precondition(lambda self: self.idle)
    @rule(which=ANY, mib=st.integers(1, 300))
    def give_memory_back(self, which: int, mib: int) -> None:
        self.budget.shrink_parked(self.idle[which % len(self.idle)], mib * MIB)

    @precondition(lambda self: self.idle)
    @rule(which=ANY)
    def an_idle_worker_goes(self, which: int) -> None:
        """Asked to or not: it may also die."""
        self.idle.pop(which % len(self.idle)).release()

    @rule(mib=st.integers(0, 1000))
    def recall_idle(self, mib: int) -> None:
        coming = self.budget.recall_idle(mib * MIB)
        assert coming == sum(one.bytes for one in self.idle if one.recalled)
        assert coming >= min(mib * MIB, sum(one.bytes for one in self.idle))

    # -- the machine --------------------------------------------------------------------------------------------

    @rule(mib=st.one_of(st.just(0), st.integers(0, 700)))
    def others(self, mib: int) -> None:
        self.machine.others = mib * MIB
        self.budget.refresh()

    @rule(seconds=st.sampled_from([0.1, 1.0, AGED_AFTER_S, PATIENCE_S / 2]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.budget.refresh()

    @rule()
    def pause(self) -> None:
        self.collect()
        self.budget.pause("pressure")
        self.paused = True

    @rule()
    def resume(self) -> None:
        self.paused = False
        self.budget.resume()

    # -- what must hold -----------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Take note of what was granted since."""
        waiting, held_before = self.asked, len(self.held)
        self.asked = [asked for asked in waiting if not asked[0].done()]
        granted = [asked[0] for asked in waiting if asked[0].done() and not asked[0].cancelled()]
        for future in granted:
            if future.exception() is None:
                self.held.append(future.result())
                if future.result().takes is not None:
                    self.idle.remove(future.result().takes)
        if self.paused and len(self.held) > held_before:
            assert (held_before, len(self.held)) == (0, 1)  # only so that something goes on

    @invariant()
    def all_that_must_hold(self) -> None:
        self.collect()
        assert self.watched.wrong == []
        self.what_is_held_is_what_is_counted()
        if self.asked and not (self.paused and self.held):
            self.no_wake_up_is_lost()
        self.asking_again_changes_nothing()

    def what_is_held_is_what_is_counted(self) -> None:
        snapshot = self.budget.snapshot()
        assert snapshot.idle == sum(one.bytes for one in self.idle)
        assert snapshot.reserved == sum(held.bytes for held in self.held) + snapshot.idle
        assert snapshot.cores_reserved == sum(held.cores for held in self.held) <= CORES
        assert snapshot.waiting == len(self.asked)
        assert len(set(self.recalled)) == len(self.recalled)  # each is asked once
        assert all((one.holder in self.recalled) == one.recalled for one in self.idle)

    def no_wake_up_is_lost(self) -> None:
        """Who has waited longest waits neither for what is free nor for idle workers that nobody asked to go."""
        _, demand, learned, kind = self.asked[0]
        now = self.budget.snapshot()
        size = max(1, min(demand.bytes, now.budget)) if learned else demand.bytes
        if demand.cores and min(demand.cores, CORES) > CORES - now.cores_reserved:
            return
        assert size > now.free
        usable = [one.bytes for one in self.idle if not one.recalled]
        coming = now.idle - sum(usable)
        takes = [one.bytes for one in self.idle if not one.recalled and one.kind == kind and one.bytes <= size]
        missing = size - now.free - coming - max(takes, default=0)
        assert missing <= 0 or missing > sum(usable) - max(takes, default=0)

    def asking_again_changes_nothing(self) -> None:
        """By the time that a call returns, whoever can be let in has been, and whoever must go was asked to."""
        waiting, recalled = [asked[0] for asked in self.asked], len(self.recalled)
        others_fit = self.budget.snapshot().free >= 0
        self.budget.refresh()
        refused = [future for future in waiting if future.done()]  # patience has ended
        assert all(future.exception() is not None for future in refused)
        if waiting and not refused and others_fit:
            assert len(self.recalled) == recalled

    def teardown(self) -> None:
        """Everyone gets a turn, and in the end nothing is held."""
        self.machine.others = 0
        self.resume()
        self.budget.refresh()
        self.collect()
        while self.asked:
            self.the_first_is_not_passed_for_ever()
        self.all_leave()
        for one in self.idle:
            one.release()
        assert self.watched.wrong == []
        assert self.budget.snapshot().reserved == 0

    def the_first_is_not_passed_for_ever(self) -> None:
        """Once it has aged it is let in when those who held by then have left, whoever comes and stays meanwhile."""
        self.clock.now += AGED_AFTER_S + 0.01  # times are sums of floats
        self.budget.refresh()
        self.collect()
        first = self.asked[0][0] if self.asked else Future()
        before, self.held = self.held, []
        crowd = []
        while self.asked and not first.done():
            for mib, kind in ((1, None), (40, KINDS[0]), (40, KINDS[1]), (500, None)):
                crowd.append(self.watched.ask(Demand(mib * MIB, 1), kind=kind))
                self.asked.append((crowd[-1], Demand(mib * MIB, 1), False, kind))
            going = [one for one in self.idle if one.recalled]
            assert before or going, "it waits for nobody who was there before it"
            if before:
                self.leave(before.pop())
            for one in going:
                self.idle.remove(one)
                one.release()
            self.collect()
        for future in crowd:
            future.cancel()
        self.held += before
        self.all_leave()

    def all_leave(self) -> None:
        self.collect()
        while self.held:
            self.leave(self.held.pop())
            self.collect()

    def leave(self, held: Reservation) -> None:
        if held.takes is not None:  # never used: idle again
            self.idle.append(held.takes)
            self.watched.taken.discard(held.takes)
        held.release()


BudgetMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBudget = BudgetMachine.TestCase


def test_threads_that_ask_park_take_over_and_give_up() -> None:
    """The same with real threads: what the state machine can't show is a race."""
    machine = FakeMachine(1024 * MIB)
    budget = Budget(cores=CORES, machine=machine)
    watched = Watched(budget)
    leaving: queue.SimpleQueue[list[Parked]] = queue.SimpleQueue()  # idle workers that were asked to go
    failed: list[BaseException] = []

    def attempt(chance: random.Random) -> None:
        demand = Demand(chance.choice((5, 20, 100, 400, 900)) * MIB, chance.randint(0, 3))
        kind = chance.choice((None, *KINDS))
        future = watched.ask(demand, learned=chance.random() < 0.3, kind=kind)
        if chance.random() < 0.1 and future.cancel():
            return
        held = future.result(60)
        if chance.random() < 0.1 and held.takes is not None:
            watched.taken.discard(held.takes)  # never used: idle again
        else:
            held.takes = None
            if kind is not None and chance.random() < 0.5:
                name: list[Parked] = []
                name.append(budget.park(held, kind, 30 * MIB, holder=None, recall=lambda: leaving.put(name)))
        held.release()

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(150):
                attempt(chance)
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for worker in workers:
        worker.start()
    chance = random.Random(99)
    while any(worker.is_alive() for worker in workers):
        machine.others = chance.choice((0, 0, 300)) * MIB
        budget.refresh()
        chance.choice((budget.resume, budget.resume, lambda: budget.pause("pressure")))()
        with contextlib.suppress(queue.Empty):
            while True:
                name = leaving.get(timeout=0.001)
                if not name:  # asked to go by the very call that parked it
                    leaving.put(name)
                    break
                name[0].release()
    for worker in workers:
        worker.join()
    assert failed == []
    assert watched.wrong == []
    assert (budget.snapshot().waiting, budget.snapshot().reserved) == (0, budget.snapshot().idle)
