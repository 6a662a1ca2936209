"""``narrowboat show``: everything about one job.

Covers: state, reason, options, attempts, outputs, history. Reads only.
Does not cover: lists (``jobs``).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.output import Output, duration, table
from narrowboat.errors import from_json
from narrowboat.runner.reading import Reader
from narrowboat.shown import sent_as
from narrowboat.sizes import format_size


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("id", metavar="ID", help="of a job; the beginning of it is enough when only one begins so")


def run(values: argparse.Namespace, out: Output) -> int:
    """Show one job."""
    job = asyncio.run(_read(values.home, values.id))
    out.data({"version": 1, **job})
    if not out.json:
        for line in _lines(job, values.home):
            out.line(line)
    return 0


async def _read(home: Path, job_id: str) -> dict[str, Any]:
    async with Reader(home) as reader:
        return await reader.all(await reader.journal.job(job_id))


def _lines(job: dict[str, Any], home: Path) -> Iterator[str]:
    yield f"{job['id']}  {job['pipeline']}  {sent_as(job['source'], home)}"
    if job["label"]:
        yield f"label    {job['label']}"
    yield f"state    {job['state']}{_live(job['live'])}"
    if job["reason"]:
        error = from_json(job["reason"])
        yield f"reason   {error.message}"
        if error.hint:
            yield f"hint     {error.hint}"
    yield "options  " + ", ".join(f"{name}: {value}" for name, value in job["options"].items() if value is not None)
    yield f"items    {job['items']} kept" + (f", {job['items_resumed']} resumed" if job["items_resumed"] else "")
    times = [f"{name} {_clock(job[name])}" for name in ("created", "started", "ended") if job[name]]
    yield "times    " + ", ".join(times)
    for output in job["outputs"]:
        size = format_size(output["bytes"]) if output["written"] else "not written yet"
        yield f"output   {output['path']} ({size})"
    yield from _attempts(job["attempts_made"])
    if job["history"]:
        yield "history"
        for entry in job["history"]:
            yield f"  {_clock(entry['at'])}  {entry['message']}"


def _live(live: dict[str, Any] | None) -> str:
    if live is None:
        return ""
    percent = f" {100 * live['fraction']:.0f} %" if live["fraction"] is not None else ""
    waits = " waiting for room," if live["waiting"] else ""
    memory = f"{format_size(live['used_bytes'])} of {format_size(live['reserved_bytes'])} reserved"
    return f":{waits} {live['stage']}{percent}, {memory}"


def _attempts(attempts: list[dict[str, Any]]) -> Iterator[str]:
    if not attempts:
        return
    yield "attempts"
    rows = [("  no", "step", "outcome", "reserved", "peak", "time", "items")]
    for number, attempt in enumerate(attempts, 1):
        rows.append(
            (
                f"  {number}",
                attempt["step"],
                attempt["outcome"] or "running",
                format_size(attempt["reserved_bytes"]),
                format_size(attempt["peak_bytes"]) if attempt["peak_bytes"] else "",
                duration(attempt["seconds"]) if attempt["seconds"] is not None else "",
                str(attempt["items"]) if attempt["items"] else "",
            )
        )
    yield from table(rows)


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


COMMAND = Command(
    "show",
    "show one job",
    "Shows a job: its state and why, options, attempts with the memory they held and used, outputs, history.",
    """\
narrowboat show j0007
narrowboat show j7 --json
""",
    run,
    arguments=arguments,
)
