"""Speech by an engine that is far away: many calls at once in little memory, against one at a time and no limit.

    python bench/remote.py --json figures.json
    python bench/remote.py --quick

Covers: two-hour episodes served on loopback, a fake engine (``tests/fakes``) that takes its time, ``narrowboat
transcribe`` in a real memory box, the same one call at a time, the same without a limit, and the way this used to be
done (``remote_old_way.py``) in as much memory as it takes. Does not cover: what is heard (the answers are canned; the
tests compare words), other engines.

The box and no limit are compared over several rounds, in turn: box, unlimited, unlimited, box, and so on. The same run
took up to 8 % longer at one time than at another with nothing else at work: more than the bound leaves. What is
compared is the time of all rounds together, not the best; of memory the most of any round is told.

The engine and the web server are outside of the box, on the same cores. ``bench/README.md`` says how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import box
import speech
from facts import machine
from figures import Figure, exit_code, figure, table

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

running: Any = import_module("fakes.running").running  # from the tests' folder

MIB = 1 << 20
PARTS = ("box", "alone", "unlimited", "old")


@dataclass(frozen=True)
class Size:
    """How much is done: episodes at once, and with one call at a time; seconds of each, and of an answer; how often the
    box and no limit are compared.
    """

    episodes: int = 20
    alone: int = 2
    seconds: float = 7200.0
    chunk_s: int = 600
    latency_s: float = 10.0
    limit_mib: int = 256
    rounds: int = 2


QUICK = Size(episodes=6, alone=1, seconds=1800.0, chunk_s=300, latency_s=3.0)


@dataclass(frozen=True)
class Run:
    """One run, measured from outside; the calls that the engine answered, how many at most at once, and what it held
    of ours at the end.
    """

    name: str
    episodes: int
    measured: box.Measured
    calls: int = 0
    most_at_once: int = 0
    files_left: int = 0
    report: dict[str, Any] = field(default_factory=dict)


@dataclass
class Rounds:
    """The same run, once or more."""

    runs: list[Run] = field(default_factory=list)

    @property
    def episodes(self) -> int:
        """In all of them."""
        return sum(run.episodes for run in self.runs)

    @property
    def wall_s(self) -> float:
        """Seconds of all of them."""
        return sum(run.measured.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all of them."""
        return sum(run.measured.cpu_s for run in self.runs)

    @property
    def an_hour(self) -> float:
        """Episodes an hour."""
        return 3600 * self.episodes / self.wall_s

    @property
    def slowest_an_hour(self) -> float:
        """Episodes an hour of the slowest."""
        return min(3600 * run.episodes / run.measured.wall_s for run in self.runs)

    @property
    def peak_used(self) -> int:
        """Bytes, the most of any."""
        return max(run.measured.peak_used for run in self.runs)

    @property
    def kernel_kills(self) -> int | None:
        """In all of them; None where that can't be known."""
        kills = [run.measured.kernel_kills for run in self.runs]
        return None if None in kills else sum(each or 0 for each in kills)


class Bench:
    """Runs the command and keeps what comes of it."""

    def __init__(self, work: Path, size: Size, web: str) -> None:
        self._work = work
        self.size = size
        self._web = web
        self.runs: dict[str, Rounds] = {}

    def transcribe(self, name: str, episodes: int, limit_mib: int | None = None, **caps: str) -> None:
        """Transcribe so many episodes.

        Raises:
            SystemExit: the command failed; its output has been shown.
        """
        print(f"... {name}", file=sys.stderr, flush=True)
        folder = Path(tempfile.mkdtemp(dir=self._work))
        answer = json.dumps({"json": canned(self.size.chunk_s)})
        switches = ["--latency", str(self.size.latency_s), "--set", f"answer={answer}", "--set", "keep_files=false"]
        with running(*switches) as engine:
            command = [sys.executable, "-m", "narrowboat", "transcribe", *self._sources(episodes), "--quiet"]
            command += ["--model", f"gemini:gemini-2.5-flash@{engine.url}", "--chunk", f"{self.size.chunk_s}s"]
            command += ["--home", str(folder / "home"), "--out", str(folder / "out")]
            command += ["--report", str(folder / "report.json"), "--formats", "txt,json"]
            measured = box.run(command, limit_mib * MIB if limit_mib else None, {"GEMINI_API_KEY": "none", **caps})
            if measured.rc:
                sys.exit(f"{name}: the command ended with {measured.rc}: {' '.join(command)}")
            paid, left = engine.state()["paid"], len(engine.files())
        report = json.loads((folder / "report.json").read_text("utf-8"))
        self._add(Run(name, episodes, measured, paid["answered"], paid["most"], left, report))
        shutil.rmtree(folder)

    def old_way(self, source: Path) -> None:
        """One episode as it used to be done: all of it in memory. The engine is left out."""
        print("... the old way", file=sys.stderr, flush=True)
        command = [sys.executable, str(HERE / "remote_old_way.py"), str(source), str(self.size.chunk_s)]
        self._add(Run("old", 1, box.run(command)))

    def _add(self, run: Run) -> None:
        self.runs.setdefault(run.name, Rounds()).runs.append(run)

    def _sources(self, episodes: int) -> list[str]:
        return [f"{self._web}/episode-{number:02}.mp3" for number in range(episodes)]


_WORDS = """
boat lock water keeper gate coal mill tunnel bridge horse rope winter morning river stone fire town market bread letter
garden road carter window summer evening child story wheel field harvest village basket candle meadow
"""


def canned(seconds: int) -> dict[str, Any]:
    """An answer about a chunk, as long as the speech in it would be: a sentence every eight seconds, none like another.
    (What an engine says again and again would be asked about once more, in pieces.)
    """
    chance = random.Random(1)
    segments = []
    for at in range(0, seconds, 8):
        end = min(seconds, at + 8)
        text = f"The {' and the '.join(chance.sample(_WORDS.split(), 7))} were seen."
        times = {"start": f"{at // 60:02}:{at % 60:02}.0", "end": f"{end // 60:02}:{end % 60:02}.0"}
        segments.append({**times, "speaker": "Host", "text": text})
    return {"language": "en", "speakers": [{"label": "Host", "name": "", "voice": "calm"}], "segments": segments}


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """The files of a folder on loopback."""
    handler = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def told(parts: dict[str, Rounds]) -> list[Figure]:
    """The figures of what was run."""
    figures = []
    for name, part in parts.items():
        figures.append(figure(f"{name}: peak used", part.peak_used / MIB, "MiB"))
        figures.append(figure(f"{name}: wall of a round", part.wall_s / len(part.runs), "s"))
        figures.append(figure(f"{name}: CPU an episode", part.cpu_s / part.episodes, "s"))
        if name != "old":
            figures.append(figure(f"{name}: episodes an hour", part.an_hour, ""))
            figures.append(figure(f"{name}: episodes an hour, slowest round", part.slowest_an_hour, ""))
            figures.append(figure(f"{name}: calls at once, at most", max(run.most_at_once for run in part.runs), ""))
            left = sum(run.files_left for run in part.runs)
            figures.append(figure(f"{name}: files left in the remote store", left, "", 0))
    if "box" in parts:
        figures += compared(parts)
    return figures


def compared(parts: dict[str, Rounds]) -> list[Figure]:
    """What is done in the box against the others that were run."""
    boxed, figures = parts["box"], []
    if boxed.kernel_kills is not None:
        figures.append(figure("box: kernel kills", boxed.kernel_kills, "", 0))
    if "alone" in parts:
        figures.append(figure("box ÷ one call at a time", boxed.an_hour / parts["alone"].an_hour, "", 10, least=True))
    if "unlimited" in parts:
        figures.append(figure("box ÷ unlimited", boxed.an_hour / parts["unlimited"].an_hour, "", 0.95, least=True))
    if "old" in parts:
        figures.append(figure("old way ÷ box, peak", parts["old"].peak_used / boxed.peak_used, ""))
    return figures


def measured(work: Path, size: Size, parts: list[str]) -> dict[str, Rounds]:
    """Make the episodes and run the parts."""
    source = speech.episode(work / "episode.mp3", size.seconds, form=speech.PODCAST)
    folder = work / "web"
    folder.mkdir()
    for number in range(size.episodes):
        (folder / f"episode-{number:02}.mp3").hardlink_to(source)
    with web_server(folder) as web:
        bench = Bench(work, size, web)
        compared_parts = [name for name in ("box", "unlimited") if name in parts]
        for number in range(size.rounds):
            for name in compared_parts if number % 2 == 0 else reversed(compared_parts):
                bench.transcribe(name, size.episodes, size.limit_mib if name == "box" else None)
        if "alone" in parts:
            bench.transcribe("alone", size.alone, None, GEMINI_API_CONCURRENCY="1")
        if "old" in parts:
            bench.old_way(source)
    return bench.runs


def main() -> int:
    parser = argparse.ArgumentParser(description="Many calls of a remote engine at once in little memory.")
    parser.add_argument("--quick", action="store_true", help="a small form, two minutes")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--episodes", type=int, help="how many at once")
    parser.add_argument("--rounds", type=int, help="how often the box and no limit are compared")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    args = parser.parse_args()
    size = QUICK if args.quick else Size()
    asked = {name: getattr(args, name) for name in ("episodes", "rounds") if getattr(args, name)}
    size = replace(size, **asked)
    about = machine("av", "google-genai")
    with tempfile.TemporaryDirectory(prefix="bench-remote-") as folder:
        parts = measured(Path(folder), size, args.only.split(","))
    figures = told(parts)
    print(table(figures))
    if args.json:
        found = {"machine": about, "size": asdict(size), "figures": [asdict(one) for one in figures]}
        found["runs"] = [asdict(run) for part in parts.values() for run in part.runs]
        args.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
