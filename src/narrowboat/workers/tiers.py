"""Which means of the guard are in force on this machine.

Covers: finding out, without changing anything, and saying it in words.
Does not cover: the means themselves (``guard``, ``sandbox``).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from narrowboat.memory.cgroups import Group
from narrowboat.workers.guard import POLL_S

_PR_GET_CHILD_SUBREAPER = 37  # prctl(2)


@dataclass(frozen=True, slots=True)
class Tier:
    """One means, whether it works here, and why or what it does."""

    name: str
    in_force: bool
    detail: str


def tiers(groups: Sequence[Group], root: Path = Path("/")) -> list[Tier]:
    """All of them, strongest first.

    Args:
        groups: the memory cgroups of this process.
        root: where ``proc`` is found.
    """
    found = [
        Tier("worker cgroup", False, "not used in this version: polling guards"),
        _polling(root),
        _oom_score(root),
        Tier("own session", hasattr(os, "setsid"), "a worker and all that it started are killed together"),
        _rlimit(),
        _subreaper(),
    ]
    together = [group.name for group in groups if group.kills_all()]
    if together:
        text = f"set on {', '.join(together)}: the kernel would kill everything in there at once"
        found.append(Tier("memory.oom.group off", False, text))
    return found


def _polling(root: Path) -> Tier:
    works = (root / "proc/self/statm").exists()
    rate = f"what each worker uses is read {1 / POLL_S:.0f} times a second and above its reservation it is killed"
    return Tier("polling", works, rate if works else "there is no /proc here")


def _oom_score(root: Path) -> Tier:
    works = os.access(root / "proc/self/oom_score_adj", os.W_OK)
    return Tier(
        "oom_score_adj", works, "the kernel takes a worker first" if works else "/proc/self/oom_score_adj can't be set"
    )


def _rlimit() -> Tier:
    works = sys.platform == "linux"
    return Tier("rlimit_data", works, "a loose limit that stops what runs away" if works else "Linux only")


def _subreaper() -> Tier:
    try:
        value = ctypes.c_int()
        works = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(value), 0, 0, 0) == 0
    except (AttributeError, OSError):
        works = False
    return Tier("subreaper", works, "no process of a worker outlives the run" if works else "Linux only")
