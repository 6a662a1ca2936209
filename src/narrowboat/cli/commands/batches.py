"""``narrowboat batches``: the jobs of each label, counted.

Covers: the table and the JSON object. Reads only: it works beside a run.
Does not cover: the jobs themselves (``jobs --label``), running or cancelling them (``retry``, ``cancel``).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.output import Output, duration, one_line, table
from narrowboat.cli.progress import counted
from narrowboat.runner.listing import batches


def run(values: argparse.Namespace, out: Output) -> int:
    """List the batches, the newest first."""
    found = batches(values.home)
    out.data({"version": 1, "home": str(values.home), "batches": found})
    if out.json:
        return 0
    if not found:
        out.line(f"no batches in {values.home}: `narrowboat transcribe --label TEXT` makes one")
        return 0
    for line in table([("label", "progress", "jobs", "begun", "last"), *map(_row, found)]):
        out.line(line)
    return 0


def _row(batch: dict[str, Any]) -> tuple[str, ...]:
    waiting = f" · {batch['counts']['queued']} queued" if batch["counts"]["queued"] else ""
    return (
        one_line(batch["label"], 40),
        f"{100 * batch['progress']:.0f} %",
        counted(batch["counts"]) + waiting,
        _ago(batch["first"]),
        _ago(batch["last"]),
    )


def _ago(at: float) -> str:
    return f"{duration(max(0.0, time.time() - at))} ago"


COMMAND = Command(
    "batches",
    "list batches: the jobs of a label, counted",
    "Lists the labels of the home, the newest first: how many jobs each has, how they stand, how far they are."
    "\nWorks while another terminal runs jobs there. A job has one label, the last that it was submitted with.",
    """\
narrowboat batches
narrowboat batches --json | jq '.batches[] | select(.counts.failed > 0) | .label'
narrowboat retry --failed --label june
""",
    run,
)
