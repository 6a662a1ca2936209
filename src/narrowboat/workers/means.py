"""Which means the guard uses in a run: those that were asked for, where they can be had.

Covers: reading ``--guard``, opening the worker groups, refusing what was asked for by name and can't be had.
Does not cover: the means themselves (``groups``, ``guard``, ``sandbox``), telling of them (``tiers``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from narrowboat.errors import UsageError
from narrowboat.memory.cgroups import Group
from narrowboat.memory.pressure import stall_file
from narrowboat.values import GUARD_MEANS
from narrowboat.workers.groups import Groups
from narrowboat.workers.leaf import Unavailable


@dataclass(slots=True)
class Means:
    """What is in force.

    Attributes:
        groups: the worker groups; None when workers have none.
        polling: the polling thread kills; without, it only measures.
        oom_score: workers get ``oom_score_adj`` 1000.
        rlimit: workers get a loose RLIMIT_DATA.
        absent: for each that is not in force, why.
        stall_file: where the kernel tells of stalls, if it does.
    """

    groups: Groups | None = None
    polling: bool = True
    oom_score: bool = True
    rlimit: bool = True
    absent: dict[str, str] = field(default_factory=lambda: {"cgroup": "not asked for"})
    stall_file: Path | None = None

    def close(self) -> None:
        """Remove the worker groups; all workers have ended."""
        if self.groups is not None:
            self.groups.close()


def choose(wanted: str | Sequence[str], groups: Sequence[Group], root: Path = Path("/")) -> Means:
    """The means that ``wanted`` asks for: ``auto`` for all that can be had, or their names, with commas or in a list.

    Args:
        wanted: of :data:`narrowboat.values.GUARD_MEANS`.
        groups: the memory cgroups of this process, innermost first.
        root: where ``proc`` is found.

    Raises:
        UsageError: one is not known, or was named and can't be had here; says why.
    """
    names = [word.strip() for word in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
    auto = names == ["auto"]
    for name in names:
        if name not in GUARD_MEANS and not auto:
            raise UsageError(
                f"the guard has no {name!r}", hint=f"use auto, or some of {', '.join(GUARD_MEANS)} with commas"
            )
    absent = {name: "left out by --guard" for name in GUARD_MEANS if not auto and name not in names}
    absent |= {name: why for name, why in _impossible(root).items() if name not in absent}
    made = Means(polling="polling" not in absent, oom_score="oom-score" not in absent, rlimit="rlimit" not in absent)
    if "cgroup" not in absent:
        try:
            made.groups = Groups.open(groups)
        except Unavailable as error:
            absent["cgroup"] = str(error)
    made.absent, made.stall_file = absent, stall_file(groups, root)
    for name in names:
        if name in absent:
            made.close()
            raise UsageError(f"the guard can't use {name} here: {absent[name]}", hint="leave it out, or use auto")
    return made


def _impossible(root: Path) -> dict[str, str]:
    found = {}
    if not (root / "proc/self/statm").exists():
        found["polling"] = "there is no /proc here"
    if not os.access(root / "proc/self/oom_score_adj", os.W_OK):
        found["oom-score"] = "/proc/self/oom_score_adj can't be set"
    if sys.platform != "linux":
        found["rlimit"] = "Linux only"
    return found
