"""What the guard does while memory is short, reading by reading: the machine and the clock are made up."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "memory"))

import pytest
from stand_ins import FakeClock, FakeMachine

from narrowboat.memory.budget import Budget
from narrowboat.memory.pressure import HOLD_S, Pressure, Stage
from narrowboat.memory.processes import process_used
from narrowboat.sizes import MIB
from narrowboat.values import Demand
from narrowboat.workers.guard import Guard


class Place:
    """A guard without workers in a box that leaves it as much as a test says."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.machine = FakeMachine(process_used(os.getpid()) + 500 * MIB, supervisor=process_used(os.getpid()))
        self.budget = Budget(machine=self.machine, cores=4, clock=self.clock)
        self.guard = Guard(self.budget, lambda: None)
        self.guard.relief.pressure = Pressure(self.clock)

    def look(self, free_mib: int) -> Stage:
        self.machine.size = process_used(os.getpid()) + free_mib * MIB
        self.budget.refresh()
        self.guard.poll()
        return self.guard.relief.pressure.stage


@pytest.fixture
def place() -> Place:
    return Place()


def test_admission_pauses_and_goes_on(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    held = place.budget.request(Demand(5 * MIB)).result(0)
    assert place.look(free_mib=20) is Stage.PAUSED
    assert place.guard.relief.short is not None
    assert place.guard.relief.short.startswith("memory is short, ")
    place.machine.size += 300 * MIB
    place.budget.refresh()
    waiting = place.budget.request(Demand(5 * MIB))
    assert not waiting.done()
    place.look(free_mib=300)
    place.clock.now += HOLD_S
    assert place.look(free_mib=300) is Stage.CALM
    assert waiting.done()
    assert place.guard.relief.short is None
    assert [event.stage for event in place.guard.relief.pressure.events] == ["paused", "calm"]
    assert [record.levelname for record in caplog.records if record.name == "narrowboat.guard"] == ["WARNING"]
    held.release()


def test_a_limit_that_is_too_small_for_anything_is_no_pressure(place: Place) -> None:
    assert place.look(free_mib=5) is Stage.CALM
    assert place.guard.relief.short is None


def test_a_pause_never_stops_all_work(place: Place) -> None:
    held = place.budget.request(Demand(5 * MIB)).result(0)
    assert place.look(free_mib=20) is Stage.PAUSED
    held.release()
    place.machine.size += 300 * MIB
    place.budget.refresh()
    assert place.budget.request(Demand(5 * MIB)).done()


def test_idle_workers_are_asked_to_go_before_anybody_is_killed(place: Place) -> None:
    reservation = place.budget.request(Demand(50 * MIB)).result(0)
    asked: list[bool] = []
    place.budget.park(reservation, "kind", 50 * MIB, holder=object(), recall=lambda: asked.append(True))
    assert place.look(free_mib=20) is Stage.PAUSED
    assert place.look(free_mib=10) is Stage.SHEDDING
    assert asked == [True]
    assert place.guard.relief.pressure.events[-1].what.startswith("idle workers are asked to go")
    place.look(free_mib=2)
    assert [event.stage for event in place.guard.relief.pressure.events] == ["paused", "shedding"]
