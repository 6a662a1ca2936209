"""``narrowboat sources``: those that could not be fetched lately, and forgetting them.

Covers: the table, the JSON object, telling the supervisor of the home to forget, or the journal when there is none.
Does not cover: which sources are left alone, and for how long (``runner/resting``).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, text
from narrowboat.cli.output import Output, duration, one_line, table
from narrowboat.runner.asking import ask
from narrowboat.runner.failed_sources import failed_sources


def run(values: argparse.Namespace, out: Output) -> int:
    """List them, the newest failure first, or forget some."""
    if values.forget is not None:
        return _forget(values, out)
    found = failed_sources(values.home)
    out.data({"version": 1, "home": str(values.home), "sources": found})
    if out.json:
        return 0
    if not found:
        out.line(f"no source of {values.home} has failed in the last 7 days")
        return 0
    for line in table([("id", "failed", "last", "is", "source", ""), *map(_row, found)]):
        out.line(line)
    return 0


def _row(source: dict[str, Any]) -> tuple[str, ...]:
    now = time.time()
    left = f"left alone for {duration(source['until'] - now)}" if source["resting"] else "tried with the next job"
    return (
        source["id"],
        f"{source['failures']} ×",
        f"{duration(max(0.0, now - source['last']))} ago",
        left,
        one_line(source["source"], 60),
        one_line(source["error"]["message"].removeprefix(source["source"]), 80),
    )


def _forget(values: argparse.Namespace, out: Output) -> int:
    answer = ask(values.home, {"op": "forget_sources", "which": values.forget})
    forgotten = _here(values) if answer is None else answer["forgotten"]
    for shown in forgotten:
        out.line(f"forgot that {shown} failed")
    if not forgotten:
        out.line("nothing to forget" if values.forget == "all" else "no such source has failed: `narrowboat sources`")
    out.data({"version": 1, "forgotten": forgotten})
    return 0


def _here(values: argparse.Namespace) -> list[str]:
    import asyncio  # a list can do without

    from narrowboat.runner.upkeep import forget_sources

    return asyncio.run(forget_sources(values.home, values.forget))


COMMAND = Command(
    "sources",
    "list sources that failed, or forget them",
    "Lists the sources that could not be fetched lately. One that is not there (404, 410), that is too large, or that"
    "\nfailed three times in a row is left alone for a day: a job of it fails at once, without asking. --again and"
    "\n`narrowboat retry` ask all the same. A success forgets what failed, and so do seven days. Works while"
    "\nanother terminal runs jobs.",
    """\
narrowboat sources
narrowboat sources --forget https://example.org/episode.mp3
narrowboat sources --forget 3fa9c1d2
narrowboat sources --json | jq -r '.sources[] | select(.resting) | .source'
""",
    run,
    (
        Option(
            "--forget",
            "forget what failed of this one: its address, the id that is listed, or all",
            text,
            "ADDRESS",
            scope="sources",
        ),
    ),
)
