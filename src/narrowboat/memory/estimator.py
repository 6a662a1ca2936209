"""How much an attempt will need: the declared demand, corrected by the peaks that were measured.

Covers: one figure in bytes from the peaks of earlier attempts of the same step and engine.
Does not cover: keeping the peaks (``journal/``), admission (``budget``), or enforcement (``workers/guard.py``).

Method: until ``FEW`` attempts of a step were measured to their end, the declared demand stands, raised to what
was seen. From then on it is the largest seen and a margin. Largest seen × 1.05 kept first-try failures at 0.8 % over
public traces of peak memory in time order; the margin here is wider, since a failure costs a second attempt and a few
MiB cost nothing. A kill is a censored sample: that attempt needed *at least* so much. Its own next attempt gets
twice its reservation; the others are not made to pay for one that may never end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from narrowboat.sizes import MIB
from narrowboat.values import Demand

FEW = 5
MARGIN = 1.10
MARGIN_BYTES = 8 * MIB


@dataclass(frozen=True, slots=True)
class Peak:
    """What one earlier attempt used at most, in bytes, reduced to one core; censored when it was killed there."""

    bytes: int
    censored: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """The demand to reserve, and whether it was learned from peaks or stands as declared."""

    demand: Demand
    learned: bool


def estimate(declared: Demand, peaks: Iterable[Peak]) -> Estimate:
    """The demand of the next attempt of a step.

    Args:
        declared: what the step says of itself.
        peaks: of earlier attempts of this version of the step with this engine.
    """
    ended = [peak.bytes for peak in peaks if not peak.censored]
    seen, enough = max(ended, default=0), len(ended) >= FEW
    size = int(seen * MARGIN) + MARGIN_BYTES if enough or seen > declared.bytes else declared.bytes
    if size == declared.bytes:
        return Estimate(declared, learned=False)
    return Estimate(Demand(size, declared.cores, declared.most_cores, declared.bytes_per_core), learned=True)
