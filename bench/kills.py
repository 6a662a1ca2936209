"""Random ``kill -9`` over batches of real transcriptions: nothing lost, nothing computed again, nothing left.

    python bench/kills.py --json figures.json                  # 200 kills, about a quarter of an hour
    python bench/kills.py --kills 12 --files 2 --longest 40    # a minute

Covers: an undisturbed run of a batch, the same batch killed again and again until enough kills are done, and what must
hold afterwards; the exit code is 0 only when all of it does.
Does not cover: how it is killed (``kills_batch``), how it is proved (``kills_proof``), other ways to die (``soak``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import box
import kills_proof
import options
from facts import machine
from figures import Figure, table
from kills_batch import CLEAN_S, FORMATS, Disturbed, Place, end
from kills_sounds import make_sounds, served

_TAIL = 2000  # characters of the command's output that are shown when something is wrong
_SHOWN = 20


@dataclass
class Totals:
    """What came of all batches. ``wrong``: what does not hold, in words."""

    batches: int = 0
    kills: list[dict[str, Any]] = field(default_factory=list)
    jobs: int = 0
    jobs_done: int = 0
    outputs: int = 0
    outputs_differ: int = 0
    items: int = 0
    computed: int = 0
    repeated: int = 0
    journal_wrong: int = 0
    left_files: int = 0
    left_bytes: int = 0
    left_processes: int = 0
    left_groups: int = 0
    kernel_kills: int | None = None
    cleaned_s: dict[str, list[float]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark: its options, the sounds, and where it works."""

    given: argparse.Namespace
    work: Path
    sources: list[str]

    @contextlib.contextmanager
    def place(self, name: str) -> Iterator[Place]:
        """A new home in a box of its own; processes, box and files are gone afterwards."""
        given, group = self.given, None
        with contextlib.suppress(OSError, KeyError, StopIteration):
            group = box.Group(size(given.memory))
            if group.v2:  # a group with limits inside takes no process any more, so no second start
                group.remove()
                group = None
        arguments = [*self.sources, "--model", given.model, "--language", "en", "--memory", given.memory]
        arguments += ["--guard", given.guard] if given.guard else []
        place = Place(self.work / name, arguments, group, uuid.uuid4().hex)
        place.folder.mkdir()
        try:
            yield place
        finally:
            while pids := place.processes():
                end(pids)
                time.sleep(0.02)
            if group:
                box.clear(group)  # the last of them are on their way out still
                group.remove()
            if not given.keep:
                shutil.rmtree(place.folder)

    def undisturbed(self) -> tuple[dict[str, bytes], float]:
        """The outputs as they should be, and how many seconds that takes.

        Raises:
            SystemExit: it does not even work undisturbed; its output has been shown.
        """
        with self.place("undisturbed") as place:
            began = time.monotonic()
            rc = place.start(0).wait()
            outputs = files(place.out)
            if rc or len(outputs) != len(FORMATS) * len(self.sources):
                sys.exit(f"undisturbed, it ended with {rc} and {len(outputs)} outputs:\n{tail(place.log)}")
            return outputs, time.monotonic() - began

    def disturbed(self, totals: Totals, wanted: dict[str, bytes], undisturbed_s: float) -> None:
        """One batch with kills, and what came of it added to the totals."""
        patience_s = 60 + 10 * undisturbed_s
        wait_s = (0.2, max(6.0, 1.5 * undisturbed_s / len(self.sources)))  # longer where a job takes longer
        totals.batches += 1
        with self.place(f"batch-{totals.batches}") as place:
            seed = f"{self.given.seed} {totals.batches}"
            left = self.given.kills - len(totals.kills)
            run = Disturbed(place, random.Random(seed), self.given.wait or wait_s, left, patience_s)
            run.run()
            wrong = judge(totals, run, wanted, len(self.sources))
            if wrong:
                print("\n".join([*wrong, tail(place.log)]), file=sys.stderr, flush=True)
            totals.wrong += [f"batch {totals.batches}: {what}" for what in wrong]
            states = dict(Counter(kill.victim for kill in run.done))
            print(f"... batch {totals.batches}: {len(run.done)} kills {states}", file=sys.stderr, flush=True)


def judge(totals: Totals, run: Disturbed, wanted: dict[str, bytes], jobs: int) -> list[str]:
    """Add up one batch; what does not hold."""
    place, wrong = run.place, []
    totals.kills += [{"batch": totals.batches, **asdict(kill)} for kill in run.done]
    if run.rc != 0:
        wrong.append("it did not end" if run.rc is None else f"it ended with {run.rc} by itself")
    try:
        wrong += _judge_journal(totals, run, jobs)
    except (sqlite3.Error, ValueError) as error:
        wrong.append(f"its journal can't be read: {error}")
    found = files(place.out)
    differ = [name for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]
    wrong += [f"output {name} {'differs' if name in found else 'is missing'}" for name in differ]
    left = place.used()
    size_left = sum(path.lstat().st_size for path in left if not path.is_dir())
    wrong += [f"left: {path}, {path.lstat().st_size} bytes" for path in left]
    processes, groups = place.processes(), place.groups()
    wrong += [f"left: process {pid}" for pid in processes] + [f"left: cgroup {path}" for path in groups]
    for what, taken in run.cleaned_s.items():
        totals.cleaned_s.setdefault(what, []).extend(taken)
        wrong += [
            f"{seconds:.1f} s until a dead supervisor's {what} were gone" for seconds in taken if seconds > CLEAN_S
        ]
    totals.outputs += len(wanted)
    totals.outputs_differ += len(differ)
    totals.left_files += len(left)
    totals.left_bytes += size_left
    totals.left_processes += len(processes)
    totals.left_groups += len(groups)
    if place.group:
        totals.kernel_kills = (totals.kernel_kills or 0) + place.group.kernel_kills()
        wrong += [
            f"the kernel killed {count} outside workers' groups" for count in [place.group.kernel_kills()] if count
        ]
    return wrong


def _judge_journal(totals: Totals, run: Disturbed, jobs: int) -> list[str]:
    home = run.place.home
    states = kills_proof.ends(home)
    computed = kills_proof.computed(run.place.witness, home)
    repeated = run.committed.repeated(computed)
    journal = run.committed.wrong + kills_proof.broken_chains(home)
    different = {(one.job, one.value) for one in computed}
    totals.jobs += jobs
    totals.jobs_done += sum(state == "done" for state in states.values())
    totals.items += len(different)
    totals.computed += len(computed)
    totals.repeated += len(repeated)
    totals.journal_wrong += len(journal)
    totals.outcomes.update(kills_proof.outcomes(home))
    wrong = [f"job {job} ended {state}" for job, state in states.items() if state != "done"]
    if len(states) != jobs:
        wrong.append(f"{len(states)} jobs are known, {jobs} were given")
    if not computed:
        wrong.append("the workers wrote nothing down of what they computed: nothing is proved")
    return wrong + [f"computed again: {what}" for what in repeated] + journal


def figures(totals: Totals) -> list[Figure]:
    """The table."""
    made = [
        Figure("kills", len(totals.kills), ""),
        Figure("batches, each in a home of its own", totals.batches, ""),
        Figure("jobs given", totals.jobs, ""),
        _zero("jobs not done", totals.jobs - totals.jobs_done),
        Figure("items, all jobs", totals.items, ""),
        _zero("committed items computed again", totals.repeated),
        Figure("items in flight at a kill, computed again", totals.computed - totals.items, ""),
        _zero("items lost or changed, attempts out of order", totals.journal_wrong),
        _zero(f"of {totals.outputs} outputs, not as undisturbed", totals.outputs_differ),
        _zero("scratch, begun outputs, temporary files left", totals.left_files),
        _zero("bytes of these", totals.left_bytes),
        _zero("processes left", totals.left_processes),
        _zero("cgroups left", totals.left_groups),
    ]
    if totals.kernel_kills is not None:
        made.append(_zero("kernel kills outside workers' own groups", totals.kernel_kills))
    for what, seconds in totals.cleaned_s.items():
        if seconds:
            bound, slowest = f"≤ {CLEAN_S:g}", max(seconds)
            made.append(Figure(f"a dead supervisor's {what} gone, median", median(seconds), "s"))
            made.append(Figure(f"a dead supervisor's {what} gone, slowest", slowest, "s", bound, slowest <= CLEAN_S))
    return made


def _zero(name: str, value: float) -> Figure:
    return Figure(name, value, "", "0", value == 0)


def counts(totals: Totals) -> dict[str, dict[str, int]]:
    """What was killed, when, and during what."""
    return {
        "victim": dict(Counter(kill["victim"] for kill in totals.kills)),
        "moment": dict(Counter(kill["moment"] for kill in totals.kills)),
        "during": dict(Counter(what for kill in totals.kills for what in kill["during"])),
        "attempts": dict(totals.outcomes),
    }


def files(folder: Path) -> dict[str, bytes]:
    """What is in a folder of outputs."""
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}


def tail(path: Path) -> str:
    """The end of what the command has printed."""
    return path.read_text("utf-8", "replace")[-_TAIL:] if path.exists() else ""


def size(text: str) -> int:
    """Bytes of ``512M`` or ``1G``."""
    return int(float(text[:-1]) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[text[-1].upper()])


def _range(text: str) -> tuple[float, float]:
    shortest, longest = map(float, text.split(","))
    return shortest, longest


def run(given: argparse.Namespace, work: Path) -> tuple[Totals, float]:
    """All of it; the totals, and seconds that the undisturbed run took."""
    pull = [sys.executable, "-m", "narrowboat", "models", "pull", given.model, "--home", f"{work}/pull", "--quiet"]
    if subprocess.run(pull, check=False).returncode:
        sys.exit(f"the model {given.model} can't be had")
    totals = Totals()
    with served(make_sounds(work, given.files, given.longest)) as sources:
        bench = Bench(given, work, sources)
        wanted, seconds = bench.undisturbed()
        print(f"... {len(sources)} jobs, undisturbed {seconds:.0f} s; seed {given.seed}", file=sys.stderr, flush=True)
        while len(totals.kills) < given.kills and len(totals.wrong) < _SHOWN:
            bench.disturbed(totals, wanted, seconds)
    return totals, seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--files", type=int, default=9, help="jobs of a batch (default: %(default)s)")
    parser.add_argument(
        "--longest", type=float, default=90, help="seconds of the longest episode (default: %(default)s)"
    )
    parser.add_argument(
        "--wait", type=_range, metavar="S,S", help="seconds between two kills (default: 0.2 to 6, or 1.5 times a job)"
    )
    options.add(parser, "--seed", "--model", "--memory", "--guard", "--json", "--keep")
    given = parser.parse_args()
    facts = machine("av", "ctranslate2")
    began = time.monotonic()
    with options.folder(given.keep, "kills") as work:
        totals, seconds = run(given, work)
    wall = time.monotonic() - began
    print(f"{facts['cores']} cores of {facts['cpu']}, Python {facts['python']}, kernel {facts['kernel']}")
    print(f"seed {given.seed}, {wall:.0f} s in all, a batch undisturbed {seconds:.0f} s")
    if totals.kernel_kills is None:
        print("no box was made: nothing but Narrowboat kept the batches to their limit, groups are not looked for")
    made = figures(totals)
    print(table(made))
    for what, counted in counts(totals).items():
        print(f"{what:9} " + ", ".join(f"{name} {count}" for name, count in sorted(counted.items())))
    print(f"{len(totals.wrong)} violations")
    for violation in totals.wrong[:_SHOWN]:
        print(f"- {violation}")
    if given.json:
        report = {
            "machine": facts,
            "settings": {name: str(value) for name, value in vars(given).items()},
            "wall_s": wall,
            "undisturbed_s": seconds,
            "ok": not totals.wrong,
            "figures": [asdict(figure) for figure in made],
            "counts": counts(totals),
            "cleaned_s": totals.cleaned_s,
            "violations": totals.wrong,
            "kills": totals.kills,
        }
        given.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 1 if totals.wrong or len(totals.kills) < given.kills else 0


if __name__ == "__main__":
    sys.exit(main())
