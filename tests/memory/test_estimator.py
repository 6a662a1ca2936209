import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowboat.memory.estimator import ALIKE, FEW, FEW_MARGIN, MARGIN_BYTES, REACH, WINDOW, Estimator, Peak, features
from narrowboat.sizes import MIB
from narrowboat.values import Demand, Facts

DECLARED = Demand(300 * MIB, cores=1, most_cores=4, bytes_per_core=20 * MIB)


def peak(mib: float, declared: float = 300, *, censored: bool = False, again: bool = False, **facts: float) -> Peak:
    return Peak(int(mib * MIB), int(declared * MIB), censored, again, features(facts))


def mib(peaks: Iterable[Peak], declared: float = 300, facts: Facts | None = None, older: Iterable[Peak] = ()) -> float:
    """What is reserved, in MiB, without the margin in bytes."""
    made = Estimator(peaks, older).estimate(Demand(int(declared * MIB)), facts)
    return (made.demand.bytes - MARGIN_BYTES * made.learned) / MIB


# -- few peaks ---------------------------------------------------------------------------------------------------------


def test_nothing_seen_stands_as_declared() -> None:
    made = Estimator().estimate(DECLARED)
    assert (made.demand, made.learned) == (DECLARED, False)


def test_few_smaller_peaks_do_not_lower_it() -> None:
    assert Estimator([peak(100)] * (FEW - 1)).estimate(DECLARED).demand == DECLARED


def test_one_larger_peak_raises_it_at_once() -> None:
    assert mib([peak(400)]) == pytest.approx(400 * FEW_MARGIN)


def test_few_peaks_correct_a_demand_that_follows_from_facts_by_what_was_off() -> None:
    assert mib([peak(220, 200), peak(110, 100)], 300) == pytest.approx(320 * FEW_MARGIN)


def test_far_beyond_what_was_measured_it_stands_as_declared() -> None:
    far = Demand(int(REACH * 300 * MIB) + 1)
    made = Estimator([peak(100)] * FEW).estimate(far)
    assert (made.demand, made.learned) == (far, False)


# -- more --------------------------------------------------------------------------------------------------------------


def test_enough_smaller_peaks_lower_it_to_above_the_largest() -> None:
    made = Estimator([peak(size) for size in (90, 100, 110, 80, 70)]).estimate(DECLARED)
    assert made.learned
    assert 115 * MIB < made.demand.bytes < 200 * MIB
    assert (made.demand.cores, made.demand.most_cores, made.demand.bytes_per_core) == (1, 4, 20 * MIB)


def test_the_margin_follows_the_step() -> None:
    even, uneven = ([peak(200 + spread * (i * 7 % 10)) for i in range(30)] for spread in (0.1, 10))
    assert mib(even) < 202
    assert 300 < mib(uneven) < 360


def test_what_follows_from_facts_keeps_following_them() -> None:
    honest = [peak(size + 12, size) for size in (20, 50, 100, 200, 300)]  # each uses what it said, and an interpreter
    assert mib(honest, 20) == pytest.approx(32, abs=1)
    assert mib(honest, 170) == pytest.approx(182, abs=1)
    assert mib(honest, 400) == pytest.approx(412 * FEW_MARGIN, abs=1)  # a little beyond what was measured


def test_below_all_demands_that_were_measured_it_is_not_held_for_as_large_as_them() -> None:
    assert mib([peak(150)] * 10, 30) == pytest.approx(15 * FEW_MARGIN, abs=1)


def test_it_finds_the_fact_that_matters_and_a_power_of_it() -> None:
    def use(duration: float) -> float:
        return 0.001 * duration**2

    peaks = [peak(use(60 * i), duration=60.0 * i, channels=i % 2 + 1) for i in range(1, 31)]
    known = Estimator(peaks)
    small, large = (known.estimate(DECLARED, {"duration": 60 * i, "channels": 1}).demand.bytes for i in (4, 28))
    assert str(known.fit) == "a power of duration"
    assert small <= 1.1 * use(240) * MIB + MARGIN_BYTES
    assert use(1680) * MIB <= large <= 1.1 * use(1680) * MIB + MARGIN_BYTES


def test_without_the_fact_it_goes_by_the_rest() -> None:
    peaks = [peak(10 * i, duration=60.0 * i) for i in range(1, 31)]
    assert mib(peaks, 300, {}) > 300
    assert mib(peaks, 300, {"duration": "long"}) > 300
    assert mib(peaks, 300, {"duration": 60}) < 20


def test_many_facts_and_few_peaks_are_left_alone() -> None:
    many = {f"fact{number}": float(number) for number in range(10)}
    peaks = [peak(100 + i, **{name: value * i for name, value in many.items()}) for i in range(10)]
    known = Estimator(peaks)
    known.estimate(DECLARED, many)
    assert str(known.fit) == "the same for all"


def test_facts_that_are_no_measure() -> None:
    assert features(
        {"a": 1, "b": 2.5, "c": True, "d": "x", "e": float("nan"), "f": 1e200, "g": None, "h": 10**400}
    ) == {
        "a": 1,
        "b": 2.5,
    }


def test_it_forgets_with_the_window() -> None:
    assert mib([*[peak(250)] * 10, *[peak(100)] * (WINDOW - 1)]) >= 250
    assert mib([*[peak(250)] * 10, *[peak(100)] * WINDOW]) == pytest.approx(100)


def test_one_outlier_does_not_move_the_margin_by_its_distance() -> None:
    calm = [peak(100 + i % 5) for i in range(50)]
    assert 250 <= mib([*calm[:25], peak(250), *calm[25:]]) < 290


# -- kills -------------------------------------------------------------------------------------------------------------


def test_one_that_never_ends_is_not_paid_for_by_the_others() -> None:
    hog = [peak(316 * 2**i, censored=True, again=i > 0) for i in range(4)]
    assert Estimator(hog).estimate(DECLARED).demand == DECLARED
    others = [peak(100 + i % 5) for i in range(20)]
    assert mib([*others[:10], *hog, *others[10:]]) < mib(others) + 10


def test_when_all_alike_are_killed_the_next_begins_where_their_next_attempts_do() -> None:
    kills = [peak(316, censored=True), peak(320, censored=True), peak(330, censored=True)]
    assert Estimator(kills).estimate(DECLARED).demand.bytes == 640 * MIB
    assert Estimator(kills).estimate(Demand(int(300 * MIB / ALIKE) - 1)).learned is False


def test_once_they_have_ended_their_peaks_count_instead() -> None:
    kills = [peak(316, censored=True), peak(320, censored=True)]
    ended = [peak(350, again=True), peak(360, again=True)]
    assert mib(kills + ended) == pytest.approx(360 * FEW_MARGIN)


def test_a_kill_makes_the_margin_wider_for_a_while() -> None:
    varied = [peak(100 + i * 7 % 10) for i in range(40)]
    killed = mib([*varied, peak(109.5, censored=True), peak(109, again=True)])
    assert mib([*varied, peak(109)]) < killed < 140


# -- versions ----------------------------------------------------------------------------------------------------------


def test_a_new_version_starts_anew_but_is_not_below_what_the_old_one_needed() -> None:
    old = [peak(400)] * 10
    assert mib([], older=old) == pytest.approx(400 * FEW_MARGIN)
    assert mib([peak(100)] * (FEW - 1), older=old) == pytest.approx(400 * FEW_MARGIN)
    assert mib([peak(100)] * FEW, older=old) == pytest.approx(100)


def test_an_old_version_that_needed_less_does_not_lower_the_new_one() -> None:
    assert Estimator([], [peak(50)] * 10).estimate(DECLARED).demand == DECLARED
    assert Estimator([], [peak(900, censored=True)] * 10).estimate(DECLARED).demand == DECLARED


# -- always ------------------------------------------------------------------------------------------------------------

_SIZES = st.integers(1, 4000)


@given(st.lists(st.tuples(_SIZES, _SIZES, st.floats(0, 1e9)), min_size=1, max_size=30))
def test_no_attempt_that_was_measured_would_have_been_killed(history: list[tuple[int, int, float]]) -> None:
    known = Estimator(peak(used, declared, length=length) for used, declared, length in history)
    for used, declared, length in history:
        if declared * REACH >= max(other for _, other, _ in history):
            size = known.estimate(Demand(declared * MIB), {"length": length}).demand.bytes
            assert size >= min(used, declared) * MIB
            assert size >= used * MIB or len(history) < FEW


@given(
    st.lists(
        st.builds(
            Peak,
            st.integers(0, 1 << 50),
            st.integers(0, 1 << 50),
            st.booleans(),
            st.booleans(),
            st.dictionaries(st.sampled_from("abc"), st.floats(-1e99, 1e99), max_size=3),
        ),
        max_size=40,
    ),
    st.integers(1, 1 << 50),
    st.dictionaries(st.sampled_from("abc"), st.floats() | st.sampled_from(["", "long"]), max_size=3),
)
def test_whatever_was_measured_it_gives_a_size(peaks: list[Peak], declared: int, facts: Facts) -> None:
    made = Estimator(peaks).estimate(Demand(declared), facts)
    assert made.demand.bytes >= 1
    assert made.learned or made.demand.bytes == declared


def test_an_estimate_costs_little_beside_an_attempt() -> None:
    known = Estimator(
        peak(100 + i % 13, duration=float(i), size=float(i * i), rate=float(i % 3)) for i in range(WINDOW)
    )
    began = time.process_time()
    for i in range(300):
        known.estimate(DECLARED, {"duration": i, "size": i, "rate": 1})
        known.learn(peak(100 + i % 13, duration=float(i), size=float(i * i), rate=float(i % 3)))
    assert (time.process_time() - began) / 300 < 0.002  # measured: see docs/memory.md
