"""How much an attempt will need: the declared demand, corrected by the peaks that were measured.

Covers: one figure in bytes, from the facts of an attempt and the peaks of earlier ones of the same step and engine.
Does not cover: curves and margins (``fits``), keeping the peaks (``journal/``), admission, or enforcement.

Plain Python, with named tuples in the place of dataclasses: importing it adds 2.7 MB to an empty interpreter, as much
as dataclasses alone would.

Method. From ``FEW`` peaks on, of the newest ``WINDOW``, the cheapest of three curves is taken (``fits``): the same for
all, a line, or a power law, in the declared demand or in a numeric fact of the probe. Facts are tried only while there
are ``FEW`` peaks for each: among many, one fits by chance. A bound is kept above the curve, and ``MARGIN_BYTES``.

Few peaks. A declared demand may follow from facts, so what is learned is how far off it is: by a factor (largest peak ÷
declared) and by an amount (largest peak − declared), the smaller correction of the two. Below ``FEW`` peaks it only
raises what was declared too small. The same holds a little outside of the demands that were measured, and a demand more
than ``REACH`` times the largest measured stands as declared: nothing is known there.

Censored peaks. A killed attempt needed *at least* so much. Its own next attempt gets twice as much (``runner``). For
others, the first kill of each input says two things. The margin was too small: the bound is taken for a smaller chance,
until the kill has left the window (the idea of adaptive conformal inference; Gibbs and Candès 2021), which is also what
follows a slow drift. And when inputs alike (declared within ``ALIKE``) are killed and not yet done, at least two of
them and more than have ended at their first try, the next one alike begins where their next attempts do. One
that never ends is therefore paid for by itself alone.

A new version of a step starts anew. Peaks of the older ones raise its demand where they were above it, until ``FEW`` of
its own are known, and never lower it.

Outliers. A single large peak counts as long as it is in the window, since the next may be like it; but it is one value,
and the mean of the largest fifth rather than its distance sets the margin. It ends with the window, as do drifts.

Measured with ``bench/estimator.py`` on public traces (81 processes, 4,051 tasks): 0.919 quality, 0.42 % killed at the
first try, where largest seen × 1.05 has 0.880 and 0.81 %. Tried and left out: a margin without end 0.913 and 0.39 %; a
chance of 2 % 0.913 and 0.49 %; no notice of kills 0.921 and 0.42 %, but 5.7 % in place of 4.2 % on made-up steps that
drift or jump; no power law, the same here, but 0.425 in place of 0.526 on made-up steps. More in docs/memory.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from narrowboat.memory.fits import Fit, best

if TYPE_CHECKING:
    from narrowboat.values import Demand, Facts

FEW = 5
WINDOW = 100
#: Added to everything learned: what the same attempt may use more the next time.
MARGIN_BYTES = 8 << 20
#: Times the largest seen, where there are few.
FEW_MARGIN = 1.05
#: How far beyond the largest demand that was measured a correction is believed.
REACH = 2.0
#: Demands that differ by less than this factor are alike.
ALIKE = 1.25
#: The name that the declared demand has among the features.
DECLARED = "declared demand"
_REFIT = 50  # a curve is made again when one peak in so many is new
_HUGE = 1e100  # a fact beyond it is no measure of anything, and its square would not be a number


class Peak(NamedTuple):
    """What one earlier attempt used at most.

    Attributes:
        bytes: the peak, with one core.
        declared: the demand declared for it, in bytes, with one core.
        censored: it was killed there, and would have used at least so much.
        again: an attempt of the same input was killed before.
        features: numeric facts (see :func:`features`).
    """

    bytes: int
    declared: int
    censored: bool = False
    again: bool = False
    features: Mapping[str, float] = MappingProxyType({})


class Estimate(NamedTuple):
    """The demand to reserve, and whether it was learned from peaks or stands as declared."""

    demand: Demand
    learned: bool


def features(facts: Facts) -> dict[str, float]:
    """The facts that are numbers."""
    return {name: value for name, value in facts.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


class Estimator:
    """What is known of one step with one engine.

    Args:
        peaks: of this version of the step, oldest first.
        older: of other versions.
    """

    def __init__(self, peaks: Iterable[Peak] = (), older: Iterable[Peak] = ()) -> None:
        self._peaks: deque[Peak] = deque(maxlen=WINDOW)
        self._older = [peak for peak in older if not peak.censored and peak.declared > 0]
        self._known: _Known | None = None  # what follows from the peaks; made again when they say something new
        self._new = 0
        for peak in peaks:
            self.learn(peak)

    def learn(self, peak: Peak) -> None:
        """An attempt has ended, or was killed for its use. A second kill of the same input tells of that input only."""
        if peak.declared <= 0 or (peak.censored and peak.again):
            return
        self._peaks.append(peak)
        self._new += 1
        if self._known is not None and (self._new * _REFIT > len(self._peaks) or self._known.surprised(peak)):
            self._known = None

    def estimate(self, declared: Demand, facts: Facts | None = None) -> Estimate:
        """The demand of the next attempt of the step.

        Args:
            declared: what the step says of itself, for the facts of this attempt.
            facts: of this attempt.
        """
        known = self._now_known()
        size = known.size(declared.bytes, features(facts or {}))
        alike = known.killed_alike(declared.bytes)
        if alike > (declared.bytes if size is None else size):
            size = alike
        if size is None:
            return Estimate(declared, learned=False)
        return Estimate(declared.with_bytes(size), learned=True)

    @property
    def fit(self) -> Fit | None:
        """The curve in use; None while there are few peaks."""
        return self._now_known().fit

    def _now_known(self) -> _Known:
        if self._known is None:
            self._known, self._new = _Known(list(self._peaks), self._older), 0
        return self._known


class _Known:
    """What follows from some peaks.

    Attributes:
        fit: the best curve; None while there are few.
    """

    def __init__(self, peaks: list[Peak], older: list[Peak]) -> None:
        self._ended = [peak for peak in peaks if not peak.censored]
        self._kills = [peak for peak in peaks if peak.censored]
        used = self._ended if len(self._ended) >= FEW else self._ended + older
        self._least = min((peak.declared for peak in used), default=0)
        self._most = max((peak.declared for peak in used), default=0)
        self._factor = max((peak.bytes / peak.declared for peak in used), default=0.0)
        self._amount = max((peak.bytes - peak.declared for peak in used), default=0)
        self.fit: Fit | None = None
        self._bare: Fit | None = None  # the best that needs no fact
        if len(self._ended) >= FEW:
            self.fit, self._bare = _fits(self._ended, caution=1.0 + len(self._kills))

    def surprised(self, peak: Peak) -> bool:
        """Whether a new peak says something that was not known."""
        if self.fit is None or peak.censored or peak.again or not self._least <= peak.declared <= self._most:
            return True
        return peak.bytes > self._curve(peak.declared, peak.features)

    def size(self, declared: int, given: Mapping[str, float]) -> int | None:
        """Bytes to reserve; None when it stands as declared."""
        if declared > REACH * self._most:
            return None
        corrected = self._corrected(declared)
        padded = corrected * FEW_MARGIN + MARGIN_BYTES
        if self.fit is None:
            return int(padded) if corrected > declared else None
        size = self._curve(declared, given)
        if declared > self._most:
            size = max(size, padded)
        elif declared < self._least:
            size = min(size, padded)
        return int(size)

    def killed_alike(self, declared: int) -> int:
        """What inputs alike that were killed and are not done get next; 0 when too few of them were killed."""
        kills = sorted(peak.bytes for peak in self._kills if _alike(peak.declared, declared))
        if len(kills) < 2:
            return 0
        ended = [peak for peak in self._ended if _alike(peak.declared, declared)]
        after_a_kill = sum(peak.again for peak in ended)
        waiting = len(kills) - after_a_kill
        believed = waiting >= 2 and waiting > len(ended) - after_a_kill
        return 2 * kills[len(kills) // 2] if believed else 0

    def _corrected(self, declared: int) -> float:
        """By a factor or by an amount, whichever is nearer to what was declared."""
        nearer = min if self._factor > 1 else max
        return nearer(declared * self._factor, float(declared + self._amount))

    def _curve(self, declared: int, given: Mapping[str, float]) -> float:
        fit = self.fit
        if fit is None or self._bare is None:
            return 0.0
        if fit.feature in given:
            return fit.at(given[fit.feature]) + MARGIN_BYTES
        return (fit if fit.feature in ("", DECLARED) else self._bare).at(declared) + MARGIN_BYTES


def _fits(ended: list[Peak], caution: float) -> tuple[Fit, Fit]:
    """The best curve, and the best that needs no fact."""
    peaks = [peak.bytes for peak in ended]
    columns = _varied({DECLARED: [float(peak.declared) for peak in ended]})
    bare = best(columns, peaks, caution)
    names = sorted(set.intersection(*(set(peak.features) for peak in ended)))
    facts = _varied({name: [peak.features[name] for peak in ended] for name in names})
    if not facts or len(facts) * FEW > len(ended):
        return bare, bare
    return best(columns | facts, peaks, caution), bare


def _varied(columns: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: values for name, values in columns.items() if min(values) < max(values)}


def _alike(one: int, other: int) -> bool:
    return max(one, other) <= ALIKE * min(one, other)
