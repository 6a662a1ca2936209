"""``narrowboat cancel``: cancel jobs that wait or run.

Covers: telling the supervisor of the home, or the journal when there is none.
Does not cover: stopping workers (``runner/``).
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, text
from narrowboat.cli.output import Output
from narrowboat.errors import UsageError
from narrowboat.runner.asking import ask
from narrowboat.runner.listing import ids_in
from narrowboat.runner.upkeep import cancel, cancel_label


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="of a job; the beginning of it is enough")


def run(values: argparse.Namespace, out: Output) -> int:
    """Cancel them; an id that is wrong raises."""
    if bool(values.ids) == bool(values.label):
        raise UsageError("cancel takes ids of jobs, or --label", hint="`narrowboat jobs` lists them")
    cancelled = [_one(values, job_id) for job_id in values.ids] if values.ids else _batch(values)
    for answer in cancelled:
        out.line(f"{answer['id']} is {answer['state']}")
    if not cancelled:
        out.line(f"no job with the label {values.label!r} waits or runs")
    out.data({"version": 1, "cancelled": cancelled})
    return 0


def _one(values: argparse.Namespace, job_id: str) -> dict[str, Any]:
    answer = ask(values.home, {"op": "cancel", "id": job_id})
    return _json(asyncio.run(cancel(values.home, job_id))) if answer is None else answer


def _batch(values: argparse.Namespace) -> list[dict[str, Any]]:
    """Those that wait before those that run, or others would start in the place of what was stopped."""
    waiting, running = (ids_in(values.home, (state,), values.label) for state in ("queued", "running"))
    cancelled: list[dict[str, Any]] = []
    for job_id in [*waiting, *running]:
        try:
            answer = ask(values.home, {"op": "cancel", "id": job_id})
        except UsageError:  # it has ended meanwhile
            continue
        if answer is None:
            return cancelled + [_json(row) for row in asyncio.run(cancel_label(values.home, values.label))]
        cancelled.append(answer)
    return cancelled


def _json(row: Any) -> dict[str, Any]:
    return {"id": row.id, "state": row.state, "reason": row.reason}


COMMAND = Command(
    "cancel",
    "cancel jobs that wait or run",
    "Cancels jobs: one that runs in another terminal is stopped there, its scratch files go. `narrowboat retry`"
    "\nruns it again, with what it had finished. With --label, all jobs of a batch that have not ended.",
    """\
narrowboat cancel j0007
narrowboat cancel --label june
""",
    run,
    (Option("--label", "all jobs with this label that wait or run", text, "TEXT", scope="cancel"),),
    arguments,
)
