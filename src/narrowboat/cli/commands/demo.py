"""``narrowboat demo``: a first transcript and first poses, of samples that are fetched like models.

Covers: the samples, both kinds of job queued together, and what is printed after.
Does not cover: doing them (``transcribe``, ``pose``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.commands import pose, transcribe
from narrowboat.cli.commands.models import pull
from narrowboat.cli.display import Display
from narrowboat.cli.options import Option, folder
from narrowboat.cli.output import Output, near
from narrowboat.cli.session import Submit, check_out, run_jobs
from narrowboat.config import default_cache
from narrowboat.engines.catalogue import DEFAULT_SPEECH, PACKS
from narrowboat.engines.embedding_models import DEFAULT_EMBEDDING
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.engines.pose_models import DEFAULT_POSE
from narrowboat.engines.remote_speech import DEFAULT_CHUNK
from narrowboat.errors import UsageError
from narrowboat.pipelines.pose.workflow import PIPELINE as POSE
from narrowboat.pipelines.transcribe.workflow import PIPELINE as TRANSCRIBE
from narrowboat.runner.runner import Runner
from narrowboat.sizes import format_size, parse_size

_SPEECH, _VIDEO = "sample-two-cities", "sample-walk"
_MEMORY = "512M"
_CHARACTERS = 400
_JOB: dict[str, Any] = {"max_download": None, "again": True, "label": "demo"}
_TRANSCRIBE: dict[str, Any] = {
    **_JOB,
    "model": DEFAULT_SPEECH,
    "language": "en",
    "formats": ["txt", "srt", "json"],
    "chunk": DEFAULT_CHUNK,
    "summary": False,
    "summary_words": None,
    "summary_model": DEFAULT_LANGUAGE,
    "embed": False,
    "embed_model": DEFAULT_EMBEDDING,
}
_POSE: dict[str, Any] = {
    **_JOB,
    "model": DEFAULT_POSE,
    "formats": ["csv", "json"],
    "overlay": True,
    "analyse": False,
    "people": 2,
    "smooth": "light",
    "every": 1,
    "trim": (None, None),
}


def run(values: argparse.Namespace, out: Output) -> int:
    """Fetch the samples, work on both, show the beginning of the text and how often people were seen."""
    transcribe.check_speech()
    values.memory = values.memory or parse_size(_MEMORY)
    values.out = values.out or Path.cwd() / "demo-output"
    check_out(values.out)
    preload = (*TRANSCRIBE.preload, *(POSE.preload if _has_pose() else ()))
    code, report = asyncio.run(run_jobs(values, out, _submit(values), preload=preload))
    out.data(report)
    if code == 0:
        _show(report, out)
    return code


def _has_pose() -> bool:
    try:
        pose.check_pose(_POSE["formats"])
    except UsageError:
        return False
    return True


def _submit(values: argparse.Namespace) -> Submit:
    def asked(options: dict[str, Any]) -> argparse.Namespace:
        return argparse.Namespace(**{**vars(values), **options})

    async def submit(runner: Runner, display: Display) -> None:
        speech = await _sample(runner, display, _SPEECH)
        video = await _sample(runner, display, _VIDEO) if _has_pose() else None
        display.note(f"working on {'it' if video is None else 'both'} within {format_size(values.memory)}")
        await transcribe.submit_all([speech], asked(_TRANSCRIBE))(runner, display)
        if video is not None:
            await pose.submit_all([video], asked(_POSE))(runner, display)

    return submit


async def _sample(runner: Runner, display: Display, name: str) -> str:
    pack = PACKS[name]
    display.note(f"a sample: {pack.about} ({format_size(pack.size)} to download, once)")
    path = await pull(runner, display, pack, default_cache().expanduser().absolute())
    return str(Path(path) / pack.files[0].name)


def _show(report: dict[str, Any], out: Output) -> None:
    outputs = [Path(path) for job in report["jobs"] for path in job["outputs"]]
    for path in outputs:
        if path.suffix == ".txt":
            text = " ".join(path.read_text("utf-8").split())
            short = text if len(text) <= _CHARACTERS else text[:_CHARACTERS].rsplit(" ", 1)[0] + " …"
            out.line()
            out.line(short)
        elif path.name.endswith(".overlay.mp4"):
            told = json.loads(path.with_name(path.name.replace(".overlay.mp4", ".json")).read_text("utf-8"))
            out.line()
            seen = f"{told['frames_with_pose']} of {told['frames']}"
            out.line(f"Somebody was seen in {seen} pictures: {near(path)} shows where.")
    out.line()
    out.line(
        f"It used {format_size(report['peak_used_bytes'])} at most, supervisor included, within a limit of"
        f" {format_size(report['limit_bytes'])}. All of it is in {near(outputs[0].parent)}."
    )


COMMAND = Command(
    "demo",
    "a first transcript and first poses, within 512M",
    "Fetches samples (44 seconds of A Tale of Two Cities, 8 seconds of people who walk) and the default models, works"
    "\non both at the same time within 512M unless --memory says otherwise, and shows the text and what it used.",
    """\
narrowboat demo
narrowboat demo --memory 384M --out /tmp/demo
""",
    run,
    (Option("--out", "folder of the outputs (default: ./demo-output)", folder, "DIR"),),
)
