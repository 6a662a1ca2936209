"""Memory and time of ``narrowboat transcribe``, side by side in one run, as a table and as JSON.

    python bench/transcribe.py --quick
    python bench/transcribe.py --json figures.json

Covers: word error rates, peaks inside real memory boxes, the peak over the length of the episode, the supervisor's
size, what a second core brings. Does not cover: other engines or other systems (``scheduling.py`` compares those).

Each run is the installed command in a process of its own with a fresh home. ``bench/README.md`` says how to read it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import box
import speech
from facts import machine
from figures import Figure, enforced, exit_code, figure, table

MIB = 1 << 20
BASE, TINY = "local:whisper-base", "local:whisper-tiny.en"
PARTS = ("accuracy", "boxes", "flat", "cores")


@dataclass(frozen=True)
class Run:
    """One run of the command: measured from outside, and its own report."""

    name: str
    measured: box.Measured
    report: dict[str, Any]
    texts: list[str]


@dataclass
class Bench:
    """Runs the command and keeps what comes of it."""

    work: Path
    figures: list[Figure] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def run(
        self,
        name: str,
        sources: Sequence[Path],
        *,
        limit: int | None = None,
        memory: int | None = None,
        cores: int | None = None,
        model: str = BASE,
    ) -> Run:
        """Transcribe ``sources``; in a box of ``limit`` MiB, or told a limit of ``memory`` MiB.

        Raises:
            SystemExit: the command failed; its output has been shown.
        """
        print(f"... {name}", file=sys.stderr, flush=True)
        folder = Path(tempfile.mkdtemp(dir=self.work))
        command = [sys.executable, "-m", "narrowboat", "transcribe", *map(str, sources), "--out", str(folder / "out")]
        command += ["--home", str(folder / "home"), "--report", str(folder / "report.json"), "--quiet"]
        command += ["--formats", "txt", "--model", model, "--language", "en"]
        command += ["--cores", str(cores)] if cores else []
        told = memory or (limit if limit and not enforced() else None)
        command += ["--memory", f"{told}M"] if told else []
        measured = box.run(command, limit * MIB if limit else None)
        if measured.rc:
            sys.exit(f"{name}: the command ended with {measured.rc}: {' '.join(command)}")
        report = json.loads((folder / "report.json").read_text("utf-8"))
        texts = [(folder / "out" / f"{source.stem}.txt").read_text("utf-8") for source in sources]
        self.runs.append(Run(name, measured, report, texts))
        shutil.rmtree(folder)
        return self.runs[-1]

    def tell(self, name: str, value: float, unit: str, bound: float | None = None, *, least: bool = False) -> None:
        """Add a figure; it should be at most ``bound``, or at least with ``least``."""
        self.figures.append(figure(name, value, unit, bound, least=least))


def accuracy(bench: Bench, quick: bool) -> None:
    """Word error rates of the default model."""
    for spoken in speech.recordings(bench.work, 12 if quick else None):
        run = bench.run(f"accuracy, {spoken.name}", spoken.files, memory=1500)
        bench.tell(f"word error rate, {spoken.name}", speech.error_rate(spoken.texts, run.texts), "%", spoken.bound)


def boxes(bench: Bench, quick: bool) -> None:
    """Both models in the boxes that they should live in."""
    seconds = 120 if quick else 600
    source = speech.episode(bench.work / "boxed.mp3", seconds)
    for model, limit, bound in ((BASE, 512, 400), (TINY, 384, None)):
        run = bench.run(f"box {limit}M, {model}", [source], limit=limit, model=model)
        name = model.removeprefix("local:")
        bench.tell(f"peak used in a {limit}M box, {name}", run.measured.peak_used / MIB, "MiB", bound)
        if run.measured.kernel_kills is not None:
            bench.tell(f"kernel kills in a {limit}M box, {name}", run.measured.kernel_kills, "", 0)
        bench.tell(f"CPU seconds a second of sound, {name}", run.measured.cpu_s / seconds, "")
        bench.tell(f"wall seconds a second of sound, {name}", run.measured.wall_s / seconds, "")


def flat(bench: Bench, lengths: dict[str, float], model: str) -> None:
    """The peak over the length of the episode, against the shortest."""
    peaks = {}
    for name, seconds in lengths.items():
        source = speech.episode(bench.work / f"flat-{name}.mp3", seconds)
        run = bench.run(f"flat, {name}", [source], limit=512, model=model)
        source.unlink()
        peaks[name] = run.measured.peak_used
    first, *others = peaks
    bench.tell(f"peak used, {first}", peaks[first] / MIB, "MiB")
    for name in others:
        bench.tell(f"peak used, {name}", peaks[name] / MIB, "MiB")
        bench.tell(f"peak {name} ÷ peak {first}", peaks[name] / peaks[first], "", 1.05)


def cores(bench: Bench, quick: bool) -> None:
    """What the second core brings to six episodes, and to one."""
    seconds = 40 if quick else 240
    six = [speech.episode(bench.work / f"episode-{n}.mp3", seconds, skip=31 * n) for n in range(6)]
    one = [speech.episode(bench.work / "lone.mp3", 4 * seconds)]
    walls: dict[str, float] = {}
    for _ in range(1 if quick else 2):  # in turn, and the best of each: the machine may have other work
        for name, sources in (("six episodes", six), ("a lone episode", one)):
            for count in (2, 1):
                run = bench.run(f"{name}, {count} cores", sources, memory=1500, cores=count)
                key = f"{name} {count}"
                walls[key] = min(run.measured.wall_s, walls.get(key, float("inf")))
                if count == 2:
                    bench.tell(f"cores busy, {name}", run.measured.cpu_s / run.measured.wall_s, "of 2")
    bench.tell("six episodes, wall on 2 cores ÷ on 1", walls["six episodes 2"] / walls["six episodes 1"], "", 0.6)
    faster = walls["a lone episode 1"] / walls["a lone episode 2"]
    bench.tell("a lone episode, times as fast on 2 cores as on 1", faster, "×", 1.7, least=True)


def whole(bench: Bench) -> None:
    """Figures over all runs."""
    highest = max(run.measured.peak_first for run in bench.runs)
    bench.tell("supervisor resident, highest of all runs", highest / MIB, "MiB", 50)
    bench.tell("processes left 2 s after a run, all runs", sum(run.measured.left for run in bench.runs), "", 0)


def length(text: str) -> float:
    """Seconds of ``90s``, ``10m`` or ``3h``."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short episodes: a few minutes in all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, the runs and the machine there")
    parser.add_argument(
        "--lengths", metavar="10m,1h", help="episodes of the flatness curve (10m,1h,3h,10h; quick: 2m,10m)"
    )
    parser.add_argument("--model", default=None, help=f"model of the flatness curve ({BASE}; quick: {TINY})")
    parser.add_argument("--only", metavar="PART,…", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    given = parser.parse_args()
    names = (given.lengths or ("2m,10m" if given.quick else "10m,1h,3h,10h")).split(",")
    lengths = {name: length(name) for name in names}
    parts: dict[str, Callable[[Bench], None]] = {
        "accuracy": lambda bench: accuracy(bench, given.quick),
        "boxes": lambda bench: boxes(bench, given.quick),
        "flat": lambda bench: flat(bench, lengths, given.model or (TINY if given.quick else BASE)),
        "cores": lambda bench: cores(bench, given.quick),
    }
    facts = {**machine("av", "ctranslate2"), "boxes_enforced": enforced()}
    with tempfile.TemporaryDirectory(prefix="narrowboat-bench-") as work:
        pull = [sys.executable, "-m", "narrowboat", "models", "pull", BASE, TINY, "--home", f"{work}/home", "--quiet"]
        subprocess.run(pull, check=True)
        bench = Bench(Path(work))
        for part in given.only.split(","):
            parts[part](bench)
    whole(bench)
    print(f"{facts['cores']} cores of {facts['cpu']}, Python {facts['python']}, kernel {facts['kernel']}")
    print(
        "" if facts["boxes_enforced"] else "no memory cgroup can be made here: boxes are told, not enforced\n", end=""
    )
    print(table(bench.figures))
    if given.json:
        made = {
            "machine": facts,
            "figures": [asdict(f) for f in bench.figures],
            "runs": [_brief(r) for r in bench.runs],
        }
        given.json.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return exit_code(bench.figures)


def _brief(run: Run) -> dict[str, Any]:
    return {"name": run.name, "measured": asdict(run.measured), "report": run.report}


if __name__ == "__main__":
    sys.exit(main())
