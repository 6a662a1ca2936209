"""Finding people in a whole picture. Loads in workers only.

Covers: the BlazePose detector on LiteRT: anchors, decoding its answer, merging what is one person.
Does not cover: the pose of a person (``landmarker``), following people (``tracker``).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from narrowboat.engines.pose.crops import Floats, Picture, Region, region_between, shrunk, whole_picture

_SIDE = 224  # pixels that the model takes
#: (pixels between two anchors, anchors at each place): layers of the model, their anchors in order of rows.
_LAYERS = ((8, 2), (16, 2), (32, 6))
#: Below this score nobody is there.
SURE = 0.5
#: Boxes that overlap by more of their union are one person.
_OVERLAP = 0.3


@dataclass(frozen=True, slots=True)
class Found:
    """A person that was found.

    Attributes:
        region: to look for the pose in.
        score: 0 to 1.
    """

    region: Region
    score: float


class Detector:
    """The model, loaded once. Not for two threads at once."""

    def __init__(self, model: Path) -> None:
        self._model = interpreter(model)
        self._input = self._model.get_input_details()[0]["index"]
        boxes, scores = sorted(self._model.get_output_details(), key=lambda each: -int(each["shape"][-1]))
        self._boxes, self._scores = boxes["index"], scores["index"]
        self._anchors = _anchors()

    def find(self, picture: Picture, most: int) -> list[Found]:
        """People in the picture, the surest first, at most so many."""
        around = whole_picture(picture)
        self._model.set_tensor(self._input, (shrunk(picture, _SIDE) / 127.5 - 1)[None])
        self._model.invoke()
        scores = sigmoid(self._model.get_tensor(self._scores)[0, :, 0])
        sure = np.flatnonzero(scores >= SURE)
        if not len(sure):
            return []
        raw = self._model.get_tensor(self._boxes)[0][sure] / _SIDE
        middles, sizes = raw[:, :2] + self._anchors[sure], raw[:, 2:4]
        boxes = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1)
        points = raw[:, 4:8].reshape(-1, 2, 2) + self._anchors[sure][:, None]
        return [
            Found(region_between(*around.placed(merged)), score)
            for merged, score in _merged(boxes, points, scores[sure])[:most]
        ]


def interpreter(model: Path) -> Interpreter:
    """A LiteRT model with memory for its tensors, for one thread.

    A second thread makes a call of the landmark model 1.27 times as fast for 1.5 times the work (13.8 and 10.9 ms), so
    a file gets its second core by decoding beside it, and two files one each.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a newer interface, which has no per-call choice of threads
        loaded = Interpreter(str(model), num_threads=1)
    loaded.allocate_tensors()
    return loaded


def sigmoid(values: Floats) -> Floats:
    """From the model's own scale to 0..1."""
    return (1 / (1 + np.exp(-np.clip(values, -80, 80)))).astype(np.float32)


def _merged(boxes: Floats, points: Floats, scores: Floats) -> list[tuple[Floats, float]]:
    """People's points, surest first: those of boxes that overlap, weighed by score."""
    left = np.argsort(-scores, kind="stable")
    found = []
    while len(left):
        same = _overlaps(boxes[left], boxes[left[0]]) > _OVERLAP
        same[0] = True
        members = left[same]
        weights = scores[members]
        found.append(((points[members] * weights[:, None, None]).sum(0) / weights.sum(), float(weights[0])))
        left = left[~same]
    return found


def _overlaps(boxes: Floats, one: Floats) -> Floats:
    shared = np.clip(np.minimum(boxes[:, 2:], one[2:]) - np.maximum(boxes[:, :2], one[:2]), 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    result: Floats = shared / np.maximum(areas + (one[2:] - one[:2]).prod() - shared, 1e-9)
    return result


def _anchors() -> Floats:
    """The middles of the 2254 places that the model answers for, 0 to 1."""
    layers = []
    for step, each in _LAYERS:
        count = _SIDE // step
        down, across = np.mgrid[0:count, 0:count]
        middles = np.stack([(across + 0.5) / count, (down + 0.5) / count], axis=-1).reshape(-1, 2)
        layers.append(np.repeat(middles, each, axis=0))
    return np.concatenate(layers).astype(np.float32)
