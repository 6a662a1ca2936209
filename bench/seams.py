"""No word is lost or said twice at a seam: read clips, chunks of 1 to 45 minutes, a fake engine that knows every word.

    python bench/seams.py [--json FILE]

Covers: an episode made of the LibriSpeech clips, all of them again and again in random orders, with pauses;
``narrowboat transcribe`` with a fake engine (``tests/fakes``) that finds each chunk in the episode and answers with all
words any part of which lies in it, so that a cut inside a word shows as a word too many, and a gap as one too few.
Does not cover: what a real engine hears.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from difflib import SequenceMatcher
from importlib import import_module
from pathlib import Path
from typing import Any

import speech
from facts import machine
from figures import Figure, exit_code, figure, table

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

running: Any = import_module("fakes.running").running  # from the tests' folder
episodes: Any = import_module("fakes.episode")

CHUNKS = (1, 2, 5, 10, 20, 30, 45)  # minutes
MODELS = ("gemini:gemini-2.5-flash", "openai:whisper-1")


def transcribed(engine: Any, episode: Any, model: str, chunk: int, folder: Path) -> list[str]:
    """The words of the episode's transcript.

    Raises:
        SystemExit: the command failed; its output has been shown.
    """
    engine.reset()
    engine.set(answer="hearing", episodes=[str(episode.folder)])
    command = [sys.executable, "-m", "narrowboat", "transcribe", str(episode.flac), "--quiet", "--model", model]
    command += ["--chunk", f"{chunk}m", "--formats", "json", "--home", str(folder / "home"), "--out", str(folder)]
    far = {"GOOGLE_GEMINI_BASE_URL": engine.url, "OPENAI_BASE_URL": engine.openai_url}
    keys = {"GEMINI_API_KEY": "none", "OPENAI_API_KEY": "none"}
    done = subprocess.run(command, env={**os.environ, **far, **keys}, check=False)
    if done.returncode:
        sys.exit(f"the command ended with {done.returncode}: {' '.join(command)}")
    segments = json.loads((folder / "episode.json").read_text("utf-8"))["segments"]
    return [plain(word) for segment in segments for word in segment["text"].split()]


def plain(word: str) -> str:
    return word.strip(".").lower()


def differences(wanted: list[str], said: list[str]) -> tuple[int, int]:
    """Words too many, and words too few."""
    changes = SequenceMatcher(None, wanted, said, autojunk=False).get_opcodes() if wanted != said else []
    inserted = sum(d - c for kind, _, _, c, d in changes if kind in ("insert", "replace"))
    deleted = sum(b - a for kind, a, b, _, _ in changes if kind in ("delete", "replace"))
    return inserted, deleted


def measured(work: Path, clips: Path, minutes: float, seed: int, chunks: list[int]) -> list[Figure]:
    """Make the episode, and transcribe it with each engine and each length of chunks."""
    episode = episodes.build(episodes.read_clips(clips), work / "episode", seconds=60 * minutes, seed=seed)
    wanted = [plain(word.text) for word in episode.words]
    figures = [figure("words of the episode", len(wanted), ""), figure("its length", episode.seconds / 60, "min")]
    with running() as engine:
        for model in MODELS:
            for chunk in chunks:
                print(f"... {model}, {chunk} minutes", file=sys.stderr, flush=True)
                with tempfile.TemporaryDirectory(dir=work) as folder:
                    said = transcribed(engine, episode, model, chunk, Path(folder))
                inserted, deleted = differences(wanted, said)
                name = f"{model}, chunks of {chunk} min"
                answered = [one for op in ("generate", "transcribe") for one in engine.log(op)]
                figures.append(figure(f"{name}: calls", len(answered), ""))
                figures.append(figure(f"{name}: words too many", inserted, "", 0))
                figures.append(figure(f"{name}: words too few", deleted, "", 0))
                figures.append(figure(f"{name}: files left in the remote store", len(engine.files()), "", 0))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="Seams of a long episode, with chunks of 1 to 45 minutes.")
    parser.add_argument("--minutes", type=float, default=95, help="of the episode, at least; 95 when not given")
    parser.add_argument("--chunks", default=",".join(map(str, CHUNKS)), help="minutes")
    parser.add_argument("--clips", type=Path, default=speech.RECORDED / "librispeech", help="with references.tsv")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the clips and the pauses")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was counted")
    args = parser.parse_args()
    about = {"machine": machine("av", "google-genai", "openai"), "seed": args.seed}
    with tempfile.TemporaryDirectory(prefix="bench-seams-") as folder:
        figures = measured(
            Path(folder), args.clips, args.minutes, args.seed, [int(one) for one in args.chunks.split(",")]
        )
    print(table(figures))
    if args.json:
        args.json.write_text(
            json.dumps({**about, "figures": [asdict(one) for one in figures]}, indent=1) + "\n", "utf-8"
        )
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
