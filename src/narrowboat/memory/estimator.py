"""How much an attempt will need: the declared demand, corrected by the peaks that were measured.

Covers: one figure in bytes from the peaks of earlier attempts of the same step and engine.
Does not cover: keeping the peaks (``journal/``), admission (``budget``), or enforcement (``workers/guard.py``).

Method: a declared demand may follow from facts, so what is learned is how far off it is: by a factor (largest peak ÷
declared) and by an amount (largest peak − declared), of which the smaller correction is taken. For a step whose
demand is always the same both come to the largest peak. Until ``FEW`` attempts were measured to their end it only
raises what was declared too small; from then on it lowers too. A demand more than twice as large as any that was
measured stands as declared: nothing is known there.

A margin is added. Largest seen × 1.05 kept first-try failures at 0.8 % over public traces of peak memory in time
order. A kill is a censored sample: that attempt needed *at least* so much. Its own next attempt gets twice its
reservation; the others are not made to pay for one that may never end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from narrowboat.sizes import MIB
from narrowboat.values import Demand

FEW = 5
MARGIN = 1.05
MARGIN_BYTES = 4 * MIB
#: How far beyond the largest demand that was measured a correction is believed.
REACH = 2.0


@dataclass(frozen=True, slots=True)
class Peak:
    """What one earlier attempt used at most and had declared, in bytes, both with one core.

    Censored: it was killed there, and would have used at least so much.
    """

    bytes: int
    declared: int
    censored: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """The demand to reserve, and whether it was learned from peaks or stands as declared."""

    demand: Demand
    learned: bool


def estimate(declared: Demand, peaks: Iterable[Peak]) -> Estimate:
    """The demand of the next attempt of a step.

    Args:
        declared: what the step says of itself, for the facts of this attempt.
        peaks: of earlier attempts of this version of the step with this engine.
    """
    ended = [peak for peak in peaks if not peak.censored and peak.declared > 0]
    if not ended or declared.bytes > REACH * max(peak.declared for peak in ended):
        return Estimate(declared, learned=False)
    factor = max(peak.bytes / peak.declared for peak in ended)
    amount = max(peak.bytes - peak.declared for peak in ended)
    expected = min(declared.bytes * factor, declared.bytes + amount)
    if expected <= declared.bytes and len(ended) < FEW:
        return Estimate(declared, learned=False)
    size = int(expected * MARGIN) + MARGIN_BYTES
    return Estimate(replace(declared, bytes=size), learned=True)
