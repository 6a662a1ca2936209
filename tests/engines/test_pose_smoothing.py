"""Filters over time: what they let through, going on from a state, sides that stay."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from narrowboat.engines.pose.landmarker import Pose
from narrowboat.engines.pose.sides import INSISTING_S, Sides
from narrowboat.engines.pose.smoothing import STRENGTHS, OneEuro, Smoother
from narrowboat.skeleton import COUNT, LANDMARKS, NUMBER, PAIRS

RATE = 30


def pose(points: Any) -> Pose:
    """A pose with these (33, 3) points, all well seen, 200 units tall."""
    return Pose(
        points=np.asarray(points, np.float32),
        visibility=np.full(COUNT, 0.9, np.float32),
        presence=np.full(COUNT, 0.95, np.float32),
        world=np.asarray(points, np.float32) / 100,
        guides=np.array([[0, 0], [0, -100]], np.float32),
        score=1.0,
    )


def walking(number: int, noise: float = 0.0) -> Pose:
    """Left at 50, right at -50, both moving to the right."""
    points = np.zeros((COUNT, 3))
    for landmark, name in enumerate(LANDMARKS):
        points[landmark] = (number + (50 if "left" in name else -50 if "right" in name else 0), 5 * landmark, 0)
    return pose(points + np.random.default_rng(number).standard_normal(points.shape) * noise)


def mirrored(one: Pose, pairs: Any = PAIRS) -> Pose:
    order = np.arange(COUNT)
    for left, right in pairs:
        order[left], order[right] = right, left
    return pose(one.points[order])


def test_what_rests_is_calmed_and_what_moves_is_followed() -> None:
    noise = np.random.default_rng(1).standard_normal((60, 4)) * 0.01
    euro = OneEuro(0.05, 60.0)
    rest = np.array([euro(n / RATE, noise[n]) for n in range(60)])
    assert np.diff(rest, axis=0).std() < 0.5 * np.diff(noise, axis=0).std()
    euro = OneEuro(0.05, 60.0)
    moved = np.array([euro(n / RATE, [n / 10.0]) for n in range(60)])
    assert moved[-1, 0] == pytest.approx(5.9, abs=0.05)


def test_a_filter_made_again_goes_on_exactly() -> None:
    values = np.random.default_rng(2).standard_normal((20, 3, 2))
    whole = OneEuro(0.1, 5.0)
    expected = [whole(n / RATE, values[n], 0.3) for n in range(20)]
    first = OneEuro(0.1, 5.0)
    for n in range(9):
        first(n / RATE, values[n], 0.3)
    second = OneEuro(0.1, 5.0)
    second.restore(json.loads(json.dumps(first.state())))
    for n in range(9, 20):
        assert np.array_equal(second(n / RATE, values[n], 0.3), expected[n])


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_smoother_made_again_goes_on_exactly(strength: str) -> None:
    poses = [walking(n, noise=3) for n in range(12)]
    whole = Smoother(STRENGTHS[strength])
    expected = [whole(n / RATE, each) for n, each in enumerate(poses)]
    first = Smoother(STRENGTHS[strength])
    for n in range(5):
        first(n / RATE, poses[n])
    second = Smoother(STRENGTHS[strength])
    second.restore(json.loads(json.dumps(first.state())))
    for n in range(5, 12):
        got = second(n / RATE, poses[n])
        for name in ("points", "world", "visibility", "presence"):
            assert np.array_equal(getattr(got, name), getattr(expected[n], name)), name


def test_strong_is_calmer_than_light() -> None:
    def jitter(strength: str) -> float:
        smoother = Smoother(STRENGTHS[strength])
        points = np.array([smoother(n / RATE, walking(n, noise=2)).points for n in range(60)])
        return float(np.abs(np.diff(points, n=2, axis=0)).mean())

    assert jitter("strong") < 0.8 * jitter("light")


def test_sides_that_change_places_for_a_few_pictures_are_put_back() -> None:
    sides = Sides()
    for n in range(20):
        truth = walking(n, noise=1)
        given = mirrored(truth) if n in (5, 6, 12) else truth
        assert np.array_equal(sides(n / RATE, given).points, truth.points), n


def test_legs_alone_that_change_places_are_put_back() -> None:
    legs = [pair for pair in PAIRS if pair[0] >= NUMBER["left_hip"]]
    sides = Sides()
    for n in range(10):
        truth = walking(n)
        given = mirrored(truth, legs) if n == 4 else truth
        assert np.array_equal(sides(n / RATE, given).points, truth.points), n


def test_a_model_that_insists_is_believed() -> None:
    sides = Sides()
    sides(0.0, walking(0))
    for n in range(1, 2 * RATE):
        given = mirrored(walking(n))
        kept = np.array_equal(sides(n / RATE, given).points, walking(n).points)
        assert kept == (n / RATE < INSISTING_S + 1 / RATE - 1e-9), n


def test_nothing_is_compared_across_a_gap() -> None:
    sides = Sides()
    sides(0.0, walking(0))
    given = mirrored(walking(1))
    assert np.array_equal(sides(2.0, given).points, given.points)
