from hypothesis import given
from hypothesis import strategies as st

from narrowboat.memory.estimator import FEW, MARGIN, MARGIN_BYTES, REACH, Peak, estimate
from narrowboat.sizes import MIB
from narrowboat.values import Demand

DECLARED = Demand(300 * MIB, cores=1, most_cores=4, bytes_per_core=20 * MIB)


def peak(mib: int, declared: int = 300, censored: bool = False) -> Peak:
    return Peak(mib * MIB, declared * MIB, censored)


def padded(mib: int) -> int:
    return int(mib * MIB * MARGIN) + MARGIN_BYTES


def test_nothing_seen_stands_as_declared() -> None:
    made = estimate(DECLARED, [])
    assert (made.demand, made.learned) == (DECLARED, False)


def test_few_smaller_peaks_do_not_lower_it() -> None:
    assert estimate(DECLARED, [peak(100)] * (FEW - 1)).demand == DECLARED


def test_enough_smaller_peaks_lower_it_to_the_largest_and_a_margin() -> None:
    made = estimate(DECLARED, [peak(mib) for mib in (90, 100, 110, 80, 70)])
    assert made.learned
    assert abs(made.demand.bytes - padded(110)) <= 1
    assert (made.demand.cores, made.demand.most_cores, made.demand.bytes_per_core) == (1, 4, 20 * MIB)


def test_one_larger_peak_raises_it_at_once() -> None:
    made = estimate(DECLARED, [peak(400)])
    assert made.learned
    assert abs(made.demand.bytes - padded(400)) <= 1


def test_a_kill_is_not_a_measure_for_others() -> None:
    assert estimate(DECLARED, [peak(900, censored=True)] * 10).demand == DECLARED


def test_what_follows_from_facts_keeps_following_them() -> None:
    honest = [peak(mib + 12, mib) for mib in (20, 50, 100, 200, 300)]  # each uses what it said, and an interpreter
    small, large = (estimate(Demand(mib * MIB), honest).demand.bytes for mib in (20, 300))
    assert small <= padded(20 + 12)
    assert abs(large - padded(300 + 12)) <= 1


def test_too_large_a_word_is_lowered_by_the_same_factor_everywhere() -> None:
    half = [peak(mib // 2, mib) for mib in (100, 120, 200, 160, 140)]
    assert abs(estimate(Demand(300 * MIB), half).demand.bytes - padded(150)) <= 1


def test_far_beyond_what_was_measured_it_stands_as_declared() -> None:
    far = Demand(int(REACH * 300 * MIB) + 1)
    made = estimate(far, [peak(100)] * FEW)
    assert (made.demand, made.learned) == (far, False)


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=FEW, max_size=30))
def test_no_attempt_that_was_measured_would_have_been_killed(history: list[tuple[int, int]]) -> None:
    peaks = [peak(used, declared) for used, declared in history]
    for used, declared in history:
        assert estimate(Demand(declared * MIB), peaks).demand.bytes >= used * MIB
