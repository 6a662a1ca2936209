"""``narrowboat retry``: run jobs again that failed, were cancelled or were interrupted.

Covers: handing them to the supervisor of the home when there is one, else running them here.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.display import Display
from narrowboat.cli.options import Option, text
from narrowboat.cli.output import Output
from narrowboat.cli.session import run_jobs
from narrowboat.errors import UsageError, from_json
from narrowboat.runner.asking import ask
from narrowboat.runner.listing import ids_in
from narrowboat.runner.pipeline import find_pipeline
from narrowboat.runner.reading import Reader
from narrowboat.runner.runner import Runner


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="of a job; the beginning of it is enough")


def run(values: argparse.Namespace, out: Output) -> int:
    """Retry them; the exit code is that of a run, or 0 when another supervisor took them."""
    if bool(values.ids) == values.failed or (values.label and not values.failed):
        raise UsageError("retry takes ids of jobs, or --failed", hint="--failed --label TEXT is for those of one label")
    code, answer = _retry(values, out)
    out.data(answer)
    return code


def _retry(values: argparse.Namespace, out: Output) -> tuple[int, dict[str, Any]]:
    ids = ids_in(values.home, ("failed",), values.label) if values.failed else values.ids
    if not ids:
        out.line("no job has failed" + (f" with the label {values.label!r}" if values.label else ""))
        return 0, {"version": 1, "taken": []}
    taken: list[dict[str, Any]] = []
    for place, job_id in enumerate(ids):
        try:
            answer = ask(values.home, {"op": "retry", "id": job_id})
        except UsageError:
            if not values.failed:
                raise
            continue  # somebody else has had it run again meanwhile
        if answer is None:
            return asyncio.run(_run_here(values, out, ids[place:]))
        taken.append(answer)
        reason = f": {from_json(answer['reason'])}" if answer["state"] == "failed" and answer["reason"] else ""
        out.line(f"{answer['id']} is {answer['state']}{reason}, with the supervisor that is at work")
    return int(any(answer["state"] == "failed" for answer in taken)), {"version": 1, "taken": taken}


async def _run_here(values: argparse.Namespace, out: Output, ids: list[str]) -> tuple[int, dict[str, Any]]:
    async with Reader(values.home) as reader:
        rows = [await reader.journal.job(job_id) for job_id in ids]  # a wrong id before anything starts
    modules = {module for row in rows for module in find_pipeline(row.pipeline).modules(row.options)}

    async def submit(runner: Runner, display: Display) -> None:
        for row in rows:
            if not values.failed or (await runner.journal.job(row.id)).state == "failed":
                await runner.retry(row.id)

    return await run_jobs(values, out, submit, preload=sorted(modules))


COMMAND = Command(
    "retry",
    "run jobs again that failed or were stopped",
    "Runs jobs again that failed, were cancelled or were interrupted. What they had finished is kept. While"
    "\nanother terminal runs jobs in the same home, they are handed over to it. With --failed, all jobs that failed,"
    "\nand no others; with --label too, those of one batch.",
    """\
narrowboat retry j0007
narrowboat retry j0007 j0009 --memory 2G
narrowboat retry --failed --label june
""",
    run,
    (
        Option("--failed", "all jobs that failed, in the place of ids", scope="retry"),
        Option("--label", "with --failed: only those with this label", text, "TEXT", scope="retry"),
    ),
    arguments,
    runs=True,
)
