"""``narrowboat retry``: run jobs again that failed, were cancelled or were interrupted.

Covers: handing them to the supervisor of the home when there is one, else running them here.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.display import Display
from narrowboat.cli.output import Output
from narrowboat.cli.session import run_jobs
from narrowboat.errors import from_json
from narrowboat.runner.asking import ask
from narrowboat.runner.runner import Runner


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="of a job; the beginning of it is enough")


def run(values: argparse.Namespace, out: Output) -> int:
    """Retry them; the exit code is that of a run, or 0 when another supervisor took them."""
    code, answer = _retry(values, out)
    out.data(answer)
    return code


def _retry(values: argparse.Namespace, out: Output) -> tuple[int, dict[str, Any]]:
    taken: list[dict[str, Any]] = []
    for job_id in values.ids:
        answer = ask(values.home, {"op": "retry", "id": job_id})
        if answer is None:
            return asyncio.run(run_jobs(values, out, _here(values.ids[len(taken) :])))
        taken.append(answer)
        reason = f": {from_json(answer['reason'])}" if answer["state"] == "failed" and answer["reason"] else ""
        out.line(f"{answer['id']} is {answer['state']}{reason}, with the supervisor that is at work")
    return int(any(answer["state"] == "failed" for answer in taken)), {"version": 1, "taken": taken}


def _here(ids: list[str]) -> Any:
    async def submit(runner: Runner, display: Display) -> None:
        rows = [await runner.journal.job(job_id) for job_id in ids]  # a wrong id before anything starts
        for row in rows:
            await runner.retry(row.id)

    return submit


COMMAND = Command(
    "retry",
    "run jobs again that failed or were stopped",
    "Runs jobs again that failed, were cancelled or were interrupted. Segments that were finished are kept. While"
    "\nanother terminal runs jobs in the same home, they are handed over to it.",
    """\
narrowboat retry j0007
narrowboat retry j0007 j0009 --memory 2G
""",
    run,
    arguments=arguments,
)
