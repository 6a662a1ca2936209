"""``narrowboat demo``: a first transcript, first poses and first answers, of samples that are fetched like models.

Covers: the samples, the kinds of job queued together, and what is printed after.
Does not cover: doing them (``transcribe``, ``pose``, ``extract``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrowboat.cli import pdf_options
from narrowboat.cli.command import Command
from narrowboat.cli.commands import extract, pose, transcribe
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
from narrowboat.pipelines.extract.workflow import PIPELINE as EXTRACT
from narrowboat.pipelines.pose.workflow import PIPELINE as POSE
from narrowboat.pipelines.transcribe.workflow import PIPELINE as TRANSCRIBE
from narrowboat.runner.runner import Runner
from narrowboat.sizes import format_size, parse_size

_SPEECH, _VIDEO, _DOCUMENT = "sample-two-cities", "sample-walk", "sample-manual"
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
_EXTRACT: dict[str, Any] = {
    **_JOB,
    "model": DEFAULT_LANGUAGE,
    "formats": ["json", "md"],
    "sections": "pages:10",
    "level": None,
    "prompt": "page size and margins",
    "prompt_file": None,
    "schema": None,
    "max_tokens": None,
    "password_file": None,
}


def run(values: argparse.Namespace, out: Output) -> int:
    """Fetch the samples, work on all of them, show what came of it."""
    transcribe.check_speech()
    values.memory = values.memory or parse_size(_MEMORY)
    values.out = values.out or Path.cwd() / "demo-output"
    check_out(values.out)
    kinds = _kinds(values)
    preload = tuple(dict.fromkeys(module for kind in kinds for module in kind.preload))
    code, report = asyncio.run(run_jobs(values, out, _submit(kinds, values.memory), preload=preload))
    out.data(report)
    if code == 0:
        _show(report, out)
    return code


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of job that can be shown here: its sample, and what submits that."""

    sample: str
    preload: tuple[str, ...]
    submit: Callable[[str], Submit]


def _kinds(values: argparse.Namespace) -> list[_Kind]:
    """Those whose extras are installed; speech always is."""

    def asked(options: dict[str, Any]) -> argparse.Namespace:
        return argparse.Namespace(**{**vars(values), **options})

    kinds = [_Kind(_SPEECH, TRANSCRIBE.preload, lambda path: transcribe.submit_all([path], asked(_TRANSCRIBE)))]
    with suppress(UsageError):
        pose.check_pose(_POSE["formats"])
        kinds.append(_Kind(_VIDEO, POSE.preload, lambda path: pose.submit_all([path], asked(_POSE))))
    with suppress(UsageError):
        pdf_options.check_pdf()
        kinds.append(_Kind(_DOCUMENT, EXTRACT.preload, lambda path: extract.submit_all([path], asked(_EXTRACT))))
    return kinds


def _submit(kinds: list[_Kind], memory: int) -> Submit:
    async def submit(runner: Runner, display: Display) -> None:
        samples = [await _sample(runner, display, kind.sample) for kind in kinds]
        display.note(f"working on {'all of them' if len(kinds) > 1 else 'it'} within {format_size(memory)}")
        for kind, path in zip(kinds, samples, strict=True):
            await kind.submit(path)(runner, display)

    return submit


async def _sample(runner: Runner, display: Display, name: str) -> str:
    pack = PACKS[name]
    display.note(f"a sample: {pack.about} ({format_size(pack.size)} to download, once)")
    path = await pull(runner, display, pack, default_cache().expanduser().absolute())
    return str(Path(path) / pack.files[0].name)


def _show(report: dict[str, Any], out: Output) -> None:
    outputs = [Path(path) for job in report["jobs"] for path in job["outputs"]]
    for path in outputs:
        if (said := _about(path)) is not None:
            out.line()
            out.line(said)
    out.line()
    out.line(
        f"It used {format_size(report['peak_used_bytes'])} at most, supervisor included, within a limit of"
        f" {format_size(report['limit_bytes'])}. All of it is in {near(outputs[0].parent)}."
    )


def _about(path: Path) -> str | None:
    """A few words on an output; None on those that another one tells of."""
    if path.suffix == ".txt":
        text = " ".join(path.read_text("utf-8").split())
        return text if len(text) <= _CHARACTERS else text[:_CHARACTERS].rsplit(" ", 1)[0] + " …"
    if path.name.endswith(".overlay.mp4"):
        told = json.loads(path.with_name(path.name.replace(".overlay.mp4", ".json")).read_text("utf-8"))
        return (
            f"Somebody was seen in {told['frames_with_pose']} of {told['frames']} pictures: {near(path)} shows where."
        )
    if path.name.endswith(".answers.json"):
        told = json.loads(path.read_text("utf-8"))
        quotes = [quote for section in told["sections"] for quote in section.get("quotes") or ()]
        first = f", such as “{quotes[0]['text']}” (page {quotes[0]['page']})" if quotes else ""
        return f"{told['pages']} pages, asked for “{told['prompt']}”: {len(quotes)} quotes{first}"
    return None


COMMAND = Command(
    "demo",
    "a first transcript, first poses and first answers, within 512M",
    "Fetches samples (44 seconds of A Tale of Two Cities, 8 seconds of people who walk, a manual of 122 pages) and the"
    "\ndefault models, works on all at the same time within 512M unless --memory says otherwise, and shows what came"
    "\nof it and what it used.",
    """\
narrowboat demo
narrowboat demo --memory 384M --out /tmp/demo
""",
    run,
    (Option("--out", "folder of the outputs (default: ./demo-output)", folder, "DIR"),),
    runs=True,
)
