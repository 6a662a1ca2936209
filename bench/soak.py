"""Runs thousands of tasks, honest ones and attacks, in a memory box, and checks from outside that the promises hold.

    python bench/soak.py --tasks 10000 --memory 512M --json soak.json
    python bench/soak.py --tasks 500 --only hog_native,honest --guard polling --seed 7

Exit code 0 only when all of this holds: no kernel kill but in groups that were made for workers; every task ended as
it should (see ``attack_kinds``) with the right result; the run never used more than the limit less the headroom plus
the grace; the supervisor and the journal are flat; no process, scratch file or group is left.

Covers: the box, the watch from outside, judging, the table and the JSON.
Does not cover: running the tasks (``soak_run``), what they are (``attacks``, ``attack_kinds``).

What flat means. Supervisor: the slope of its anonymous memory over the tasks, the first fifth left out, stays below
``SUPERVISOR_SLOPE``. Journal: it keeps a record of every job until it is cleared out, so it grows; but the bytes a
task of the second half must not be more than ``JOURNAL_GROWTH`` times those of the first, its log stays below
``LOG_MOST``, and after ``narrowboat clean --all`` it is below ``JOURNAL_LEAST``. Slopes are judged from
``JUDGED_FROM`` tasks on: below that they say more of the beginning than of the run, since the page caches of the
journal's connections (1 MiB each) fill with its rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import box
import options
from attack_kinds import BY_NAME, KINDS
from facts import machine
from soak_watch import MIB, Watch, left_files, left_groups, left_processes, slope

SUPERVISOR_SLOPE = 0.25  # MiB per 1000 tasks
JOURNAL_GROWTH = 1.25
LOG_MOST = 8 * MIB
JOURNAL_LEAST = 2 * MIB
JUDGED_FROM = 5000
#: Seconds without an end of any task after which the run is taken to hang.
STUCK_S = 100.0
_SHOWN = 20  # violations that are printed
_POINTS = 200  # samples over time that go into the JSON: tasks, bytes of supervisor, journal and its log


@dataclass
class Tally:
    """What was heard of the run."""

    facts: dict[str, Any] = field(default_factory=dict)
    finished: dict[str, Any] = field(default_factory=dict)
    closed: bool = False
    doing: dict[int, str] = field(default_factory=dict)
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    ended: int = 0
    last: float = field(default_factory=time.monotonic)
    violations: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        """One line of the run."""
        heard = json.loads(line)
        event = heard.pop("event")
        if event == "began":
            self.doing[heard["n"]] = heard["kind"]
        elif event == "ended":
            self.last = time.monotonic()
            self.ended += 1
            self._end(heard)
        elif event == "facts":
            self.facts = heard
        elif event == "finished":
            self.finished = heard
        else:
            self.closed = True

    def _end(self, heard: dict[str, Any]) -> None:
        kind, end = BY_NAME[heard["kind"]], heard["end"]
        self.doing.pop(heard["n"], None)
        self.outcomes.setdefault(kind.name, Counter())[end] += 1
        if end not in kind.right:
            self.violations.append(
                f"task {heard['n']} ({kind.name}) ended as {end}, not {' or '.join(sorted(kind.right))}: "
                f"{heard['message']}"
            )
        elif heard["wrong"]:
            self.violations.append(f"task {heard['n']} ({kind.name}): {heard['wrong']}")

    def now(self) -> str:
        """What is on its way."""
        return ", ".join(f"{n} {kind}" for n, kind in sorted(self.doing.copy().items()))


def soak(asked: argparse.Namespace, kinds: list[str], home: Path) -> dict[str, Any]:
    """One run, measured and judged."""
    mark = f"soak-{uuid.uuid4().hex[:12]}"
    tally = Tally()
    place = _place(box_size(asked.memory), mark)
    config = {
        "tasks": asked.tasks,
        "memory": asked.memory,
        "guard": asked.guard,
        "seed": asked.seed,
        "kinds": kinds,
        "home": str(home),
        "mark": mark,
    }
    command = [sys.executable, str(Path(__file__).with_name("soak_run.py")), json.dumps(config)]
    bench = str(Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [bench, os.environ.get("PYTHONPATH")]))}
    env[box.MARK] = mark
    facts, started = machine(), time.monotonic()
    process = subprocess.Popen(
        place.enter(command) if isinstance(place, box.Group) else command, env=env, stdout=subprocess.PIPE, text=True
    )
    watch = Watch(place, process.pid, home, lambda: tally.ended, tally.now)
    progress = Progress(asked.tasks, tally, watch, process)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            tally.hear(line)
        rc, wall = process.wait(), time.monotonic() - started
        found = {"processes": left_processes(place), "files": left_files(home, mark), "groups": left_groups(place)}
    finally:  # also when we are told to end
        process.kill()
        process.wait()
        progress.close()
        watch.close()
        box.clear(place)
        if isinstance(place, box.Group):
            place.remove()
    report = {"machine": facts, **_figures(asked, tally, watch, wall, rc), "left": found, **_journal(home, watch)}
    report["enforced"] = isinstance(place, box.Group)
    report["violations"] = tally.violations + progress.violations + judge(report, asked.tasks)
    report["ok"] = not report["violations"]
    return report


def _place(limit: int, mark: str) -> box.Group | box.Marked:
    with contextlib.suppress(OSError, KeyError, StopIteration):
        return box.Group(limit)
    marked = box.Marked()
    marked.mark = mark
    return marked


def box_size(text: str) -> int:
    """``512M`` in bytes."""
    size = text.upper().removesuffix("B").removesuffix("I")
    return int(float(size.rstrip("KMG")) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1], 1))


class Progress:
    """A line every few seconds, and an end to a run that hangs."""

    def __init__(self, tasks: int, tally: Tally, watch: Watch, process: subprocess.Popen[str]) -> None:
        self._tasks, self._tally, self._watch, self._process = tasks, tally, watch, process
        self.violations: list[str] = []
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more lines."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(10):
            rate = self._tally.ended / (time.monotonic() - self._started)
            bad = f", {len(self._tally.violations)} wrong" if self._tally.violations else ""
            print(
                f"{self._tally.ended}/{self._tasks} tasks, {rate:.0f}/s, peak {self._watch.peak >> 20} MiB{bad}",
                file=sys.stderr,
                flush=True,
            )
            if time.monotonic() - self._tally.last > STUCK_S:
                self.violations.append(f"no task ended for {STUCK_S:.0f} s; on their way: {self._tally.now()}")
                self._process.kill()
                return


def _figures(asked: argparse.Namespace, tally: Tally, watch: Watch, wall: float, rc: int) -> dict[str, Any]:
    facts = tally.facts
    allowed = facts["limit_bytes"] - facts["headroom_bytes"] + facts["grace_bytes"] if facts else 0
    points = [(sample.tasks, sample.supervisor) for sample in watch.series if sample.tasks >= asked.tasks / 5]
    return {
        "tasks": asked.tasks,
        "seed": asked.seed,
        "memory": asked.memory,
        "guard": asked.guard or "as it comes",
        "run": facts,
        "rc": rc,
        "closed": tally.closed,
        "wall_s": round(wall, 1),
        "tasks_per_s": round(tally.ended / wall, 1),
        "ended": tally.ended,
        "on_their_way": tally.now(),
        "outcomes": {kind: dict(counts) for kind, counts in sorted(tally.outcomes.items())},
        "kernel_kills": {
            "outside": watch.killed_outside,
            "in_worker_groups": watch.killed_inside,
            "certain": watch.kills is not None and watch.kills.certain,
        },
        "memory_used": {
            "peak_bytes": watch.peak,
            "allowed_bytes": allowed,
            "over_budget_bytes": watch.peak - (allowed - facts.get("grace_bytes", 0)),
            "peak_with": watch.peak_at,
        },
        "supervisor": {"peak_bytes": watch.peak_supervisor, "slope_mib_per_1000": _rounded(slope(points))},
        "series": [astuple(sample) for sample in watch.series[:: len(watch.series) // _POINTS + 1]],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _journal(home: Path, watch: Watch) -> dict[str, Any]:
    """Bytes a task in each half, and what is left when the home is cleared out."""
    path, series = home / "journal.db", watch.series
    halves: list[float | None] = [None, None]
    if series:
        last = series[-1]
        middle = min(series, key=lambda sample: abs(sample.tasks - last.tasks / 2))
        if 0 < middle.tasks < last.tasks:  # without the log: it keeps its size while it is used again
            halves = [
                middle.journal / middle.tasks,
                (last.journal - middle.journal) / (last.tasks - middle.tasks),
            ]
    cleaned = subprocess.run(
        [sys.executable, "-m", "narrowboat", "clean", "--all", "--home", str(home)],
        check=False,
        capture_output=True,
        text=True,
    )
    return {
        "journal": {
            "bytes": path.stat().st_size if path.exists() else 0,
            "slope_mib_per_1000": _rounded(slope([(sample.tasks, sample.journal) for sample in series])),
            "bytes_per_task_by_half": halves,
            "log_peak_bytes": watch.peak_log,
            "cleaned_rc": cleaned.returncode,
            "cleaned_bytes": path.stat().st_size if path.exists() else 0,
        }
    }


def judge(report: dict[str, Any], tasks: int) -> list[str]:
    """What does not hold, apart from single tasks."""
    found = []
    used, kills, journal, left = (report[name] for name in ("memory_used", "kernel_kills", "journal", "left"))
    if report["rc"] != 0 or not report["closed"]:
        found.append(f"the run ended with code {report['rc']}")
    if report["ended"] != tasks:
        found.append(f"{report['ended']} of {tasks} tasks ended; on their way: {report['on_their_way']}")
    if kills["outside"]:
        found.append(f"the kernel acted {kills['outside']} times outside of workers' own groups")
    if report["run"] and report["enforced"] and used["peak_bytes"] > used["allowed_bytes"]:
        found.append(
            f"{used['peak_bytes'] / MIB:.1f} MiB were used, {used['allowed_bytes'] / MIB:.1f} are allowed "
            f"(limit - headroom + grace), with {used['peak_with']}"
        )
    found += [f"left: {what} {name}" for what, names in left.items() for name in names]
    if journal["cleaned_rc"] != 0 or journal["cleaned_bytes"] > JOURNAL_LEAST:
        found.append(f"the journal has {journal['cleaned_bytes']} bytes after it was cleared out")
    if journal["log_peak_bytes"] > LOG_MOST:
        found.append(f"the journal's log grew to {journal['log_peak_bytes']} bytes")
    return found + (_not_flat(report) if tasks >= JUDGED_FROM else [])


def _not_flat(report: dict[str, Any]) -> list[str]:
    found = []
    rising = report["supervisor"]["slope_mib_per_1000"]
    if rising is None or rising > SUPERVISOR_SLOPE:
        found.append(
            f"the supervisor's memory rises by {rising} MiB per 1000 tasks; {SUPERVISOR_SLOPE} is taken as flat"
        )
    first, second = report["journal"]["bytes_per_task_by_half"]
    if first is None or second > JOURNAL_GROWTH * first:
        found.append(f"the journal took {first} bytes a task in the first half, {second} in the second")
    return found


def show(report: dict[str, Any]) -> None:
    """The figures and the table of kinds and outcomes."""
    used, kills, journal = report["memory_used"], report["kernel_kills"], report["journal"]
    print(f"{report['ended']} tasks in {report['wall_s']} s, {report['tasks_per_s']}/s, seed {report['seed']}")
    print(f"guard            {report['guard']}")
    print(f"kernel kills     {kills['outside']} outside of workers' groups, {kills['in_worker_groups']} inside")
    print(f"peak used        {used['peak_bytes'] / MIB:.1f} MiB of {used['allowed_bytes'] / MIB:.1f} allowed,")
    print(f"                 {used['over_budget_bytes'] / MIB:+.1f} MiB over the budget (limit - headroom)")
    print(
        f"supervisor       {report['supervisor']['peak_bytes'] / MIB:.1f} MiB at most,"
        f" {report['supervisor']['slope_mib_per_1000']} MiB per 1000 tasks"
    )
    print(
        f"journal          {journal['bytes'] / MIB:.1f} MiB, {journal['slope_mib_per_1000']} MiB per 1000 tasks,"
        f" {journal['cleaned_bytes'] / MIB:.2f} MiB when cleared out; log {journal['log_peak_bytes'] / MIB:.1f} MiB"
    )
    print("left             " + ", ".join(f"{len(names)} {what}" for what, names in report["left"].items()))
    if not report["enforced"]:
        print("NO BOX: no memory cgroup can be made here, so nothing kept the run to its limit")
    print(f"\n{'kind':24} outcomes")
    for kind, counts in report["outcomes"].items():
        print(f"{kind:24} " + ", ".join(f"{count} {end}" for end, count in sorted(counts.items())))
    print(f"\n{len(report['violations'])} violations")
    for violation in report["violations"][:_SHOWN]:
        print(f"- {violation}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=1000, help="how many (default: %(default)s)")
    options.add(parser, "--memory", "--guard", "--seed", "--json")
    parser.add_argument("--only", metavar="KIND,…", help="these kinds: " + ", ".join(BY_NAME))
    parser.add_argument("--home", type=Path, help="folder for journal and scratch; a temporary one when not given")
    asked = parser.parse_args()
    named = asked.only.split(",") if asked.only else list(BY_NAME)
    if unknown := [name for name in named if name not in BY_NAME]:
        parser.error(f"no such kind: {', '.join(unknown)}")
    kinds = [name for name in named if BY_NAME[name].possible()]
    if left_out := sorted(set(named) - set(kinds)):
        print(f"left out, since steps can't be told what they need: {', '.join(left_out)}", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = Path(tempfile.mkdtemp(prefix="soak-", dir=asked.home))
    print(f"{asked.tasks} tasks of {len(kinds)} of {len(KINDS)} kinds, seed {asked.seed}", file=sys.stderr, flush=True)
    try:
        report = soak(asked, kinds, home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    report["left_out"] = left_out
    show(report)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
