"""Which means of the guard are in force on this machine, in words.

Covers: one line for each, strongest first, and why one is not in force.
Does not cover: the means themselves (``groups``, ``guard``, ``sandbox``), choosing them (``means``).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass

from narrowboat.memory.cgroups import Group
from narrowboat.workers.means import Means
from narrowboat.workers.watch import LATEST_S, SOONEST_S

_PR_GET_CHILD_SUBREAPER = 37  # prctl(2)


@dataclass(frozen=True, slots=True)
class Tier:
    """One means, whether it is in force, and why not or what it does."""

    name: str
    in_force: bool
    detail: str


def tiers(means: Means, groups: Sequence[Group]) -> list[Tier]:
    """All of them, strongest first.

    Args:
        means: those of a run.
        groups: the memory cgroups of this process.
    """
    rate = f"looks every {1000 * SOONEST_S:.0f} to {1000 * LATEST_S:.0f} ms"
    found = [
        _tier(means, "cgroup", "a hard limit for each worker, kept by the kernel"),
        _tier(means, "polling", f"{rate} and kills a worker above its reservation"),
        _tier(means, "oom-score", "the kernel takes a worker first"),
        Tier("own session", hasattr(os, "setsid"), "a worker and all that it started are killed together"),
        _tier(means, "rlimit", "a loose limit that stops what runs away"),
        _subreaper(),
    ]
    together = [group.name for group in groups if group.kills_all()]
    if together:
        text = f"set on {', '.join(together)}: the kernel would kill everything in there at once"
        found.append(Tier("memory.oom.group off", False, f"{text}; twice the headroom is kept"))
    return found


def _tier(means: Means, name: str, does: str) -> Tier:
    why_not = means.absent.get(name)
    return Tier(name, why_not is None, why_not or does)


def _subreaper() -> Tier:
    try:
        value = ctypes.c_int()
        works = ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(value), 0, 0, 0) == 0
    except (AttributeError, OSError):
        works = False
    return Tier("subreaper", works, "no process of a worker outlives the run" if works else "Linux only")
