"""Random histories of the budget: what must always hold."""

from concurrent.futures import Future

from fakes import FakeClock, FakeMachine
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from narrowboat.memory.budget import AGED_AFTER_S, PATIENCE_S, Budget
from narrowboat.memory.reservation import Reservation
from narrowboat.sizes import MIB
from narrowboat.values import Demand

CORES = 4


class BudgetMachine(RuleBasedStateMachine):
    """Requests, releases, cancellations, others that grow and shrink, time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.machine, self.clock = FakeMachine(2048 * MIB), FakeClock()
        self.budget = Budget(cores=CORES, machine=self.machine, clock=self.clock)
        self.asked: list[tuple[Future[Reservation], Demand, bool]] = []
        self.held: list[Reservation] = []

    @rule(
        mib=st.integers(1, 2500),
        cores=st.integers(0, 6),
        most=st.integers(1, 6),
        per_core=st.integers(0, 200),
        learned=st.booleans(),
    )
    def ask(self, mib: int, cores: int, most: int, per_core: int, learned: bool) -> None:
        wanted = Demand(mib * MIB, cores, max(cores, most), per_core * MIB)
        future = self.budget.request(wanted, learned=learned)
        self.asked.append((future, wanted, learned))
        if not learned and wanted.bytes > self.budget.ceiling:
            assert future.done()
            assert future.exception() is not None

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 1000))
    def give_up(self, which: int) -> None:
        future, _, _ = self.asked[which % len(self.asked)]
        future.cancel()

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1000))
    def release(self, which: int) -> None:
        self.held.pop(which % len(self.held)).release()

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1000))
    def give_back_cores(self, which: int) -> None:
        self.held[which % len(self.held)].give_back_cores()

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 1000), mib=st.integers(1, 1500))
    def resize(self, which: int, mib: int) -> None:
        held = self.held[which % len(self.held)]
        before, free = held.bytes, self.budget.snapshot().free
        done = held.resize(mib * MIB)
        assert done == (mib * MIB - before <= max(free, 0) or mib * MIB <= before)
        assert held.bytes == (mib * MIB if done else before)

    @rule(mib=st.integers(0, 1500))
    def others(self, mib: int) -> None:
        self.machine.others = mib * MIB
        self.budget.refresh()

    @rule(seconds=st.sampled_from([0.1, 1.0, AGED_AFTER_S, PATIENCE_S / 2]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        self.budget.refresh()

    def collect(self) -> None:
        """Take note of what was granted since."""
        still = []
        for future, demand, learned in self.asked:
            if not future.done():
                still.append((future, demand, learned))
            elif not future.cancelled() and future.exception() is None:
                self.held.append(future.result())
        self.asked = still

    @invariant()
    def what_is_held_is_what_is_counted(self) -> None:
        self.collect()
        snapshot = self.budget.snapshot()
        assert snapshot.reserved == sum(held.bytes for held in self.held)
        assert snapshot.cores_reserved == sum(held.cores for held in self.held)
        assert snapshot.waiting == len(self.asked)

    @invariant()
    def never_above(self) -> None:
        snapshot = self.budget.snapshot()
        assert snapshot.cores_reserved <= CORES
        # Others may grow below what is held already; without them the budget holds.
        assert snapshot.reserved <= self.budget.ceiling or len(self.held) == 1

    @invariant()
    def no_wake_up_is_lost(self) -> None:
        """The one who has waited longest does not wait for what is free."""
        self.collect()
        if self.asked:
            _, demand, _ = self.asked[0]
            snapshot = self.budget.snapshot()
            fits = demand.bytes <= snapshot.free and min(demand.cores, CORES) <= CORES - snapshot.cores_reserved
            assert not fits

    def teardown(self) -> None:
        """Nobody starves: once others are gone and those who hold release, everyone gets a turn."""
        self.machine.others = 0
        self.budget.refresh()
        self.collect()
        for _ in range(len(self.asked) + len(self.held) + 1):
            while self.held:
                self.held.pop().release()
            self.clock.now += AGED_AFTER_S
            self.budget.refresh()
            self.collect()
        assert not self.asked
        while self.held:
            self.held.pop().release()
        assert self.budget.snapshot().reserved == 0


BudgetMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBudget = BudgetMachine.TestCase
