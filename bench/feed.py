"""A feed of fifty episodes, five of which fail, each in its own way: done once, told once, killed on the way.

    python bench/feed.py --json figures.json                        # 50 episodes, 10 kills: some minutes
    python bench/feed.py --episodes 11 --kills 2 --longest 3        # a minute

Covers: ``narrowboat transcribe FEED`` undisturbed, the same command again and again, and in a new home killed and
started again until enough kills are done; what must hold then. The exit code is 0 only when all of it does.
Does not cover: the podcast (``feed_site``), killing (``kills_batch``), how it is proved (``kills_proof``).
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import kills_proof
import options
from facts import machine
from feed_site import BAD, MAY_CHANGE, Site, make_sounds, serving
from figures import Figure, table
from kills import Bench, files, tail
from kills_batch import FORMATS, Disturbed, Place

_CAP = "4M"  # of a download: much more than an episode has
_SHOWN = 20
#: Runs after which what goes on failing is left alone, whatever it is.
_RUNS = 4


@dataclass
class Found:
    """What came of it. ``wrong``: what does not hold, in words."""

    undisturbed_s: float = 0.0
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, int]] = field(default_factory=list)
    kills: list[dict[str, Any]] = field(default_factory=list)
    killed_s: float = 0.0
    repeated: int = 0
    differ: int = 0
    left: int = 0
    wrong: list[str] = field(default_factory=list)


def undisturbed(place: Place, site: Site, found: Found) -> dict[str, bytes]:
    """The first run and the runs after it; the outputs as they should be."""
    found.undisturbed_s = _run(place, 0, found)
    found.wrong += judge(place, site, found)
    wanted = files(place.out)
    site.take_asked()
    for number in range(1, _RUNS):
        _run(place, number, found)
        asked = {name for _, name in site.asked} - {"feed.xml"}
        found.asked.append({name: count for (method, name), count in site.take_asked().items() if method == "GET"})
        may_be = MAY_CHANGE if number < _RUNS - 1 else set()  # three failures in a row, and it is left alone
        found.wrong += [f"run {number + 1} asked for {name}" for name in sorted(asked - may_be)]
        if number == 1:
            found.wrong += [f"run 2 did not ask for {name}" for name in sorted(MAY_CHANGE - asked)]
    if files(place.out) != wanted:
        found.wrong.append("outputs are others after the same command again")
    return wanted


def _run(place: Place, number: int, found: Found) -> float:
    began = time.monotonic()
    rc = place.start(number).wait()
    if rc != 1:
        found.wrong.append(f"run {number + 1} ended with {rc}: {tail(place.log)}")
    return time.monotonic() - began


def disturbed(place: Place, site: Site, found: Found, given: argparse.Namespace, wanted: dict[str, bytes]) -> None:
    """In a new home, with kills."""
    began = time.monotonic()
    patience = 60 + 10 * found.undisturbed_s
    run = Disturbed(place, random.Random(given.seed), (0.2, given.wait), given.kills, patience)
    run.run()
    found.killed_s = time.monotonic() - began
    found.kills = [asdict(kill) for kill in run.done]
    if run.rc != 1:
        found.wrong.append(f"killed, it ended with {run.rc}: {tail(place.log)}")
    found.wrong += judge(place, site, found)
    computed = kills_proof.computed(place.witness, place.home)
    repeated, now = run.committed.repeated(computed), files(place.out)
    differ = sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))
    left = [*place.used(), *place.processes(), *place.groups()]
    found.repeated, found.differ, found.left = len(repeated), len(differ), len(left)
    found.wrong += run.committed.wrong + kills_proof.broken_chains(place.home)
    found.wrong += [f"computed again: {what}" for what in repeated]
    found.wrong += [f"output {name} is another, or is missing" for name in differ]
    found.wrong += [f"left: {what}" for what in left]
    if not computed:
        found.wrong.append("the workers wrote nothing down of what they computed: nothing is proved")


def judge(place: Place, site: Site, found: Found) -> list[str]:
    """Which episodes are done and which failed, and why; what does not hold of that."""
    try:
        with kills_proof.reading(place.home) as db:
            rows = db.execute("SELECT source, state, reason FROM jobs").fetchall()
    except sqlite3.Error as error:
        return [f"the journal can't be read: {error}"]
    ends = {source.removesuffix(" · Bench"): (state, json.loads(reason or "null")) for source, state, reason in rows}
    wrong = [f"{name} is no job" for name in site.names if name not in ends]
    wrong += [f"{name} is a job" for name in ends if name not in site.names]
    found.failed = {name: ends[name][1]["message"] for name in ends if ends[name][0] == "failed"}
    found.done = sum(state == "done" for state, _ in ends.values())
    for name, (state, reason) in ends.items():
        if (name in BAD) != (state == "failed") or state not in ("done", "failed"):
            wrong.append(f"{name} is {state}: {reason}")
        elif name in BAD and BAD[name] not in reason["message"]:
            wrong.append(f"{name} failed for another reason: {reason['message']}")
    names = {f"{name}.{ending}" for name in site.names if name not in BAD for ending in FORMATS}
    there = {path.name for path in place.out.iterdir()} if place.out.is_dir() else set()
    return wrong + [f"output {name} is {'missing' if name in names else 'there'}" for name in sorted(names ^ there)]


def figures(found: Found, given: argparse.Namespace) -> list[Figure]:
    """The table."""
    second, last = found.asked[0], found.asked[-1]
    good = given.episodes - len(BAD)
    asked = {"feed.xml"} | MAY_CHANGE
    return [
        Figure("episodes", given.episodes, ""),
        Figure("undisturbed", found.undisturbed_s, "s"),
        Figure("done, killed on the way", found.done, "", str(good), found.done == good),
        Figure("failed, each for its own reason", len(found.failed), "", str(len(BAD)), len(found.failed) == len(BAD)),
        _zero("others asked for by the second run", sum(n for name, n in second.items() if name not in asked)),
        _zero(f"asked for by run {_RUNS}", sum(n for name, n in last.items() if name != "feed.xml")),
        Figure("kills", len(found.kills), "", str(given.kills), len(found.kills) == given.kills),
        Figure("with kills", found.killed_s, "s"),
        _zero("committed items computed again", found.repeated),
        _zero("outputs that are others than undisturbed", found.differ),
        _zero("files, processes, cgroups left", found.left),
    ]


def _zero(name: str, value: float) -> Figure:
    return Figure(name, value, "", "0", value == 0)


def run(given: argparse.Namespace, work: Path) -> Found:
    """All of it.

    Raises:
        SystemExit: the model can't be had.
    """
    pull = [sys.executable, "-m", "narrowboat", "models", "pull", given.model, "--home", f"{work}/pull", "--quiet"]
    if subprocess.run(pull, check=False).returncode:
        sys.exit(f"the model {given.model} can't be had")
    found = Found()
    with serving(make_sounds(work, given.episodes - len(BAD), given.longest)) as site:
        bench = Bench(given, work, [f"{site.address}/feed.xml?key=secret", "--max-download", _CAP])
        with bench.place("undisturbed") as place:
            wanted = undisturbed(place, site, found)
        print(f"... undisturbed {found.undisturbed_s:.0f} s; seed {given.seed}", file=sys.stderr, flush=True)
        with bench.place("killed") as place:
            disturbed(place, site, found, given, wanted)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=50, help="of them five fail (default: %(default)s)")
    parser.add_argument(
        "--longest", type=float, default=9, help="seconds of the longest episode (default: %(default)s)"
    )
    parser.add_argument("--kills", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--wait", type=float, default=3, help="seconds between two at most (default: %(default)s)")
    options.add(parser, "--seed", "--model", "--memory", "--guard", "--json", "--keep")
    given = parser.parse_args()
    facts = machine("av", "ctranslate2", "feedparser")
    with options.folder(given.keep, "feed") as work:
        found = run(given, work)
    print(f"{facts['cores']} cores of {facts['cpu']}, Python {facts['python']}, kernel {facts['kernel']}")
    made = figures(found, given)
    print(table(made))
    for name, message in sorted(found.failed.items()):
        print(f"{name:10} {message}")
    print("killed    " + ", ".join(f"{who} {n}" for who, n in Counter(k["victim"] for k in found.kills).items()))
    print(f"{len(found.wrong)} violations")
    for violation in found.wrong[:_SHOWN]:
        print(f"- {violation}")
    ok = not found.wrong and all(figure.holds is not False for figure in made)
    if given.json:
        settings = {name: str(value) for name, value in vars(given).items()}
        report = {"machine": facts, "settings": settings, "ok": ok, "figures": [asdict(figure) for figure in made]}
        report |= asdict(found)
        given.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
