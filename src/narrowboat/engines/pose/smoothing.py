"""Smoothing poses over time. Loads in workers only.

Covers: the One-Euro filter (Casiez, Roussel and Vogel 2012) over many numbers at once, and what of a pose goes
through it.
Does not cover: filters that look ahead (``pipelines/pose/filters``), who is who (``tracker``).

All state is numbers that go through JSON exactly, so that a filter that is made again goes on as if nothing had been.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from narrowboat.engines.pose.landmarker import Pose
from narrowboat.engines.pose.sides import Sides
from narrowboat.values import Json

Numbers = npt.NDArray[np.float64]


class OneEuro:
    """A low pass that lets more through the faster something moves.

    Args:
        cutoff: Hz, of what rests.
        beta: Hz that are added for each unit of speed (units a second, times ``scale``).
    """

    SPEED_CUTOFF = 1.0  # Hz

    def __init__(self, cutoff: float, beta: float) -> None:
        self._cutoff = cutoff
        self._beta = beta
        self._time: float | None = None
        self._held: Numbers = np.empty((3, 0))  # smoothed values, the last ones as they came, smoothed speeds

    def __call__(self, time: float, values: npt.ArrayLike, scale: float = 1.0) -> Numbers:
        """The values smoothed; at a time that is not later than the one before, as they are."""
        came = np.asarray(values, np.float64)
        flat = came.reshape(-1)
        if self._time is None:
            self._time = time
            self._held = np.stack([flat, flat, np.zeros_like(flat)])
            return came
        if time <= self._time:
            return came
        rate = 1 / (time - self._time)
        smoothed, last, speeds = self._held
        part = 1 / (1 + rate / (2 * math.pi * self.SPEED_CUTOFF))
        speeds = part * ((flat - last) * (scale * rate)) + (1 - part) * speeds
        parts = 1 / (1 + rate / (2 * math.pi * (self._cutoff + self._beta * np.abs(speeds))))
        smoothed = parts * flat + (1 - parts) * smoothed
        self._time, self._held = time, np.stack([smoothed, flat, speeds])
        result: Numbers = smoothed.reshape(came.shape)
        return result

    def state(self) -> Json:
        """What :meth:`restore` takes."""
        return {"time": self._time, "held": base64.b64encode(self._held.tobytes()).decode()}

    def restore(self, state: Any) -> None:
        """Go on from a state."""
        self._time = state["time"]
        self._held = np.frombuffer(base64.b64decode(state["held"]), np.float64).reshape(3, -1)


@dataclass(frozen=True, slots=True)
class Strength:
    """How much is smoothed: (cutoff, beta) of points in the picture, and of those in metres; and how much of a new
    visibility counts.
    """

    points: tuple[float, float]
    world: tuple[float, float]
    visibility: float


#: ``light`` is what mediapipe does with ``smooth_landmarks``, a little heavier: on its makers' own figures (0.05 and
#: 80, 0.1 and 40) a walk at 30 pictures a second jitters by 11.99 px a picture², by 11.85 out of mediapipe, by 11.56
#: like this.
STRENGTHS = {
    "light": Strength(points=(0.05, 60.0), world=(0.1, 30.0), visibility=0.1),
    "strong": Strength(points=(0.05, 15.0), world=(0.1, 8.0), visibility=0.1),
}


class Smoother:
    """Smooths one person's poses: points, metres, visibility and presence."""

    def __init__(self, strength: Strength) -> None:
        self._points = OneEuro(*strength.points)
        self._world = OneEuro(*strength.world)
        self._part = strength.visibility
        self._sides = Sides()
        self._likely: Numbers | None = None

    def __call__(self, time: float, pose: Pose) -> Pose:
        """The pose smoothed, its sides kept."""
        pose = self._sides(time, pose)
        likely = np.stack([pose.visibility, pose.presence]).astype(np.float64)
        if self._likely is not None:
            likely = self._part * likely + (1 - self._part) * self._likely
        self._likely = likely
        return replace(
            pose,
            points=self._points(time, pose.points, 1 / pose.size).astype(np.float32),
            world=self._world(time, pose.world).astype(np.float32),
            visibility=likely[0].astype(np.float32),
            presence=likely[1].astype(np.float32),
        )

    def state(self) -> Json:
        """What :meth:`restore` takes."""
        likely = None if self._likely is None else base64.b64encode(self._likely.tobytes()).decode()
        state = {"points": self._points.state(), "world": self._world.state()}
        return {**state, "sides": self._sides.state(), "likely": likely}

    def restore(self, state: Any) -> None:
        """Go on from a state."""
        self._points.restore(state["points"])
        self._world.restore(state["world"])
        self._sides.restore(state["sides"])
        held = state["likely"]
        self._likely = None if held is None else np.frombuffer(base64.b64decode(held), np.float64).reshape(2, -1)
