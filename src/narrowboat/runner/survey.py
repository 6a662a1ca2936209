"""What this machine allows: the figures and facts that ``narrowboat doctor`` tells.

Covers: reading them with a runner that is up, so that they are what a run would have.
Does not cover: words and advice (``cli/``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from narrowboat.disk import file_system, floor_bytes, free_bytes, in_memory
from narrowboat.errors import HomeHeld, NarrowboatError
from narrowboat.journal import database
from narrowboat.journal.lock import HomeLock
from narrowboat.journal.reserve import Reserve
from narrowboat.memory.budget import Budget
from narrowboat.memory.cgroups import Group, own_groups
from narrowboat.runner.runner import Runner
from narrowboat.runner.steps import Step
from narrowboat.workers.confinement import why_not
from narrowboat.workers.tiers import tiers

#: A step that does next to nothing: it shows that workers start here, and by then the fork server is up.
_PROOF = Step("narrowboat.sizes:format_size", memory="16M", name="a first step")


async def survey(
    home: Path,
    memory: int | None,
    cores: int | None,
    preload: Sequence[str] = (),
    guard: str | Sequence[str] = "auto",
) -> dict[str, Any]:
    """All of it, as JSON; sizes in bytes. Starts a runner on a home of its own.

    Args:
        home: the home to look at; nothing in it is changed.
        memory: ``--memory``.
        cores: ``--cores``.
        preload: as a run would have it: it is part of what the fork server uses.
        guard: ``--guard``.
    """
    groups = own_groups()
    async with Runner(memory, cores=cores, preload=preload, guard=guard) as runner:
        worker: dict[str, Any] | None = None
        try:
            await runner.call(_PROOF, 1)
        except NarrowboatError as error:
            worker = error.to_json()
        runner.budget.refresh()
        found = {**_memory(runner.budget, groups), "worker_error": worker}
        told = tiers(runner.guard.means, groups)
    found["guard"] = [{"name": tier.name, "in_force": tier.in_force, "detail": tier.detail} for tier in told]
    found["readers_confined"] = {"in_force": why_not() is None, "why_not": why_not()}
    return {**found, "home": _home(home), "scratch": _scratch(home), **_system()}


def _memory(budget: Budget, groups: Sequence[Group]) -> dict[str, Any]:
    figures, room = budget.snapshot(), budget.room
    return {
        "limit_bytes": figures.limit.bytes,
        "limit_source": figures.limit.source,
        "groups": [
            {"name": group.name, "version": group.version, "limit_bytes": group.limit(), "used_bytes": group.used()}
            for group in groups
        ],
        "budget": {
            "bytes": figures.budget,
            "room_bytes": room.bytes,
            "bound_by": room.bound_by,
            "others_bytes": room.others_bytes,
            "own_bytes": figures.own,
            "headroom_bytes": budget.headroom,
        },
        "cores": figures.cores,
    }


def _home(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"path": str(home), "exists": home.is_dir(), "error": None, "held_by": None}
    found["reserve_bytes"] = Reserve(home).size() if (home / database.FILE).exists() else None
    if not home.is_dir():
        found["error"] = None if os.access(_existing(home), os.W_OK) else f"{_existing(home)} can't be written"
        return found
    try:
        HomeLock(home).release()
    except HomeHeld as error:
        found["held_by"] = error.facts["pid"]
    except NarrowboatError as error:
        found["error"] = error.message
    return found


def _scratch(home: Path) -> dict[str, Any]:
    existing = _existing(home)
    return {
        "path": str(home / "scratch"),
        "file_system": file_system(existing),
        "in_memory": in_memory(existing),
        "free_bytes": free_bytes(existing),
        "floor_bytes": floor_bytes(existing),
    }


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _system() -> dict[str, Any]:
    swap = 0
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("SwapTotal:"):
                swap = int(line.split()[1]) << 10
    return {"swap_bytes": swap, "pressure_stall_information": Path("/proc/pressure/memory").exists()}
