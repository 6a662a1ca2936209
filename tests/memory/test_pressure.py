"""Pressure: the stages as a function of readings, and where stalls are told."""

from pathlib import Path

import pytest
from stand_ins import FakeClock

from narrowboat.memory.cgroups import Group
from narrowboat.memory.pressure import (
    HOLD_S,
    MOST_EVENTS,
    STALL_WINDOW_S,
    Pressure,
    Reading,
    Stage,
    full_stall_us,
    next_stage,
    stall_file,
)
from narrowboat.sizes import MIB

HEADROOM = 32 * MIB
ROOM = 512 * MIB


def with_free(mib: float, stall: float | None = None) -> Reading:
    return Reading(ROOM - int(mib * MIB), ROOM, HEADROOM, stall)


@pytest.mark.parametrize(
    ("before", "free", "after"),
    [
        (Stage.CALM, 32, Stage.CALM),
        (Stage.CALM, 25, Stage.CALM),
        (Stage.CALM, 23, Stage.PAUSED),
        (Stage.CALM, 15, Stage.SHEDDING),
        (Stage.CALM, -100, Stage.SHEDDING),
        (Stage.PAUSED, 25, Stage.PAUSED),
        (Stage.PAUSED, 28, Stage.PAUSED),
        (Stage.PAUSED, 29, Stage.CALM),
        (Stage.PAUSED, 15, Stage.SHEDDING),
        (Stage.SHEDDING, 17, Stage.SHEDDING),
        (Stage.SHEDDING, 25, Stage.PAUSED),
        (Stage.SHEDDING, 29, Stage.CALM),
    ],
)
def test_a_stage_is_left_only_with_clearly_more_room(before: Stage, free: float, after: Stage) -> None:
    assert next_stage(before, with_free(free)) is after


@pytest.mark.parametrize(
    ("before", "free", "stall", "after"),
    [
        (Stage.CALM, 60, 0.19, Stage.CALM),
        (Stage.CALM, 60, 0.2, Stage.PAUSED),
        (Stage.CALM, 60, 0.4, Stage.SHEDDING),
        (Stage.PAUSED, 60, 0.15, Stage.PAUSED),
        (Stage.PAUSED, 60, 0.05, Stage.CALM),
        (Stage.CALM, 200, 0.9, Stage.CALM),
    ],
)
def test_stalls_count_while_little_is_free(before: Stage, free: float, stall: float, after: Stage) -> None:
    assert next_stage(before, with_free(free, stall)) is after


def test_a_stage_begins_at_once_and_ends_when_it_has_been_better_for_a_while() -> None:
    clock = FakeClock()
    pressure = Pressure(clock)
    assert pressure.look(ROOM - 20 * MIB, ROOM, HEADROOM)
    assert pressure.stage is Stage.PAUSED
    assert not pressure.look(ROOM - 40 * MIB, ROOM, HEADROOM)
    clock.now += HOLD_S / 2
    assert not pressure.look(ROOM - 20 * MIB, ROOM, HEADROOM)  # back again: the wait begins anew
    clock.now += HOLD_S
    assert not pressure.look(ROOM - 40 * MIB, ROOM, HEADROOM)
    clock.now += HOLD_S
    assert pressure.look(ROOM - 40 * MIB, ROOM, HEADROOM)
    assert pressure.stage is Stage.CALM


def test_the_stalled_share_is_of_a_window() -> None:
    clock, stalled = FakeClock(), [1_000_000]
    pressure = Pressure(clock, lambda: stalled[0])
    stalled[0] += 150_000
    clock.now += STALL_WINDOW_S
    assert pressure.look(ROOM - 40 * MIB, ROOM, HEADROOM)
    assert pressure.reading is not None
    assert pressure.reading.stall == pytest.approx(0.3)
    assert "stalled for 30 % of the time" in str(pressure.reading)


def test_the_record_has_the_numbers_and_an_end() -> None:
    clock = FakeClock()
    pressure = Pressure(clock)
    clock.now = 1.5
    pressure.look(500 * MIB, ROOM, HEADROOM)
    for _ in range(MOST_EVENTS + 5):
        pressure.note("paused", "no more work is admitted")
    assert len(pressure.events) == MOST_EVENTS
    assert pressure.events[0].to_json() == {
        "at_s": 1.5,
        "stage": "paused",
        "used_bytes": 500 * MIB,
        "room_bytes": ROOM,
        "stall_fraction": None,
        "what": "no more work is admitted",
    }


def psi(path: Path, full_us: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"some avg10=0.00 avg60=0.00 avg300=0.00 total=99\nfull avg10=0.00 avg60=0.00 total={full_us}\n")
    return path


def test_stalls_are_told_by_the_tightest_group_else_by_the_machine(tmp_path: Path) -> None:
    assert stall_file([], tmp_path) is None
    machine = psi(tmp_path / "proc/pressure/memory", 7)
    outer = psi(tmp_path / "outer/memory.pressure", 8)
    inner = psi(tmp_path / "outer/inner/memory.pressure", 9)
    groups = [Group(inner.parent, 2, "inner", top=False), Group(outer.parent, 2, "outer", top=True)]
    assert stall_file(groups, tmp_path) == machine
    (outer.parent / "memory.max").write_text(str(512 * MIB))
    (inner.parent / "memory.max").write_text("max\n")
    found = stall_file(groups, tmp_path)
    assert found == outer
    assert full_stall_us(found) == 8
    outer.unlink()
    assert stall_file(groups, tmp_path) == machine
