"""Times as models write them, and times that make sense.

Covers: reading a time in whatever form it comes; segments in order and inside their chunk, whatever the model said of
them. Does not cover: what else is in an answer (``remote_gemini``, ``remote_openai``), times of the whole episode
(``remote``).

A model that hears well may count badly: times run backwards, repeat, stand still, or leave the chunk. What is said is
right all the same, and so is its order. So the largest set of starts that rise is believed, and everything else is
spread between them by its characters.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

_CLOCK = re.compile(r"[\[(]?\s*(\d{1,6}(?::\d{1,3}){0,3})(?:[.,](\d{1,6}))?\s*s?\s*[\])]?", re.IGNORECASE)
#: Seconds by which a time may lie past the end: models round.
_SLACK = 1.5
#: Characters a second at the slowest: a segment whose end is not known is taken to last no longer.
_SLOWEST = 8.0
_SHORTEST = 0.05  # seconds that a segment lasts at least


@dataclass(slots=True)
class Said:
    """What was said, when, by whom, as far as the engine tells.

    Attributes:
        start: seconds from the beginning of the chunk; likewise ``end``. None where that is not known.
        speaker: empty where that is not known.
    """

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str = ""


def seconds(value: Any, length: float) -> float | None:
    """A time in seconds; None where it is none.

    ``83.4``, ``"83.4 s"``, ``"01:23"``, ``"1:23.4"``, ``"00:01:23,450"``, ``"00:01:23:450"``, ``"[01:23]"``. Three
    numbers are hours, minutes and seconds, but where that lies far outside of ``length`` seconds: then the last is a
    fraction.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e6 else None
    found = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    *parts, last = found[1].split(":")
    numbers = [int(part) for part in parts]
    if len(numbers) == 3 or (len(numbers) == 2 and found[2] is None and _is_fraction(numbers, last, length)):
        return _sum(numbers) + float(f"0.{last}")
    return _sum([*numbers, int(last)]) + float(f"0.{found[2] or 0}")


def _is_fraction(numbers: Sequence[int], last: str, length: float) -> bool:
    return len(last) == 3 or (_sum([*numbers, int(last)]) > length + _SLACK >= _sum(numbers))


def _sum(numbers: Sequence[int]) -> float:
    total = 0
    for number in numbers:
        total = total * 60 + number
    return float(total)


def in_order(said: Sequence[Said], length: float) -> list[Said]:
    """The same, with a start and an end each: starts that rise, ends behind them, all within ``length`` seconds."""
    starts = _starts(said, length)
    made = []
    for one, (start, after) in zip(said, pairwise([*starts, length]), strict=True):
        end = one.end if one.end is not None and start < one.end <= length + _SLACK else None
        longest = start + 1 + len(one.text) / _SLOWEST
        end = min(end if end is not None else longest, max(after, start + _SHORTEST), length)
        made.append(Said(one.text, start, max(end, start), one.speaker))
    return made


def _starts(said: Sequence[Said], length: float) -> list[float]:
    """A start for each, rising: those that are believed, and the others spread between them."""
    believed = _rising([one.start for one in said], length)
    sizes = list(accumulate((max(1, len(one.text)) for one in said), initial=0))
    bounds: list[tuple[int, float]] = [(place, min(said[place].start or 0.0, length)) for place in believed]
    if not bounds or bounds[0][0] > 0:
        bounds.insert(0, (0, 0.0))
    ends = [one.end for one in said if one.end is not None and bounds[-1][1] < one.end <= length + _SLACK]
    bounds.append((len(said), min(length, max(ends, default=length))))
    starts: list[float] = []
    for (place, begin), (after, end) in pairwise(bounds):
        share = (end - begin) / max(1, sizes[after] - sizes[place])
        starts += [begin + share * (sizes[at] - sizes[place]) for at in range(place, after)]
    return starts


def _rising(starts: Sequence[float | None], length: float) -> list[int]:
    """The places of the most starts that rise strictly and lie within ``length``."""
    tails: list[float] = []  # the least last start of a rising series of each length
    ends: list[int] = []  # and its place
    before: dict[int, int | None] = {}
    for place, start in enumerate(starts):
        if start is None or not 0 <= start <= length + _SLACK:
            continue
        size = bisect_left(tails, start)
        if size < len(tails) and tails[size] == start:
            continue  # the first of equal ones is believed
        before[place] = ends[size - 1] if size else None
        tails[size : size + 1], ends[size : size + 1] = [start], [place]
    found: list[int] = []
    at: int | None = ends[-1] if ends else None
    while at is not None:
        found.append(at)
        at = before[at]
    return found[::-1]
