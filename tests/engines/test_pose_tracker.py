"""Following people: with models that are made up, so that who is where is known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from narrowboat.engines.pose.crops import Region
from narrowboat.engines.pose.detector import Found
from narrowboat.engines.pose.landmarker import Pose
from narrowboat.engines.pose.tracker import REMEMBERED_S, SEARCH_EVERY, Tracker
from narrowboat.skeleton import COUNT

RATE = 30
TALL = 100.0


@dataclass
class Scene:
    """People by their places; both models look at it, a picture is its number."""

    people: list[tuple[float, float]]
    searched: list[int] = field(default_factory=list)
    looked: int = 0

    def find(self, number: Any, most: int) -> list[Found]:
        self.searched.append(number)
        return [Found(Region(x, y, 1.25 * TALL), 0.9) for x, y in self.people][:most]

    def look(self, number: Any, region: Region) -> Pose:
        self.looked += 1
        near = [(x, y) for x, y in self.people if abs(x - region.x) < region.size / 4]
        x, y = near[0] if near else (region.x, region.y)
        points = np.zeros((COUNT, 3), np.float32)
        points[:, 0], points[:, 1] = x + np.linspace(-20, 20, COUNT), y + np.linspace(-50, 50, COUNT)
        likely = np.ones(COUNT, np.float32)
        guides = np.array([[x, y], [x, y - TALL / 2]], np.float32)
        return Pose(points, likely, likely, points / 100, guides, 0.9 if near else 0.1)


def tracker(scene: Scene, most: int = 1) -> Tracker:
    return Tracker(scene, scene, most=most, smooth="off")  # type: ignore[arg-type]


def follow(made: Tracker, scene: Scene, numbers: range) -> list[list[tuple[int, str, float]]]:
    found = []
    for number in numbers:
        seen = made.follow(number, number / RATE)  # type: ignore[arg-type]
        found.append([(each.number, each.how, float(each.pose.points[0, 0]) + 20) for each in seen])
    return found


def test_one_person_is_searched_for_once() -> None:
    scene = Scene([(100.0, 100.0)])
    seen = follow(tracker(scene), scene, range(20))
    assert [people[0][:2] for people in seen] == [(1, "detected"), *[(1, "tracked")] * 19]
    assert scene.searched == [0]


def test_who_is_lost_is_searched_for_in_the_same_picture() -> None:
    scene = Scene([(100.0, 100.0)])
    made = tracker(scene)
    follow(made, scene, range(5))
    scene.people = [(500.0, 100.0)]
    (seen,) = follow(made, scene, range(5, 6))
    assert [(number, how) for number, how, _ in seen] == [(1, "detected")]


def test_nobody_is_searched_for_in_every_picture() -> None:
    scene = Scene([])
    assert follow(tracker(scene), scene, range(4)) == [[], [], [], []]
    assert scene.searched == [0, 1, 2, 3]


def test_several_keep_their_numbers_when_they_move() -> None:
    scene = Scene([(100.0, 100.0), (300.0, 100.0), (600.0, 100.0)])
    made = tracker(scene, most=3)
    for number in range(30):
        scene.people = [(100.0 + number, 100.0), (300.0 - number, 100.0), (600.0, 100.0)]
        (seen,) = follow(made, scene, range(number, number + 1))
        assert [(which, round(x)) for which, _, x in seen] == [(1, 100 + number), (2, 300 - number), (3, 600)]
    assert scene.searched == [0]


def test_who_is_missing_is_searched_for_now_and_then() -> None:
    scene = Scene([(100.0, 100.0)])
    made = tracker(scene, most=2)
    follow(made, scene, range(SEARCH_EVERY + 1))
    assert scene.searched == [0, SEARCH_EVERY]
    scene.people.append((500.0, 100.0))
    seen = follow(made, scene, range(SEARCH_EVERY + 1, 2 * SEARCH_EVERY + 1))
    assert [len(people) for people in seen] == [1] * (SEARCH_EVERY - 1) + [2]


def test_who_comes_back_soon_and_near_is_the_same() -> None:
    people = [(100.0, 100.0), (500.0, 100.0)]
    scene = Scene(list(people))
    made = tracker(scene, most=2)
    follow(made, scene, range(3))
    scene.people = people[1:]
    follow(made, scene, range(3, 20))
    scene.people = [(120.0, 100.0), people[1]]
    assert [which for which, _, _ in follow(made, scene, range(20, 40))[-1]] == [1, 2]
    scene.people = people[1:]
    follow(made, scene, range(40, 45))
    scene.people = list(people)
    late = 45 + int(REMEMBERED_S * RATE) + SEARCH_EVERY
    made.follow(late, late / RATE)  # type: ignore[arg-type]
    assert [which for which, _, _ in follow(made, scene, range(late + 1, late + 20))[-1]] == [2, 3]


def test_who_is_found_a_second_time_with_other_legs_is_nobody_new() -> None:
    scene = Scene([(100.0, 100.0)])
    made = tracker(scene, most=2)
    follow(made, scene, range(SEARCH_EVERY))
    straight = scene.look

    def crossed(number: Any, region: Region) -> Pose:
        pose = straight(number, region)
        if number in scene.searched:  # looked at because of the detector
            pose.points[23:, 0] -= 40
        return pose

    scene.look = crossed  # type: ignore[method-assign]
    seen = follow(made, scene, range(SEARCH_EVERY, 2 * SEARCH_EVERY))
    assert len(scene.searched) == 2
    assert [[which for which, _, _ in people] for people in seen] == [[1]] * SEARCH_EVERY


def test_two_side_by_side_are_two() -> None:
    scene = Scene([(100.0, 100.0), (100.0 + 0.4 * TALL, 100.0)])
    assert len(follow(tracker(scene, most=2), scene, range(1))[0]) == 2


def test_two_who_become_one_are_one() -> None:
    scene = Scene([(100.0, 100.0), (160.0, 100.0)])
    made = tracker(scene, most=2)
    assert len(follow(made, scene, range(1))[0]) == 2
    scene.people = [(130.0, 100.0)]
    (seen,) = follow(made, scene, range(1, 2))
    assert [which for which, _, _ in seen] == [1]


def test_a_tracker_made_again_goes_on_as_if_nothing_had_been() -> None:
    def scene_at(number: int) -> list[tuple[float, float]]:
        people = [(100.0 + 2 * number, 100.0), (400.0 + number % 7, 90.0)]
        return people if number % 11 else people[:1]

    def run(numbers: range, state: Any = None) -> tuple[list[Any], Any]:
        scene = Scene([])
        made = Tracker(scene, scene, most=2, smooth="light")  # type: ignore[arg-type]
        if state is not None:
            made.restore(json.loads(json.dumps(state)))
        seen = []
        for number in numbers:
            scene.people = scene_at(number)
            found = made.follow(number, number / RATE)  # type: ignore[arg-type]
            seen.append([(each.number, each.how, each.pose.points.tobytes()) for each in found])
        return seen, made.state()

    whole, _ = run(range(50))
    for cut in (1, 11, 12, 30):
        first, state = run(range(cut))
        second, _ = run(range(cut, 50), state)
        assert first + second == whole
