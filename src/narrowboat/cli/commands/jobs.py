"""``narrowboat jobs``: what the home knows of its jobs.

Covers: which jobs, newest first. Reads only: it works beside a run.
Does not cover: one job's details (``show``).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, count, one_of, text
from narrowboat.cli.output import Output, duration, one_line, table
from narrowboat.runner.listing import ENDED, STATES, listing
from narrowboat.shown import sent_as

_SHOWN = 20


def run(values: argparse.Namespace, out: Output) -> int:
    """List the jobs, newest first."""
    limit = None if values.all else values.limit
    listed = listing(values.home, values.state, limit, values.label)
    out.data({"version": 1, "home": str(values.home), **listed})
    if out.json:
        return 0
    found = listed["jobs"]
    if not found:
        states = f" that are {' or '.join(values.state)}" if values.state else ""
        out.line(f"no jobs in {values.home}" + (f" with the label {values.label!r}" if values.label else "") + states)
        return 0
    rows = [("id", "state", "when", "source", "label" if any(job["label"] for job in found) else "", "")]
    for line in table([*rows, *(_row(job, values.home) for job in found)]):
        out.line(line)
    if listed["total"] > len(found):
        out.line(f"… and {listed['total'] - len(found)} older: --limit N or --all shows them")
    return 0


def _row(job: dict[str, Any], home: Path) -> tuple[str, ...]:
    state = job["state"]
    if job["live"] is not None and job["live"]["fraction"] is not None:
        state += f" {100 * job['live']['fraction']:.0f} %"
    at = job["ended"] if job["state"] in ENDED else job["created"]
    when = f"{duration(max(0.0, time.time() - at))} ago" if at else ""
    why = job["reason"]["message"] if job["reason"] and job["state"] == "failed" else ""
    source, label = one_line(sent_as(job["source"], home), 42), one_line(job["label"] or "", 20)
    return job["id"], state, when, source, label, one_line(why, 80)


COMMAND = Command(
    "jobs",
    "list jobs",
    "Lists the jobs of the home, newest first. Works while another terminal runs jobs there.",
    """\
narrowboat jobs
narrowboat jobs --state failed,queued --all
narrowboat jobs --label june --state failed
narrowboat jobs --json | jq -r '.jobs[].id'
""",
    run,
    (
        Option("--state", f"only those that are: {', '.join(STATES)}", one_of(*STATES), "LIST", scope="jobs"),
        Option("--label", "only those with this label", text, "TEXT", scope="jobs"),
        Option("--limit", f"how many at most (default: {_SHOWN})", count, "N", _SHOWN, scope="jobs"),
        Option("--all", "all of them", scope="jobs"),
    ),
)
