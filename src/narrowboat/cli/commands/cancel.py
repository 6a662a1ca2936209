"""``narrowboat cancel``: cancel jobs that wait or run.

Covers: telling the supervisor of the home, or the journal when there is none.
Does not cover: stopping workers (``runner/``).
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.output import Output
from narrowboat.runner.asking import ask
from narrowboat.runner.upkeep import cancel


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="of a job; the beginning of it is enough")


def run(values: argparse.Namespace, out: Output) -> int:
    """Cancel them; an id that is wrong raises."""
    cancelled: list[dict[str, Any]] = []
    for job_id in values.ids:
        answer = ask(values.home, {"op": "cancel", "id": job_id})
        if answer is None:
            row = asyncio.run(cancel(values.home, job_id))
            answer = {"id": row.id, "state": row.state, "reason": row.reason}
        cancelled.append(answer)
        out.line(f"{answer['id']} is {answer['state']}")
    out.data({"version": 1, "cancelled": cancelled})
    return 0


COMMAND = Command(
    "cancel",
    "cancel jobs that wait or run",
    "Cancels jobs: one that runs in another terminal is stopped there, its scratch files go. `narrowboat retry`"
    "\nruns it again, with the segments that it had.",
    "narrowboat cancel j0007",
    run,
    arguments=arguments,
)
