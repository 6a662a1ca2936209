"""Curves through peaks, with what is kept above them for the next attempt that exceeds all.

Covers: a constant, a line and a power law of one feature, and how much more than any seen the next may be.
Does not cover: which peaks and features there are, and what else is known of a step (``estimator``).

How much above: the excesses over a high threshold are taken as exponential (peaks over threshold; Pickands 1975,
"Statistical inference using extreme order statistics", with the tail index 0), so that the bound passed with the chance
``WANTED`` is threshold + mean excess × ln(share above the threshold ÷ WANTED). It can be computed from few values,
where a conformal quantile of 99 % is infinite, and follows the step: next to nothing for one that always uses the
same, more for one that varies. It ends ``FURTHEST`` above the largest seen: where peaks have no end in sight, a failure
now and then costs less than room for each. Residuals are those of a fit without the peak itself (Allen 1974, PRESS),
since a line through five points passes too near to each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import mul
from typing import NamedTuple

#: The share of attempts that may exceed an estimate.
WANTED = 0.01
#: How far above the largest the bound may be, as a share of the largest peak.
FURTHEST = 0.05
#: The threshold has at least so many values above it, and else this share of all.
_TOP, _TOP_SHARE = 3, 5
#: A curve must need less than this, times what the simpler one needs, to be taken in its place.
SIMPLER = 0.95
_LARGEST_POWER = 50.0  # e to this is more than any memory
_LEAST_FREEDOM = 0.05


class Fit(NamedTuple):
    """Bytes to reserve, of one feature.

    Attributes:
        feature: its name; empty when the same is reserved for all.
        power: a power law, which is a line between logarithms.
        base, slope: of the line through the middle of the peaks.
        above: what is kept above the line: bytes, or of a power law a logarithm.
        least: the smallest value of the feature that was measured; below it the line is not followed.
        cost: mean bytes that it would have reserved for the peaks it was made of.
    """

    feature: str
    power: bool
    base: float
    slope: float
    above: float
    least: float
    cost: float = 0.0

    def at(self, value: float) -> float:
        """Bytes for a value of the feature."""
        value = max(value, self.least)
        if self.power:
            return math.exp(min(_LARGEST_POWER, self.base + self.slope * math.log(value) + self.above))
        return self.base + self.slope * value + self.above

    def __str__(self) -> str:
        if not self.feature:
            return "the same for all"
        return f"a power of {self.feature}" if self.power else f"a line in {self.feature}"


def bound(values: Sequence[float], furthest: float, caution: float = 1.0) -> float:
    """What the next value exceeds with the chance ``WANTED`` ÷ ``caution``; never below the largest.

    Args:
        values: at least one.
        furthest: how far above the largest it may be.
        caution: above 1 when lately more have exceeded it than should.
    """
    ordered = sorted(values, reverse=True)
    count = len(ordered)
    top = min(max(_TOP, count // _TOP_SHARE), count - 1)
    if top < 1:
        return ordered[0]
    threshold = ordered[top]
    excess = sum(ordered[:top]) / top - threshold
    passed = threshold + excess * math.log(max(1.0, top * caution / (count * WANTED)))
    return min(max(ordered[0], passed), ordered[0] + furthest)


def best(features: Mapping[str, Sequence[float]], peaks: Sequence[float], caution: float = 1.0) -> Fit:
    """The curve that would have reserved least for ``peaks``, unless a simpler one is nearly as good.

    Args:
        features: name -> its value in each attempt.
        peaks: bytes of each attempt.
        caution: see :func:`bound`.
    """
    furthest = FURTHEST * max(peaks)
    chosen = Fit("", False, 0.0, 0.0, bound(peaks, furthest, caution), 0.0)
    chosen = _with_cost(chosen, [0.0] * len(peaks), peaks)
    for name, values in features.items():
        for made in (_line(name, values, peaks, furthest, caution), _power(name, values, peaks, caution)):
            if made is not None:
                fit = _with_cost(made, values, peaks)
                if fit.cost < SIMPLER * chosen.cost:
                    chosen = fit
    return chosen


def _line(name: str, values: Sequence[float], peaks: Sequence[float], furthest: float, caution: float) -> Fit | None:
    """None where more does not need more."""
    count = len(values)
    middle, height = sum(values) / count, sum(peaks) / count
    across = [value - middle for value in values]
    up = [peak - height for peak in peaks]
    spread = sum(map(mul, across, across))
    if not spread > 0:
        return None
    slope = sum(map(mul, across, up)) / spread
    if not slope > 0:
        return None
    base = height - slope * middle
    rest = 1 - 1 / count
    residuals = [(y - slope * x) / max(_LEAST_FREEDOM, rest - x * x / spread) for x, y in zip(across, up, strict=True)]
    return Fit(name, False, base, slope, bound(residuals, furthest, caution), min(values))


def _power(name: str, values: Sequence[float], peaks: Sequence[float], caution: float) -> Fit | None:
    if min(values) <= 0 or min(peaks) <= 0:
        return None
    logs = [math.log(value) for value in values]
    line = _line(name, logs, [math.log(peak) for peak in peaks], math.log(1 + FURTHEST), caution)
    return None if line is None else Fit(name, True, line.base, line.slope, line.above, min(values))


def _with_cost(fit: Fit, values: Sequence[float], peaks: Sequence[float]) -> Fit:
    at = fit.at
    cost = sum(max(at(value), peak) for value, peak in zip(values, peaks, strict=True)) / len(peaks)
    return fit._replace(cost=cost)
