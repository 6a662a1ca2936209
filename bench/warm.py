"""How long the first item of a short job takes when the worker is warm, against the inference alone.

    python bench/warm.py [--jobs 10] [--rounds 3] [--model local:whisper-base] [--json FILE]

Covers: short clips, one job after the other, as a person or a service sends them: from submitting a job to its first
segment in the supervisor (fingerprint, claim, probe and recognition, each in a worker), against the time that
the recogniser alone takes for the same clip in a process that has the model loaded and does nothing else. Both are done
in turn, in new processes each round; the least of each counts, since whatever else the machine does only adds.
Does not cover: accuracy, memory, many files at once (``transcribe``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import speech
from facts import machine

from narrowboat import Runner
from narrowboat.config import default_cache
from narrowboat.pipelines.transcribe.workflow import PIPELINE, options, transcribe
from narrowboat.runner.job import Job


def clips(count: int, work: Path) -> list[Path]:
    """``count`` recordings of a few seconds each, all different."""
    folder = speech.RECORDED / "librispeech"
    found = sorted(folder.glob("*.flac"))[:count]
    if len(found) == count:
        return found
    return [speech.episode(work / f"{number}.mp3", seconds=8 + number) for number in range(count)]


def pure(paths: list[Path], model: str) -> list[float]:
    """Seconds to the first segment of each clip, one after the other in this process; the first loads the model."""
    from narrowboat.engines.speech.prepare import prepare_model
    from narrowboat.media.probe import probe
    from narrowboat.pipelines.transcribe.steps import recognise

    model_dir = prepare_model({"model": model, "cache": str(default_cache())})["path"]
    took = []
    for path in paths:
        facts = probe({"path": str(path), "name": path.name})
        given = {
            "path": str(path),
            "stream": facts["stream"],
            "duration": facts["duration"],
            "model_dir": model_dir,
            "language": None,
        }
        began = time.perf_counter()
        next(iter(recognise(given, None)))
        took.append(time.perf_counter() - began)
    return took


async def through_narrowboat(paths: list[Path], model: str, home: Path) -> list[float]:
    """Seconds from submitting each clip to its first segment, each job submitted when the one before is done."""
    first: dict[str, float] = {}

    async def timed(job: Job) -> None:
        told = job.progress

        def progress(fraction: float, **facts: Any) -> None:
            first.setdefault(job.id, time.perf_counter())
            told(fraction, **facts)

        job.progress = progress  # type: ignore[method-assign]
        await transcribe(job)

    pipeline = replace(PIPELINE, workflow=timed)
    took = []
    async with Runner("1500M", home=home, preload=PIPELINE.preload) as runner:
        for path in paths:
            wanted = options(model=model, language=None, max_download=None, cache=default_cache())
            began = time.perf_counter()
            job_id = await runner.submit(pipeline, str(path), wanted, out=home / "outputs", formats=["txt"])
            await runner.wait([job_id])
            assert runner.status().counts["failed"] == 0, [str(entry.error) for entry in runner.entries]
            took.append(first[job_id] - began)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=10, help="how many jobs; the last one counts (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="how often both are measured (default: 3)")
    parser.add_argument("--model", default="local:whisper-base", help="the speech model (default: local:whisper-base)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--pure", nargs="+", type=Path, help=argparse.SUPPRESS)
    values = parser.parse_args()
    if values.pure:
        print(json.dumps(pure(values.pure, values.model)))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        paths = clips(values.jobs, work)
        inferences: list[list[float]] = []
        wholes: list[list[float]] = []
        alone = [sys.executable, __file__, "--model", values.model, "--pure", *map(str, paths)]
        for number in range(values.rounds):
            done = subprocess.run(alone, check=True, capture_output=True, text=True)
            inferences.append(json.loads(done.stdout))
            wholes.append(asyncio.run(through_narrowboat(paths, values.model, work / f"home-{number}")))
    whole, inference = (
        [min(times) for times in zip(*wholes, strict=True)],
        [min(times) for times in zip(*inferences, strict=True)],
    )
    print(f"{'job':>4} {'first item s':>13} {'inference s':>12} {'ratio':>6}")
    for number, (took, took_alone) in enumerate(zip(whole, inference, strict=True), 1):
        print(f"{number:>4} {took:>13.3f} {took_alone:>12.3f} {took / took_alone:>6.2f}")
    ratio = whole[-1] / inference[-1]
    print(f"first item of job {values.jobs}: {ratio:.2f} x the inference alone")
    if values.json:
        found = {"machine": machine(), "first_item_s": wholes, "inference_s": inferences, "ratio": ratio}
        values.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
