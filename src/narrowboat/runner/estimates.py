"""What was learned of the memory of steps: for people, from a home's journal.

Covers: the figures of each step, version and engine, and what a plot of it shows.
Does not cover: learning (``memory/estimator``), printing and drawing (``cli/``).

Figures are of the attempts that the journal keeps peaks of, the newest 1000. A kill charges what was reserved for as
long as it ran; quality is used ÷ reserved, in byte-seconds. Peaks are those with one core: memory that a step used
because idle cores were lent to it is in what was reserved, and not in what was used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from narrowboat.journal.journal import Journal
from narrowboat.journal.records import PEAKS_KEPT
from narrowboat.journal.rows import PeakRow
from narrowboat.memory.estimator import DECLARED, FEW, Estimator
from narrowboat.runner.records import as_peak, read_estimator
from narrowboat.values import Demand, Json

_CURVE = 80  # points of a curve


@dataclass(frozen=True, slots=True)
class Point:
    """An attempt in a plot. ``killed``: it would have used at least ``bytes``."""

    x: float
    bytes: int
    killed: bool


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a step, version and engine. Sizes in bytes.

    Attributes:
        rule: what an estimate follows from.
        attempts: that have ended and were measured.
        kills: for use above the reservation.
        inputs: how many different ones were begun; ``first_kills`` of them were killed at the first try.
        declared, estimated: for the facts of the last attempt.
        quality: used ÷ reserved byte-seconds; None where no times are known.
        waste: mean of what was reserved and not used, of attempts that ended.
        axis: what a plot has across; then its points, and the curves of what is reserved and what was declared.
    """

    step: str
    version: str
    engine: str
    rule: str
    attempts: int
    kills: int
    inputs: int
    first_kills: int
    declared: int
    estimated: int
    largest: int
    quality: float | None
    waste: int
    axis: str
    points: Sequence[Point]
    reserved_curve: Sequence[tuple[float, int]]
    declared_curve: Sequence[tuple[float, int]]

    def to_json(self) -> dict[str, Json]:
        """All but the plot."""
        return {
            "step": self.step,
            "version": self.version,
            "engine": self.engine,
            "rule": self.rule,
            "attempts": self.attempts,
            "kills": self.kills,
            "inputs": self.inputs,
            "first_try_failures": self.first_kills,
            "declared_bytes": self.declared,
            "estimated_bytes": self.estimated,
            "largest_peak_bytes": self.largest,
            "allocation_quality": None if self.quality is None else round(self.quality, 4),
            "waste_bytes": self.waste,
        }


async def learned(home: Path) -> list[Learned]:
    """What the journal of a home knows, by step and engine, the version measured last first. Works beside a run.

    Raises:
        JournalError: the journal can't be read.
    """
    journal = Journal.read_only(home)
    try:
        return [await _learned(journal, *key) for key in await journal.measured_steps()]
    finally:
        await journal.close()


async def _learned(journal: Journal, step: str, version: str, engine: str) -> Learned:
    rows = await journal.peaks(step, version, engine, limit=PEAKS_KEPT)
    rows.reverse()
    known = await read_estimator(journal, step, version, engine)
    ended, kills = [row for row in rows if not row.censored], [row for row in rows if row.censored]
    last = rows[-1]
    made = known.estimate(Demand(last.declared_bytes), last.features)
    axis = _axis(known, rows)
    points = [Point(_across(axis, row, number), row.peak_bytes, row.censored) for number, row in enumerate(rows, 1)]
    across = [point.x for point in points]
    reserved, declared = _curves(known, axis, last, min(across), max(across))
    return Learned(
        step=step,
        version=version,
        engine=engine,
        rule=_rule(known, len(ended), learned=made.learned),
        attempts=len(ended),
        kills=len(kills),
        inputs=sum(not row.again for row in rows),
        first_kills=sum(not row.again for row in kills),
        declared=last.declared_bytes,
        estimated=made.demand.bytes,
        largest=max(row.peak_bytes for row in rows),
        quality=_quality(rows),
        waste=sum(max(0, row.reserved_bytes - row.peak_bytes) for row in ended) // max(1, len(ended)),
        axis=axis,
        points=points,
        reserved_curve=reserved,
        declared_curve=declared,
    )


def _rule(known: Estimator, ended: int, *, learned: bool) -> str:
    if known.fit is not None:
        return str(known.fit)
    return f"raised by the first {ended}" if learned else f"as declared, {ended} of {FEW} measured"


def _quality(rows: Sequence[PeakRow]) -> float | None:
    reserved = sum(row.reserved_bytes * row.seconds for row in rows)
    used = sum(min(row.peak_bytes, row.reserved_bytes) * row.seconds for row in rows if not row.censored)
    return used / reserved if reserved > 0 else None


# -- for a plot --------------------------------------------------------------------------------------------------------


def _axis(known: Estimator, rows: Sequence[PeakRow]) -> str:
    """What the estimate follows from; else the demand where it varies; else nothing: the attempts in their order."""
    feature = "" if known.fit is None else known.fit.feature
    if feature and all(as_peak(row).features.get(feature) is not None for row in rows):
        return feature
    return DECLARED if len({row.declared_bytes for row in rows}) > 1 else ""


def _across(axis: str, row: PeakRow, number: int) -> float:
    if axis == DECLARED:
        return row.declared_bytes
    return as_peak(row).features[axis] if axis else number


def _curves(
    known: Estimator, axis: str, last: PeakRow, start: float, end: float
) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
    reserved, declared = [], []
    for number in range(_CURVE + 1):
        x = start + (end - start) * number / _CURVE
        demand = Demand(int(x) if axis == DECLARED else last.declared_bytes)
        facts = {**last.features, axis: x} if axis not in ("", DECLARED) else last.features
        reserved.append((x, known.estimate(demand, facts).demand.bytes))
        declared.append((x, demand.bytes))
    return reserved, declared
