"""Following people from picture to picture. Loads in workers only.

Covers: looking again where somebody was, finding people anew when somebody is lost or missing, numbers that stay with
a person, the state from which all of that goes on.
Does not cover: the models (``detector``, ``landmarker``), the filter (``smoothing``).

A person is looked for in the region that the picture before tells, which costs no detector; the detector runs while
nobody is followed, and every :data:`SEARCH_EVERY` pictures while fewer are than were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from narrowboat.engines.pose.crops import Picture, Region, region_between
from narrowboat.engines.pose.detector import Detector
from narrowboat.engines.pose.landmarker import Landmarker, Pose
from narrowboat.engines.pose.smoothing import STRENGTHS, OneEuro, Smoother
from narrowboat.values import Json

#: A pose below this score is nobody's.
SURE = 0.5
#: Pictures between two searches for people who are missing.
SEARCH_EVERY = 10
#: Seconds after which somebody who comes back is somebody else, and how far from where they were, in sizes of a region.
REMEMBERED_S, REMEMBERED_BY = 2.0, 0.5
#: Two poses that are nearer to each other, in sizes of a person, are one person's.
SAME = 0.05
#: So is one that is newly found and whose hips are nearer to somebody's: the same person, with other legs. Seen at
#: 0.01 and 0.06; people side by side are farther apart.
SAME_HIPS = 0.1
#: The filter of what the next region is made of: it makes regions lie still, and does not touch poses.
_GUIDES = (0.01, 10.0)

How = Literal["detected", "tracked"]


@dataclass(slots=True)
class Seen:
    """A person in one picture: their number, their pose, and how it was come by."""

    number: int
    pose: Pose
    how: How


@dataclass(slots=True)
class _Person:
    number: int
    region: Region
    smoother: Smoother | None
    guides: OneEuro = field(default_factory=lambda: OneEuro(*_GUIDES))


@dataclass(slots=True)
class _Gone:
    number: int
    region: Region
    time: float


class Tracker:
    """Follows people.

    Args:
        most: how many at the same time.
        smooth: ``off``, ``light`` or ``strong``.
    """

    def __init__(self, detector: Detector, landmarker: Landmarker, *, most: int, smooth: str) -> None:
        self._detector = detector
        self._landmarker = landmarker
        self._most = most
        self._strength = STRENGTHS.get(smooth)
        self._people: list[_Person] = []
        self._gone: list[_Gone] = []
        self._next = 1
        self._since_search = 0

    def follow(self, picture: Picture, time: float) -> list[Seen]:
        """Who is in the next picture, by their numbers; ``time`` is its time in seconds."""
        seen = [self._see(person, pose, time, "tracked") for person, pose in self._again(picture, time)]
        self._since_search += 1
        if not self._people or (len(self._people) < self._most and self._since_search >= SEARCH_EVERY):
            self._since_search = 0
            seen += self._search(picture, time, [each.pose for each in seen])
        return sorted(seen, key=lambda each: each.number)

    def _again(self, picture: Picture, time: float) -> list[tuple[_Person, Pose]]:
        """Those who still are where they were; the others are gone."""
        there: list[tuple[_Person, Pose]] = []
        for person in self._people:
            pose = self._landmarker.look(picture, person.region)
            if pose.score >= SURE and not any(_same(pose, other) for _, other in there):
                there.append((person, pose))
            else:
                self._gone.append(_Gone(person.number, person.region, time))
        self._people = [person for person, _ in there]
        return there

    def _search(self, picture: Picture, time: float, known: list[Pose]) -> list[Seen]:
        found: list[Seen] = []
        for each in self._detector.find(picture, self._most + len(known)):
            if len(self._people) >= self._most:
                break
            pose = self._landmarker.look(picture, each.region)
            others = [*known, *(other.pose for other in found)]
            if pose.score < SURE or any(_same(pose, other) or _same_hips(pose, other) for other in others):
                continue
            smoother = Smoother(self._strength) if self._strength else None
            person = _Person(self._number(each.region, time), each.region, smoother)
            self._people.append(person)
            found.append(self._see(person, pose, time, "detected"))
        return found

    def _see(self, person: _Person, pose: Pose, time: float, how: How) -> Seen:
        middle, top = person.guides(time, pose.guides, 1 / pose.size)
        person.region = region_between(middle, top)
        return Seen(person.number, person.smoother(time, pose) if person.smoother else pose, how)

    def _number(self, region: Region, time: float) -> int:
        """The number of who was here a moment ago, else a new one; when only one is followed, always 1."""
        if self._most == 1:
            return 1
        self._gone = [gone for gone in self._gone if time - gone.time <= REMEMBERED_S]
        near = min(self._gone, key=lambda gone: _distance(gone.region, region), default=None)
        if near is not None and _distance(near.region, region) <= REMEMBERED_BY:
            self._gone.remove(near)
            return near.number
        self._next += 1
        return self._next - 1

    def state(self) -> Json:
        """All that is needed to go on, as JSON."""
        return {
            "people": [
                {
                    "number": person.number,
                    "region": _listed(person.region),
                    "guides": person.guides.state(),
                    "smoother": person.smoother.state() if person.smoother else None,
                }
                for person in self._people
            ],
            "gone": [{"number": gone.number, "region": _listed(gone.region), "time": gone.time} for gone in self._gone],
            "next": self._next,
            "since_search": self._since_search,
        }

    def restore(self, state: Any) -> None:
        """Go on from a state."""
        self._people = [self._restored(person) for person in state["people"]]
        self._gone = [_Gone(gone["number"], Region(*gone["region"]), gone["time"]) for gone in state["gone"]]
        self._next, self._since_search = state["next"], state["since_search"]

    def _restored(self, state: Any) -> _Person:
        smoother = Smoother(self._strength) if self._strength else None
        if smoother is not None:
            smoother.restore(state["smoother"])
        person = _Person(state["number"], Region(*state["region"]), smoother)
        person.guides.restore(state["guides"])
        return person


def _listed(region: Region) -> list[float]:
    return [region.x, region.y, region.size, region.turn]


def _distance(one: Region, other: Region) -> float:
    """Between two middles, in sizes of the larger region."""
    return float(np.hypot(one.x - other.x, one.y - other.y) / max(one.size, other.size, 1e-9))


def _same(one: Pose, other: Pose) -> bool:
    apart = np.hypot(*(one.points[:, :2] - other.points[:, :2]).T).mean()
    return bool(apart < SAME * max(one.size, other.size))


def _same_hips(one: Pose, other: Pose) -> bool:
    return bool(np.hypot(*(one.guides[0] - other.guides[0])) < SAME_HIPS * max(one.size, other.size))
