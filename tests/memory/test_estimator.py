from narrowboat.memory.estimator import FEW, MARGIN, MARGIN_BYTES, Peak, estimate
from narrowboat.sizes import MIB
from narrowboat.values import Demand

DECLARED = Demand(300 * MIB, cores=1, most_cores=4, bytes_per_core=20 * MIB)


def padded(size: int) -> int:
    return int(size * MARGIN) + MARGIN_BYTES


def test_nothing_seen_stands_as_declared() -> None:
    made = estimate(DECLARED, [])
    assert (made.demand, made.learned) == (DECLARED, False)


def test_few_smaller_peaks_do_not_lower_it() -> None:
    assert estimate(DECLARED, [Peak(100 * MIB)] * (FEW - 1)).demand == DECLARED


def test_enough_smaller_peaks_lower_it_to_the_largest_and_a_margin() -> None:
    made = estimate(DECLARED, [Peak(size * MIB) for size in (90, 100, 110, 80, 70)])
    assert made.learned
    assert made.demand.bytes == padded(110 * MIB)
    assert (made.demand.cores, made.demand.most_cores, made.demand.bytes_per_core) == (1, 4, 20 * MIB)


def test_one_larger_peak_raises_it_at_once() -> None:
    made = estimate(DECLARED, [Peak(400 * MIB)])
    assert (made.demand.bytes, made.learned) == (padded(400 * MIB), True)


def test_a_kill_is_not_a_measure_for_others() -> None:
    assert estimate(DECLARED, [Peak(900 * MIB, censored=True)] * 10).demand == DECLARED
