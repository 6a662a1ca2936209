"""``narrowboat watch``: new episodes of feeds, transcribed as they come.

Covers: the options, and the lines that say what is found, what fails, what is deleted and when the next look is.
Does not cover: watching (``runner/watching``), signals and the end (``session``).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from narrowboat import extras
from narrowboat.cli.command import Command
from narrowboat.cli.commands import transcribe
from narrowboat.cli.display import Display
from narrowboat.cli.options import Option, count, matching, moment, seconds
from narrowboat.cli.output import Output, duration, near
from narrowboat.cli.session import check_out, run_jobs
from narrowboat.cli.submitting import whole
from narrowboat.errors import UsageError
from narrowboat.pipelines.transcribe.workflow import PIPELINE
from narrowboat.runner.rounds import Looked, Plan
from narrowboat.runner.runner import Runner
from narrowboat.runner.watching import Teller, Watched, Watching

_DAY_S = 86400.0
#: Seconds between two looks at a feed, at least: more often is of no use to anybody.
_SOONEST_S = 60.0
#: Names of files that are told in a line.
_NAMES = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("feeds", nargs="+", metavar="FEED", help="http(s) address of a feed (RSS, Atom), or a file")


def run(values: argparse.Namespace, out: Output) -> int:
    """Watch until a signal comes; with ``--once`` until what is new is done."""
    transcribe.check_speech(values.model)
    extras.require("feeds", "watching feeds needs")
    values.out = values.out or values.home / "outputs"
    plan = _plan(values)
    check_out(values.out)
    watchings: list[Watching] = []

    async def submit(runner: Runner, display: Display) -> None:
        feeds = [whole(feed) for feed in values.feeds]
        watchings.append(Watching(runner, feeds, plan, values.every, _teller(display)))
        try:
            await watchings[0].run(once=values.once)
        except asyncio.CancelledError:
            if not runner.stopping:
                raise  # else to be stopped is how watching ends: what was cut off is told by the jobs

    code, report = asyncio.run(run_jobs(values, out, submit, preload=PIPELINE.modules({"model": values.model})))
    feeds = watchings[0].feeds if watchings else []
    out.data({**report, "feeds": [_json(feed) for feed in feeds]})
    return code or int(values.once and any(feed.error is not None for feed in feeds))


def _plan(values: argparse.Namespace) -> Plan:
    return Plan(
        PIPELINE,
        transcribe.job_options(values),
        values.out,
        tuple(transcribe.formats_of(values)),
        label=values.label,
        latest=min(values.latest or values.keep or 1, values.keep or 10**9),
        keep=values.keep,
        since=values.since,
        match=values.match,
    )


# -- words ----------------------------------------------------------------------------------------------------------


def _teller(display: Display) -> Teller:
    return Teller(
        resumed=lambda jobs: display.note(f"{jobs} {'jobs go' if jobs > 1 else 'job goes'} on that had not ended"),
        looked=lambda feed, found: display.note(f"{feed.title}: {found_in(found)}"),
        failed=lambda feed, wait_s: display.note(f"✗ {feed.title}: {feed.error}; next try in {duration(wait_s)}"),
        deleted=lambda feed, paths: display.note(f"{feed.title}: deleted {_names(paths)}; newer ones are kept"),
        waits=lambda until: display.note(f"next look {when(until, time.time())}"),
    )


def found_in(found: Looked) -> str:
    """What a look has found, in words."""
    if found.first and found.episodes == 0:
        told = "it has nothing to listen to yet"
    elif found.first:
        told = f"{found.episodes} episode{'s' * (found.episodes != 1)}, the newest {found.new} taken"
    else:
        told = f"{found.new} new" if found.new else "nothing new"
    again = f", {found.again} tried again" if found.again else ""
    return told + again + (f"; {found.warning}" if found.warning else "")


def when(until: float, now: float) -> str:
    """``at 14:05, in 2 h 0 min``, with the day when it is another one."""
    there, here = time.localtime(until), time.localtime(now)
    clock = time.strftime("%H:%M" if there[:3] == here[:3] else "%Y-%m-%d %H:%M", there)
    return f"at {clock}, in {duration(max(0.0, until - now))}"


def _names(paths: list[Any]) -> str:
    told = ", ".join(near(path) for path in paths[:_NAMES])
    return told if len(paths) <= _NAMES else f"{told} and {len(paths) - _NAMES} more"


def _json(feed: Watched) -> dict[str, Any]:
    return {
        "feed": feed.place.shown,
        "title": feed.title,
        "new": feed.new,
        "failures": feed.failures,
        "error": None if feed.error is None else feed.error.to_json(),
        "due": feed.due,
    }


def _every(text: str) -> float:
    found = seconds(text)
    if found < _SOONEST_S:
        raise UsageError(f"{text!r} is less than a minute", hint="feeds change every day or hour, not every second")
    return found


COMMAND = Command(
    "watch",
    "transcribe new episodes of feeds as they come",
    "Looks at feeds again and again, and transcribes what is new: at the first look the newest episode (or --latest),"
    "\nafter that each that has come since. Goes on when a feed or an episode fails, until Ctrl-C or SIGTERM. What was"
    "\ninterrupted goes on with the next start. With --once it looks once and ends when all is done: for cron.",
    """\
narrowboat watch https://example.org/feed.xml
narrowboat watch https://example.org/feed.xml https://example.org/news.rss --every 1h --keep 30 --out transcripts
narrowboat watch https://example.org/feed.xml --once --quiet
""",
    run,
    (
        Option("--every", "look at each feed so often (default: 24h)", _every, "TIME", _DAY_S, scope="watch"),
        Option(
            "--keep",
            "keep the outputs of each feed's newest N episodes: deletes older ones that it wrote itself (default: all)",
            count,
            "N",
            scope="watch",
        ),
        Option(
            "--latest", "episodes to take at the first look at a feed (default: as many as --keep, else 1)", count, "N"
        ),
        Option("--since", "only episodes since a date (2026-11-01), or not older than so long (7d)", moment, "DATE"),
        Option("--match", "only episodes with this in their title; /…/ is a regular expression", matching, "TEXT"),
        Option("--once", "look once, do what is new, and end", scope="watch"),
        *transcribe.HOW,
        transcribe.LABEL,
    ),
    arguments,
    runs=True,
)
