"""Poses of any length as windows of some thousand pictures with what lies around them. Loads in workers only.

Covers: the poses of each person as arrays, so that filters see before and after what they give.
Does not cover: reading files (``media/pose_file``, ``reading``), the filters (``filters``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from narrowboat.media.pose_file import NOBODY, Records
from narrowboat.skeleton import COUNT

#: Pictures of a window, and of what is seen before and after it: more than any filter reaches.
CORE, AROUND = 2048, 512


@dataclass(frozen=True, slots=True)
class Window:
    """Some pictures in a row.

    Attributes:
        frames, times: of all of them, those around included.
        start, end: the window itself, as indices.
        people: number -> (n, 33, 3): x and y as shares of the picture, visibility; not a number where they are not
            seen.
    """

    frames: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    start: int
    end: int
    people: dict[int, npt.NDArray[np.float64]]


def windows(pieces: Iterable[Records], core: int = CORE, around: int = AROUND) -> Iterator[Window]:
    """All records as windows, in order; each picture is in one of them and around others."""
    held: list[Records] = []
    given = 0  # first picture that no window had
    for piece in pieces:
        held.append(piece)
        records = np.concatenate(held)
        frames = np.unique(records["frame"])
        while np.searchsorted(frames, given) + core + around < len(frames):  # the last picture may not be complete
            first = int(np.searchsorted(frames, given))
            yield _window(records, frames, first, first + core, around)
            given = int(frames[first + core])
            records = records[records["frame"] >= frames[max(0, first + core - around)]]
            frames = np.unique(records["frame"])
        held = [records]
    if held:
        records = np.concatenate(held)
        frames = np.unique(records["frame"])
        first = int(np.searchsorted(frames, given))
        if first < len(frames):
            yield _window(records, frames, first, len(frames), around)


def _window(records: Records, frames: npt.NDArray[np.int32], first: int, last: int, around: int) -> Window:
    low, high = max(0, first - around), min(len(frames), last + around)
    chosen = frames[low:high]
    inside = records[(records["frame"] >= chosen[0]) & (records["frame"] <= chosen[-1])]
    rows = np.searchsorted(chosen, inside["frame"])
    times = np.zeros(len(chosen))
    times[rows] = inside["time"]
    people = {}
    for number in np.unique(inside["person"][inside["found"] != NOBODY]).tolist():
        own = (inside["person"] == number) & (inside["found"] != NOBODY)
        points = np.full((len(chosen), COUNT, 3), np.nan)
        points[rows[own]] = inside["points"][own][:, :, [0, 1, 3]]
        people[number] = points
    return Window(chosen.astype(np.int64), times, first - low, last - low, people)
