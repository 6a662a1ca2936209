"""The run report: what a run did and what it used, as JSON.

Covers: building it (version 1, described in docs/report.md) and writing it in one go.
Does not cover: showing it to people (``cli/``).
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narrowboat.errors import OutputError
from narrowboat.memory.cgroups import own_groups
from narrowboat.workers.tiers import Tier, tiers

if TYPE_CHECKING:
    from narrowboat.runner.entries import Entry
    from narrowboat.runner.runner import Runner

VERSION = 1


def enforcement(runner: Runner) -> list[Tier]:
    """The means of the guard, strongest first, and which are in force."""
    return tiers(runner.guard.means, own_groups())


async def report(runner: Runner) -> dict[str, Any]:
    """The report of a run so far; the runner must still be open. Sizes in bytes, times in seconds."""
    runner.guard.poll()  # a run that ended between two polls has figures too
    groups = own_groups()
    return {
        "version": VERSION,
        "limit_bytes": runner.budget.limit.bytes,
        "limit_source": runner.budget.limit.source,
        "budget_bytes": runner.budget.bytes,
        "enforcement": [tier.name for tier in enforcement(runner) if tier.in_force],
        "oom_group": any(group.kills_all() for group in groups),
        "pressure": [event.to_json() for event in runner.guard.relief.pressure.events],
        "wall_s": round(time.monotonic() - runner.started, 3),
        "supervisor_peak_bytes": runner.guard.supervisor_peak_resident,
        "peak_used_bytes": runner.guard.peak_used,
        "peak_reserved_bytes": runner.budget.peak_reserved,
        "counts": runner.status().counts,
        "jobs": [await _job(runner, entry) for entry in runner.entries],
    }


async def _job(runner: Runner, entry: Entry) -> dict[str, Any]:
    row = await runner.journal.job(entry.id)
    attempts = await runner.journal.attempts(entry.id)
    return {
        "id": row.id,
        "pipeline": row.pipeline,
        "source": row.source,
        "label": row.label,
        "state": entry.state,
        "reason": None if entry.error is None or entry.state == "queued" else entry.error.to_json(),
        "attempts": row.attempts,
        "overruns": row.overruns,
        "items": row.items,
        "items_resumed": row.items_resumed,
        "peak_used_bytes": max([entry.peak_used, *(attempt.peak_bytes or 0 for attempt in attempts)]),
        "seconds": round(entry.seconds, 3),
        "outputs": [
            str(output.path)
            for output in await runner.journal.outputs(entry.id)
            if output.written and output.path.exists()
        ],
    }


def write_report(made: dict[str, Any], path: Path) -> None:
    """Write a report.

    Raises:
        OutputError: it can't be written.
    """
    write_whole(json.dumps(made, indent=2) + "\n", path, "report")


def write_whole(text: str, path: Path, what: str) -> None:
    """Write a file: beside, and then renamed.

    Raises:
        OutputError: it can't be written.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, "utf-8", errors="replace")
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"the {what} {path} can't be written: {error.strerror or error}", path=str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
