"""Whom the guard kills, as a function of one reading."""

import os

from narrowboat.memory.budget import GRACE
from narrowboat.sizes import MIB
from narrowboat.workers.watch import LAST_STAND, Watch, decide


def watch(used: int, reserved: int) -> Watch:
    return Watch(os.getpid(), lambda: reserved, used=used)


def test_nobody_while_all_keep_to_their_reservations() -> None:
    assert decide([watch(90 * MIB, 100 * MIB)], total=150 * MIB, room=500 * MIB) is None


def test_the_grace_is_let() -> None:
    assert decide([watch(100 * MIB + GRACE, 100 * MIB)], total=150 * MIB, room=500 * MIB) is None


def test_the_one_past_its_reservation_and_grace() -> None:
    fine, greedy = watch(90 * MIB, 100 * MIB), watch(100 * MIB + GRACE + 1, 100 * MIB)
    verdict = decide([fine, greedy], total=250 * MIB, room=500 * MIB)
    assert verdict is not None
    assert (verdict.watch, verdict.overran) == (greedy, True)


def test_the_youngest_when_all_together_are_too_many() -> None:
    old, young = watch(90 * MIB, 100 * MIB), watch(90 * MIB, 100 * MIB)
    verdict = decide([old, young], total=500 * MIB - LAST_STAND + 1, room=500 * MIB)
    assert verdict is not None
    assert (verdict.watch, verdict.overran) == (young, False)


def test_the_greedy_one_before_the_youngest() -> None:
    greedy, young = watch(200 * MIB, 100 * MIB), watch(90 * MIB, 100 * MIB)
    verdict = decide([greedy, young], total=500 * MIB, room=500 * MIB)
    assert verdict is not None
    assert verdict.watch is greedy


def test_who_is_over_goes_at_once_when_what_grows_would_fill_the_room() -> None:
    fine, over = watch(90 * MIB, 100 * MIB), watch(101 * MIB, 100 * MIB)
    assert decide([over, fine], total=450 * MIB, room=500 * MIB) is None
    over.growth = 4000.0 * MIB  # a second: 80 MiB until the next look
    verdict = decide([over, fine], total=450 * MIB, room=500 * MIB)
    assert verdict is not None
    assert (verdict.watch, verdict.overran) == (over, True)
    assert decide([over, fine], total=250 * MIB, room=500 * MIB) is None


def test_who_grows_within_the_reservation_is_let() -> None:
    growing = watch(90 * MIB, 100 * MIB)
    growing.growth = 4000.0 * MIB
    assert decide([growing], total=480 * MIB, room=500 * MIB) is None


def test_with_no_workers_there_is_nobody_to_kill() -> None:
    assert decide([], total=900 * MIB, room=500 * MIB) is None
