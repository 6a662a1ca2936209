"""Replays traces of peak memory, and tells how well the estimator would have reserved.

    python bench/estimator.py ../shared/data/traces --json estimator.json

Covers: the code that the runner uses, and five plain rules, on the same tasks; what importing the estimator costs.
Does not cover: running anything.

Traces are files in a folder with the columns of Nextflow's (comma or tab, sizes in bytes, times in milliseconds).
Tasks are grouped by ``process`` within a file; groups of fewer than 20 are left out, and tasks without a peak or that
did not complete. Within a group they are taken in the order of their ``start`` (``--order``), which is when a size must
be reserved. The first 30 % only teach; each later one is given a size first, and teaches then. One that used more than
it was given has failed: that size is charged for its whole ``realtime``, and it is tried again with the larger of twice
as much and the largest seen. The declared demand is the preset of the group's first task; the one fact is ``rchar``.

``as_known`` in the JSON is the same, taught more strictly: by each task only once it has completed. Tasks that start
together can't learn from each other then, so all rules do worse; until something is known the preset is given.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrowboat.memory.estimator import Estimator, Peak
from narrowboat.values import Demand

LEAST, TEACHING = 20, 0.3
GBH = 3600 * 1000 * 1e9  # in byte-milliseconds
_IMPORT = """
import os
def used():
    resident, shared = open("/proc/self/statm").read().split()[1:3]
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
before = used()
import narrowboat.memory.estimator
print(used() - before)
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One row of a trace. Bytes, and milliseconds."""

    peak: int
    read: float | None
    preset: int
    started: float
    completed: float
    milliseconds: float


@dataclass(slots=True)
class Score:
    """Sums over tasks. Sizes in byte-milliseconds."""

    tasks: int = 0
    failures: int = 0
    used: float = 0.0
    allocated: float = 0.0

    def add(self, other: Score) -> None:
        self.tasks += other.tasks
        self.failures += other.failures
        self.used += other.used
        self.allocated += other.allocated

    def to_json(self) -> dict[str, float]:
        return {
            "allocation_quality": round(self.used / self.allocated, 4) if self.allocated else 0.0,
            "first_try_failures": round(self.failures / self.tasks, 5) if self.tasks else 0.0,
        }


# -- traces ------------------------------------------------------------------------------------------------------------


def groups(file: Path, order: str) -> list[list[Task]]:
    """The groups of a trace, each in time order."""
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        delimiter = "\t" if "\t" in lines.readline() else ","
        lines.seek(0)
        found: dict[str, list[tuple[float, Task]]] = {}
        for row in csv.DictReader(lines, delimiter=delimiter):
            task = _task(row)
            if task is not None:
                found.setdefault(row.get("process") or "", []).append((_number(row.get(order)) or 0.0, task))
    taken = [sorted(group, key=lambda pair: pair[0]) for group in found.values() if len(group) >= LEAST]
    return [[task for _, task in group] for group in taken]


def _task(row: dict[str, Any]) -> Task | None:
    peak = _number(row.get("peak_rss"))
    if not peak or (row.get("status") or "COMPLETED") not in ("COMPLETED", "CACHED"):
        return None
    started = _number(row.get("start")) or _number(row.get("submit")) or 0.0
    took = _number(row.get("realtime")) or 0.0
    completed = _number(row.get("complete")) or started + took
    return Task(int(peak), _number(row.get("rchar")), int(_number(row.get("memory")) or 0), started, completed, took)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


# -- rules -------------------------------------------------------------------------------------------------------------


class Ours:
    """The estimator as the runner uses it."""

    def __init__(self, group: Sequence[Task]) -> None:
        self._declared = Demand(max(1, group[0].preset))
        self._known = Estimator()

    def size(self, task: Task) -> float:
        return self._known.estimate(self._declared, self._facts(task)).demand.bytes

    def failed(self, task: Task, size: float) -> None:
        self._known.learn(Peak(int(size), self._declared.bytes, censored=True, features=self._facts(task)))

    def learn(self, task: Task, failed: bool) -> None:
        self._known.learn(Peak(task.peak, self._declared.bytes, again=failed, features=self._facts(task)))

    def _facts(self, task: Task) -> dict[str, float]:
        return {} if task.read is None else {"rchar": task.read}


class Baseline:
    """A rule of one line, from all tasks seen."""

    def __init__(self, rule: Callable[[Sequence[Task], Task], float]) -> None:
        self._rule = rule
        self._seen: list[Task] = []

    def size(self, task: Task) -> float:
        return self._rule(self._seen, task) if self._seen else task.preset

    def failed(self, task: Task, size: float) -> None:
        pass

    def learn(self, task: Task, failed: bool) -> None:
        self._seen.append(task)


def _line(seen: Sequence[Task], task: Task) -> float:
    """Least squares, plus the standard deviation of what is left."""
    read = [other.read or 0.0 for other in seen]
    peaks = [float(other.peak) for other in seen]
    slope, base = 0.0, statistics.fmean(peaks)
    if len(set(read)) > 1:
        slope, base = statistics.linear_regression(read, peaks)
    left = [peak - base - slope * value for value, peak in zip(read, peaks, strict=True)]
    return base + slope * (task.read or 0.0) + statistics.pstdev(left)


BASELINES: dict[str, Callable[[Sequence[Task], Task], float]] = {
    "presets": lambda seen, task: task.preset,
    "largest seen × 1.05": lambda seen, task: 1.05 * max(other.peak for other in seen),
    "p90 × 1.15": lambda seen, task: 1.15 * sorted(other.peak for other in seen)[math.ceil(0.9 * len(seen)) - 1],
    "median × 1.5": lambda seen, task: 1.5 * statistics.median(other.peak for other in seen),
    "linear + 1σ": _line,
}


# -- replay ------------------------------------------------------------------------------------------------------------


def replay(group: Sequence[Task], rule: Ours | Baseline, *, strictly: bool) -> Score:
    """One group with one rule. ``strictly``: it learns from a task only once that has completed."""
    score, largest = Score(), 1.0
    running: list[tuple[float, int, bool]] = []
    for number, task in enumerate(group):
        while running and (not strictly or running[0][0] <= task.started):
            _, ended, failed = heapq.heappop(running)
            rule.learn(group[ended], failed)
            largest = max(largest, group[ended].peak)
        failed = False
        if number >= int(TEACHING * len(group)):
            size = max(1.0, rule.size(task))
            failed = task.peak > size
            if failed:
                rule.failed(task, size)
            score.add(_charged(task, size, largest))
        heapq.heappush(running, (task.completed, number, failed))
    return score


def _charged(task: Task, size: float, largest: float) -> Score:
    score = Score(tasks=1, failures=int(task.peak > size), used=task.peak * task.milliseconds)
    while task.peak > size:
        score.allocated += size * task.milliseconds
        size = max(2 * size, largest)
    score.allocated += size * task.milliseconds
    return score


def scores(taken: Iterable[Sequence[Task]], *, strictly: bool = False) -> dict[str, Score]:
    """The sums of every rule; the estimator's under the empty name."""
    total = {name: Score() for name in ("", *BASELINES)}
    for group in taken:
        total[""].add(replay(group, Ours(group), strictly=strictly))
        for name, rule in BASELINES.items():
            total[name].add(replay(group, Baseline(rule), strictly=strictly))
    return total


def told(total: dict[str, Score]) -> dict[str, Any]:
    ours = total[""]
    return {
        **ours.to_json(),
        "failed": ours.failures,
        "tasks": ours.tasks,
        "used_gbh": round(ours.used / GBH, 3),
        "allocated_gbh": round(ours.allocated / GBH, 3),
        "baselines": {name: total[name].to_json() for name in BASELINES},
    }


def import_bytes() -> int:
    """What importing the estimator adds to a process, in bytes that can't be reclaimed; the least of three."""
    run = [sys.executable, "-c", _IMPORT]
    return min(int(subprocess.run(run, capture_output=True, text=True, check=True).stdout) for _ in range(3))


def lines(name: str, figures: dict[str, Any]) -> Iterator[str]:
    yield f"{name}: {figures['tasks']} tasks"
    rows = [("narrowboat", figures), *figures["baselines"].items()]
    for rule, row in rows:
        yield f"  {rule:20} {row['allocation_quality']:9.3f} {100 * row['first_try_failures']:8.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of trace files: .csv, .tsv or .txt")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--order", choices=("start", "submit", "complete"), default="start", help="default: start")
    given = parser.parse_args()
    files = sorted(file for file in given.folder.glob("*") if file.suffix in (".csv", ".tsv", ".txt"))
    traces = {file.name: groups(file, given.order) for file in files}
    if not any(traces.values()):
        sys.exit(f"no trace in {given.folder} has {LEAST} tasks of one process with a peak_rss")
    everything = [group for taken in traces.values() for group in taken]
    figures = {
        "version": 1,
        "order": given.order,
        **told(scores(everything)),
        "as_known": told(scores(everything, strictly=True)),
        "traces": {name: {"groups": len(taken), **told(scores(taken))} for name, taken in traces.items() if taken},
        "import_bytes": import_bytes(),
    }
    print(f"{'':22} {'quality':>9} {'failed first':>13}")
    for name, found in [*figures["traces"].items(), ("all", figures), ("all, as known", figures["as_known"])]:
        print("\n".join(lines(name, found)))
    print(f"importing the estimator: {figures['import_bytes'] / 1e6:.1f} MB")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
