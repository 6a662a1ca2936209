"""The pose of one person in a region. Loads in workers only.

Covers: the BlazePose landmark model on LiteRT, refining its points from its heat maps, placing them in the picture.
Does not cover: where to look (``detector``, ``tracker``), smoothing (``smoothing``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from narrowboat.engines.pose.crops import Floats, Picture, Region, crop
from narrowboat.engines.pose.detector import interpreter, sigmoid
from narrowboat.errors import UsageError
from narrowboat.skeleton import COUNT

_SIDE = 256  # pixels that the model takes
_MAP = 64  # places across a heat map
_POINTS = 39  # the landmarks, two that say where the person is, four that are not used
_REACH = 3  # places around a point that its heat map is looked at
_SURE = 0.5  # of a heat map: below, the point stays where it is


@dataclass(slots=True)
class Pose:
    """One person in one picture.

    Attributes:
        points: (33, 3): x and y in units of a pixel's height from the upper left, z in the same (smaller is nearer).
        visibility, presence: (33,), 0 to 1: not hidden by anything; in the picture at all.
        world: (33, 3): metres from the hips' middle.
        guides: (2, 2): the hips' middle, and the point that the next region is made with.
        score: 0 to 1, that somebody is there.
    """

    points: Floats
    visibility: Floats
    presence: Floats
    world: Floats
    guides: Floats
    score: float

    @property
    def size(self) -> float:
        """How large the person is: twice the distance of the guides."""
        (x, y), (to_x, to_y) = self.guides.tolist()
        return max(2 * math.hypot(to_x - x, to_y - y), 1e-6)


class Landmarker:
    """The model, loaded once. Not for two threads at once."""

    def __init__(self, model: Path) -> None:
        self._model = interpreter(model)
        self._input = self._model.get_input_details()[0]["index"]
        by_shape = {tuple(each["shape"]): each["index"] for each in self._model.get_output_details()}
        try:
            self._points = by_shape[(1, 5 * _POINTS)]
            self._score = by_shape[(1, 1)]
            self._maps = by_shape[(1, _MAP, _MAP, _POINTS)]
            self._world = by_shape[(1, 3 * _POINTS)]
        except KeyError:
            raise UsageError(
                f"{model.name} is no BlazePose landmark model: its answers have other shapes",
                hint="give pose_landmark_lite, _full or _heavy of mediapipe 0.10",
            ) from None

    def look(self, picture: Picture, region: Region) -> Pose:
        """The pose in the region; whether anybody is there is told by its score."""
        self._model.set_tensor(self._input, (crop(picture, region, _SIDE) / 255)[None])
        self._model.invoke()
        raw = self._model.get_tensor(self._points)[0].reshape(_POINTS, 5)
        raw[:, :3] /= _SIDE
        raw[:, :2] = _refined(raw[:, :2], self._model.get_tensor(self._maps)[0])
        world = self._model.get_tensor(self._world)[0].reshape(_POINTS, 3)[:COUNT]
        placed = region.placed(raw[:, :2])
        likely = sigmoid(raw[:COUNT, 3:])
        return Pose(
            points=np.concatenate([placed[:COUNT], raw[:COUNT, 2:3] * region.size], axis=1),
            visibility=likely[:, 0],
            presence=likely[:, 1],
            world=_turned(world, region.turn),
            guides=placed[COUNT : COUNT + 2],
            score=float(self._model.get_tensor(self._score)[0, 0]),
        )


def _refined(points: Floats, maps: Floats) -> Floats:
    """Points (0 to 1) moved to the weighted middle of what their heat maps show around them."""
    column, row = (points * _MAP).astype(np.int32).T
    inside = (column >= 0) & (column < _MAP) & (row >= 0) & (row < _MAP)
    around = np.arange(-_REACH, _REACH + 1)
    columns, rows = column[:, None] + around, row[:, None] + around
    there = ((rows >= 0) & (rows < _MAP))[:, :, None] & ((columns >= 0) & (columns < _MAP))[:, None, :]
    seen = maps[
        np.clip(rows, 0, _MAP - 1)[:, :, None],
        np.clip(columns, 0, _MAP - 1)[:, None, :],
        np.arange(len(points))[:, None, None],
    ]
    weights = np.where(there, sigmoid(seen), 0)
    total = np.maximum(weights.sum(axis=(1, 2)), 1e-9)
    middle = (
        np.stack([(weights.sum(1) * columns).sum(1) / total, (weights.sum(2) * rows).sum(1) / total], axis=1) / _MAP
    )
    sure = inside & (weights.max(axis=(1, 2)) >= _SURE)
    return np.where(sure[:, None], middle, points).astype(np.float32)


def _turned(world: Floats, turn: float) -> Floats:
    cosine, sine = math.cos(turn), math.sin(turn)
    x, y, z = world.T
    return np.stack([cosine * x - sine * y, sine * x + cosine * y, z], axis=1).astype(np.float32)
