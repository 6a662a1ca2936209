"""Memory and time of ``narrowboat pose``, side by side in one run, as a table and as JSON.

    python bench/pose.py --json figures.json
    python bench/pose.py --only speed --beside "python other.py VIDEO"

Covers: CPU time a picture, peaks inside real memory boxes, the peak over the length of the video, what a second core
brings to two videos and to one, whether ten kills change anything. Does not cover: whether poses are right
(``pose_parity.py``).

Each run is the installed command in a process of its own with a fresh home. Videos are those in
``../shared/data/video`` where that lies beside the checkout, else the sample of the demo; long ones are the same
again and again, not encoded anew.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av
import box
from facts import machine
from figures import enforced, exit_code, table
from transcribe import MIB, Bench, Run, length

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"
PARTS = ("speed", "boxes", "flat", "cores", "kills")
#: Pictures of the long videos come so many times as slowly: an hour of them is a quarter of the work.
SLOWED = 4


class PoseBench(Bench):
    """Runs ``narrowboat pose`` and keeps what comes of it."""

    def pose(
        self, name: str, sources: Sequence[Path], *options: str, limit: int | None = None, cores: int | None = None
    ) -> Run:
        """Find poses in ``sources``; in a box of ``limit`` MiB.

        Raises:
            SystemExit: the command failed; its output has been shown.
        """
        print(f"... {name}", file=sys.stderr, flush=True)
        folder = Path(tempfile.mkdtemp(dir=self.work))
        command = [sys.executable, "-m", "narrowboat", "pose", *map(str, sources), "--out", str(folder / "out")]
        command += ["--home", str(folder / "home"), "--report", str(folder / "report.json"), "--quiet", *options]
        command += ["--cores", str(cores)] if cores else []
        command += ["--memory", f"{limit}M"] if limit and not enforced() else []
        measured = box.run(command, limit * MIB if limit else None)
        if measured.rc:
            sys.exit(f"{name}: the command ended with {measured.rc}: {' '.join(command)}")
        report = json.loads((folder / "report.json").read_text("utf-8"))
        rows = [(folder / "out" / f"{source.stem}.csv").read_text("utf-8") for source in sources]
        self.runs.append(Run(name, measured, report, [str(text.count("\n") // 33) for text in rows]))
        shutil.rmtree(folder)
        return self.runs[-1]


def video(name: str) -> Path:
    """A video of the shared data; without that the sample."""
    if (SHARED / name).exists():
        return SHARED / name
    from narrowboat.engines.packs import fetch_pack

    return fetch_pack("sample-walk") / "demo.mp4"


def repeated(source: Path, target: Path, seconds: float, slowed: int = 1) -> int:
    """The video again and again, for so long, slowed; how many pictures that are. Nothing is encoded."""
    count = 0
    with av.open(str(target), "w") as out:
        stream: Any = None
        start = 0
        while True:
            with av.open(str(source)) as given:
                track: Any = given.streams.video[0]
                stream = stream or out.add_stream_from_template(track)
                end = start
                for packet in given.demux(track):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.duration = (packet.duration or 0) * slowed
                    packet.pts, packet.dts = start + packet.pts * slowed, start + packet.dts * slowed
                    end = max(end, packet.pts + packet.duration)
                    packet.stream = stream
                    out.mux(packet)
                    count += 1
                start = end
                if start * track.time_base >= seconds:
                    return count


def speed(bench: PoseBench, beside: str | None) -> None:
    """CPU time of a picture more: of four times the video, less the video, so that starting is not in it."""
    source = video("walk_720p_10s.mp4")
    runs = {}
    for times in (1, 4):
        path = bench.work / f"times-{times}.mp4"
        pictures = repeated(source, path, times * 10 - 0.5)
        runs[times] = (pictures, bench.pose(f"speed, {times} ×", [path], cores=1).measured.cpu_s)
    (few, short), (many, long) = runs[1], runs[4]
    each = 1000 * (long - short) / (many - few)
    bench.tell("CPU time a picture, to CSV", each, "ms", 24)
    bench.tell("CPU time of starting and ending", short - few * each / 1000, "s")
    if beside:
        said = subprocess.run(
            shlex.split(beside.replace("VIDEO", str(source))), capture_output=True, text=True, check=True
        )
        line = next(line for line in reversed(said.stdout.splitlines()) if "cpu_ms_frame" in line)
        other = float(json.loads(line[line.index("{") :])["cpu_ms_frame"])
        bench.tell("CPU time a picture, of the other program", other, "ms")
        bench.tell("CPU time a picture ÷ the other's", each / other, "", 1.05)


def boxes(bench: PoseBench) -> None:
    """1080 × 1920 at 60 pictures a second in the boxes that it should live in."""
    source = bench.work / "tall.mp4"
    repeated(video("pose2sim_single_cam01.mp4"), source, 10)
    for limit, options in ((256, ()), (384, ("--overlay",))):
        name = f"in a {limit}M box{', with an overlay' if options else ''}"
        run = bench.pose(name, [source], *options, limit=limit)
        bench.tell(f"peak used {name}", run.measured.peak_used / MIB, "MiB", limit)
        if run.measured.kernel_kills is not None:
            bench.tell(f"kernel kills {name}", run.measured.kernel_kills, "", 0)


def flat(bench: PoseBench, lengths: Sequence[str]) -> None:
    """The peak over the length of the video, against the shortest."""
    peaks = {}
    for name in lengths:
        source = bench.work / f"flat-{name}.mp4"
        repeated(video("walk_720p_10s.mp4"), source, length(name), SLOWED)
        peaks[name] = bench.pose(f"flat, {name}", [source], limit=256).measured.peak_used
        source.unlink()
        bench.tell(f"peak used, {name}", peaks[name] / MIB, "MiB")
    first, *others = peaks
    for name in others:
        bench.tell(f"peak {name} ÷ peak {first}", peaks[name] / peaks[first], "", 1.05)


def cores(bench: PoseBench) -> None:
    """What the second core brings to two videos, and to one."""
    two = [bench.work / "one.mp4", bench.work / "other.mp4"]
    for path, slowed in zip(two, (1, 2), strict=True):  # as many pictures, and not the same content
        repeated(video("walk_720p_10s.mp4"), path, 30 * slowed - 0.5, slowed)
    walls: dict[str, float] = {}
    busy: dict[int, float] = {}
    for _ in range(3):  # in turn, and the best of each: single runs differ by 3 %, more than the margin
        for name, sources in (("two videos", two), ("a lone video", two[:1])):
            for count in (1, 2):
                run = bench.pose(f"{name}, {count} cores", sources, cores=count)
                if sources is two:
                    busy[count] = min(run.measured.cpu_s, busy.get(count, float("inf")))
                walls[f"{name} {count}"] = min(run.measured.wall_s, walls.get(f"{name} {count}", float("inf")))
    bench.tell("two videos, CPU time at the same time ÷ one after the other", busy[2] / busy[1], "", 1.05)
    for name, bound in (("two videos", 1.8), ("a lone video", None)):
        faster = walls[f"{name} 1"] / walls[f"{name} 2"]
        bench.tell(f"{name}, times as fast on 2 cores as on 1", faster, "×", bound, least=True)


def kills(bench: PoseBench) -> None:
    """``kill -9`` at ten random moments, each time started again: outputs beside those of an undisturbed run."""
    source = bench.work / "killed.mp4"
    repeated(video("walk_720p_10s.mp4"), source, 40)
    moments = random.Random(1)
    command = [sys.executable, "-m", "narrowboat", "pose", str(source), "--overlay", "--quiet"]
    folders = {name: bench.work / name for name in ("undisturbed", "disturbed")}
    for name, folder in folders.items():
        print(f"... {name}", file=sys.stderr, flush=True)
        whole = [*command, "--home", str(folder / "home"), "--out", str(folder)]
        for _ in range(10 if name == "disturbed" else 0):
            running = subprocess.Popen(whole)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(moments.uniform(1, 5))
            running.kill()
            running.wait()
        subprocess.run(whole, check=True)
    tables = [(folder / "killed.csv").read_bytes() for folder in folders.values()]
    bench.tell("bytes of CSV that ten kills changed", sum(a != b for a, b in zip(*tables, strict=False)), "", 0)
    bench.tell("bytes that it is longer or shorter by", abs(len(tables[0]) - len(tables[1])), "", 0)
    shown = [_decoded(folder / "killed.overlay.mp4") for folder in folders.values()]
    bench.tell("pictures that the overlay has more or less", abs(shown[0] - shown[1]), "", 0)


def _decoded(path: Path) -> int:
    with av.open(str(path)) as made:
        return sum(1 for _ in made.decode(video=0))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, the runs and the machine there")
    parser.add_argument("--lengths", metavar="1m,1h", default="1m,10m", help="videos of the flatness curve (1m,10m)")
    parser.add_argument("--beside", metavar="COMMAND", help="another program: prints JSON with cpu_ms_frame of VIDEO")
    parser.add_argument("--only", metavar="PART,…", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    given = parser.parse_args()
    parts: dict[str, Callable[[PoseBench], None]] = {
        "speed": lambda bench: speed(bench, given.beside),
        "boxes": boxes,
        "flat": lambda bench: flat(bench, given.lengths.split(",")),
        "cores": cores,
        "kills": kills,
    }
    facts = {**machine("av", "ai-edge-litert"), "boxes_enforced": enforced()}
    with tempfile.TemporaryDirectory(prefix="narrowboat-bench-") as work:
        pull = [sys.executable, "-m", "narrowboat", "models", "pull", "pose", "--home", f"{work}/home", "--quiet"]
        subprocess.run(pull, check=True)
        bench = PoseBench(Path(work))
        for part in given.only.split(","):
            parts[part](bench)
    bench.tell("processes left 2 s after a run, all runs", sum(run.measured.left for run in bench.runs), "", 0)
    print(f"{facts['cores']} cores of {facts['cpu']}, load {facts['load_1m']:.1f} at the beginning")
    print(table(bench.figures))
    if given.json:
        runs = [{"name": run.name, "measured": asdict(run.measured), "report": run.report} for run in bench.runs]
        made = {"machine": facts, "figures": [asdict(figure) for figure in bench.figures], "runs": runs}
        given.json.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return exit_code(bench.figures)


if __name__ == "__main__":
    sys.exit(main())
