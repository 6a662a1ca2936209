"""How good poses are, as figures that are named for what they are. Loads in workers only.

Covers: detection rate, mean visibility, jitter, the longest gap, side swaps, for each person, read once and in pieces.
Does not cover: the figures of angles (``pipelines/pose/analysis``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from narrowboat.media.pose_file import NOBODY, Records
from narrowboat.skeleton import NUMBER, PAIRS
from narrowboat.values import Json

#: A landmark below this visibility says nothing of how calm the poses are.
SEEN = 0.5
#: Two sides have changed places when they fit the picture before so much better crossed, and are so far apart.
_NEARER, _APART = 0.8, 0.03  # factor; of the picture's height
_LEFT, _RIGHT = (
    list(side) for side in zip(*(pair for pair in PAIRS if pair[0] >= NUMBER["left_shoulder"]), strict=True)
)

_Points = npt.NDArray[np.float64]


@dataclass(slots=True)
class _Person:
    frames: int = 0
    visibility: float = 0.0
    jitters: int = 0
    jitter: float = 0.0
    swaps: int = 0
    gap: float = 0.0
    last: tuple[int, float] = (-1, 0.0)  # frame and time
    before: list[_Points] = field(default_factory=list)  # at most two, in a row


class Quality:
    """Figures of the poses of one video.

    Args:
        width, height: of its pictures, in pixels; jitter is told in these.
        every: pictures from one that was looked at to the next.
    """

    def __init__(self, width: int, height: int, every: int = 1) -> None:
        self._size = np.array([width, height], float)
        self._every = every
        self._people: dict[int, _Person] = {}
        self._frames = self._found = 0
        self._frame = -1
        self._gap = 0.0
        self._since: float | None = None
        self._missed = False

    def push(self, records: Records) -> None:
        """The next records, in order."""
        for record in records:
            here = record["found"] != NOBODY
            if record["frame"] != self._frame:
                self._frame, self._frames = int(record["frame"]), self._frames + 1
                self._found += bool(here)
                self._look(here, float(record["time"]))
            if here:
                self._person(self._people.setdefault(int(record["person"]), _Person()), record)

    def _look(self, here: bool, time: float) -> None:
        """A gap goes from the last picture with somebody, else from the first, to the next; one without is in it."""
        since = time if self._since is None else self._since
        if self._missed or not here:
            self._gap = max(self._gap, time - since)
        self._since, self._missed = (time, False) if here else (since, True)

    def _person(self, person: _Person, record: Any) -> None:
        frame, time = int(record["frame"]), float(record["time"])
        points = record["points"][:, :2] * self._size
        seen = record["points"][:, 3]
        if frame - person.last[0] != self._every:
            person.before = []
            if person.frames:
                person.gap = max(person.gap, time - person.last[1])
        if len(person.before) == 2:
            moved = np.hypot(*(points - 2 * person.before[1] + person.before[0]).T)[seen >= SEEN]
            person.jitter, person.jitters = person.jitter + float(moved.sum()), person.jitters + len(moved)
        if person.before:
            person.swaps += swapped(person.before[-1], points, float(self._size[1]))
        person.before = [*person.before[-1:], points]
        person.last, person.frames = (frame, time), person.frames + 1
        person.visibility += float(seen.mean())

    def figures(self) -> dict[str, Json]:
        """All of them: shares from 0 to 1, gaps in seconds, jitter in pixels."""
        return {
            "frames": self._frames,
            "frames_with_pose": self._found,
            "detection_rate": round(self._found / max(1, self._frames), 4),
            "longest_gap_s": round(self._gap, 3),
            "people": [_told(number, person) for number, person in sorted(self._people.items())],
        }


def _told(number: int, person: _Person) -> dict[str, Json]:
    return {
        "person_id": number,
        "frames": person.frames,
        "mean_visibility": round(person.visibility / person.frames, 4),
        "jitter_px": round(person.jitter / person.jitters, 3) if person.jitters else None,
        "longest_gap_s": round(person.gap, 3),
        "side_swaps": person.swaps,
    }


def swapped(before: _Points, now: _Points, height: float) -> int:
    """How many pairs of landmarks have changed places between two pictures; points in pixels."""
    left, right, was_left, was_right = now[_LEFT], now[_RIGHT], before[_LEFT], before[_RIGHT]
    kept = _far(left, was_left) + _far(right, was_right)
    crossed = _far(left, was_right) + _far(right, was_left)
    return int(((crossed < _NEARER * kept) & (_far(was_left, was_right) > _APART * height)).sum())


def _far(some: _Points, others: _Points) -> _Points:
    apart: _Points = np.hypot(*(some - others).T)
    return apart
