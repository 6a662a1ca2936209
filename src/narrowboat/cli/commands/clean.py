"""``narrowboat clean``: forget jobs that have ended, and remove scratch that nobody owns.

Covers: which jobs are meant, and what is said.
Does not cover: deleting (``runner/upkeep``). Outputs are never touched.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import asdict

from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, seconds
from narrowboat.cli.output import Output
from narrowboat.runner.reading import ENDED
from narrowboat.runner.upkeep import clean, forget_sources
from narrowboat.sizes import format_size

_WEEK_S = 7 * 86400.0


def run(values: argparse.Namespace, out: Output) -> int:
    """Clean up and say what went."""
    older = None if values.all else values.older
    states = ("failed", "cancelled") if values.failed else ENDED
    done = asyncio.run(clean(values.home, older_s=older, states=states, dry=values.dry_run))
    forgotten = asyncio.run(forget_sources(values.home, "all")) if values.sources and not values.dry_run else []
    would = "would forget" if values.dry_run else "forgot"
    freed = "to free" if values.dry_run else "freed"
    out.line(
        f"{would} {len(done.jobs)} {_many('job', len(done.jobs))}, {done.scratch} stray scratch"
        f" {_many('folder', done.scratch)}; {format_size(done.freed_bytes)} {freed} (outputs are kept)"
    )
    if forgotten:
        out.line(f"forgot what failed of {len(forgotten)} {_many('source', len(forgotten))}")
    out.data({"version": 1, "dry_run": values.dry_run, **asdict(done), "sources": forgotten})
    return 0


def _many(word: str, number: int) -> str:
    return word if number == 1 else word + "s"


COMMAND = Command(
    "clean",
    "forget jobs that have ended, free their space",
    "Forgets jobs that ended long ago, and removes scratch files that belong to no job. Outputs are never touched."
    "\nA job that is forgotten is done anew when its source is submitted again.",
    """\
narrowboat clean
narrowboat clean --older 12h --failed
narrowboat clean --all --dry-run
""",
    run,
    (
        Option("--older", "only jobs that ended so long ago (default: 7d)", seconds, "TIME", _WEEK_S, scope="clean"),
        Option("--failed", "only jobs that failed or were cancelled", scope="clean"),
        Option("--all", "however long ago they ended", scope="clean"),
        Option("--sources", "forget which sources failed too: see `narrowboat sources`", scope="clean"),
        Option("--dry-run", "only say what would go", scope="clean"),
    ),
)
