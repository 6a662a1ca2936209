"""Left stays left. Loads in workers only.

Covers: undoing what models do to people seen from behind, from the side or half hidden: left and right change places
for a few pictures, of the whole body or of the legs alone.
Does not cover: smoothing (``smoothing``), counting such changes in finished poses (``pipelines/pose/quality``).

Nobody's sides change places from one picture to the next, so a pose that fits the one before much better when it is
mirrored is mirrored. A model that insists for :data:`INSISTING_S` is believed: then the poses before were the wrong
ones.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from narrowboat.engines.pose.landmarker import Pose
from narrowboat.skeleton import COUNT, NUMBER, PAIRS
from narrowboat.values import Json

#: Mirrored, a pose must be nearer to the one before by this factor.
NEARER = 0.6
#: Seconds: of a gap after which nothing is compared; for which a model must insist.
GAP_S, INSISTING_S = 0.5, 1.0
#: What changes places together: the body above the hips; hips and legs.
_GROUPS = tuple(
    [pair for pair in PAIRS if (pair[0] < NUMBER["left_hip"]) == upper and pair[0] >= NUMBER["left_shoulder"]]
    for upper in (True, False)
)
_FACE = [pair for pair in PAIRS if pair[0] < NUMBER["left_shoulder"]]


class Sides:
    """Keeps the sides of one person."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None
        self._time = 0.0
        self._since: list[float | None] = [None] * len(_GROUPS)  # when the model began to say otherwise

    def __call__(self, time: float, pose: Pose) -> Pose:
        """The pose, mirrored where it has to be."""
        order = np.arange(COUNT)
        if self._last is not None and time - self._time <= GAP_S:
            for number, group in enumerate(_GROUPS):
                if self._crossed(number, group, time, pose.points[:, :2]):
                    _mirror(order, group if number else [*group, *_FACE])
        self._time = time
        if (order != np.arange(COUNT)).any():
            pose = replace(
                pose,
                points=pose.points[order],
                world=pose.world[order],
                visibility=pose.visibility[order],
                presence=pose.presence[order],
            )
        self._last = pose.points[:, :2].copy()
        return pose

    def _crossed(self, number: int, group: list[tuple[int, int]], time: float, points: npt.NDArray[np.float32]) -> bool:
        assert self._last is not None
        left, right = (list(side) for side in zip(*group, strict=True))
        kept = _apart(points[left], self._last[left]) + _apart(points[right], self._last[right])
        crossed = _apart(points[left], self._last[right]) + _apart(points[right], self._last[left])
        if crossed >= NEARER * kept:
            self._since[number] = None
            return False
        since = self._since[number]
        if since is None:
            self._since[number] = since = time
        if time - since < INSISTING_S:
            return True
        self._since[number] = None
        return False

    def state(self) -> Json:
        """What :meth:`restore` takes."""
        last = None if self._last is None else base64.b64encode(self._last.tobytes()).decode()
        return {"last": last, "time": self._time, "since": self._since}

    def restore(self, state: Any) -> None:
        """Go on from a state."""
        last = state["last"]
        self._last = None if last is None else np.frombuffer(base64.b64decode(last), np.float32).reshape(COUNT, 2)
        self._time, self._since = state["time"], list(state["since"])


def _mirror(order: npt.NDArray[np.intp], pairs: list[tuple[int, int]]) -> None:
    for left, right in pairs:
        order[left], order[right] = order[right], order[left]


def _apart(some: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> float:
    return float(np.hypot(*(some - others).T).sum())
