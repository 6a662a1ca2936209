"""What an analysis keeps of a video while it goes through it. Loads in workers only.

Covers: what is kept of each person and of all together, in the same memory whatever the length.
Does not cover: how it is come by (``analysis``), drawing it (``plots``), telling it (``report``).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from narrowboat.media.pose_quality import Quality
from narrowboat.pipelines.pose.curves import Curve, Places, Spread

#: Landmarks whose ways are kept.
FOLLOWED = ("nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle")
_MAP = 96  # cells of the map along the longer side


@dataclass(slots=True)
class Person:
    """What is gathered of one person."""

    angles: dict[str, Spread]
    curve: Curve
    visible: Curve = field(default_factory=lambda: Curve(1))
    ways: Curve = field(default_factory=lambda: Curve(2 * len(FOLLOWED)))


@dataclass(slots=True)
class Gathered:
    """What is gathered of a video whose pictures have ``size`` pixels, for the angles ``names``."""

    size: tuple[int, int]
    names: list[str]
    quality: Quality
    places: Places = field(init=False)
    people: dict[int, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        width, height = self.size
        longer = max(width, height)
        self.places = Places(max(1, _MAP * width // longer), max(1, _MAP * height // longer))

    def person(self, number: int) -> Person:
        """Those of a person, from the first time on."""
        if number not in self.people:
            self.people[number] = Person({name: Spread() for name in self.names}, Curve(len(self.names)))
        return self.people[number]
