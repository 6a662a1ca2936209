"""``narrowboat demo``: a first transcript, of a sample that is fetched like a model.

Covers: the sample, and what is printed after; between them it is ``transcribe``.
Does not cover: transcribing (``transcribe``).
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from narrowboat.cli.command import Command
from narrowboat.cli.commands import transcribe
from narrowboat.cli.commands.models import pull
from narrowboat.cli.display import Display
from narrowboat.cli.options import Option, folder
from narrowboat.cli.output import Output, near
from narrowboat.cli.session import check_out, run_jobs
from narrowboat.config import default_cache
from narrowboat.engines.catalogue import DEFAULT_SPEECH, PACKS
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.engines.remote_speech import DEFAULT_CHUNK
from narrowboat.pipelines.transcribe.workflow import PIPELINE
from narrowboat.runner.runner import Runner
from narrowboat.sizes import format_size, parse_size

_SAMPLE = "sample-two-cities"
_MEMORY = "512M"
_FORMATS = ["txt", "srt", "json"]
_CHARACTERS = 400


def run(values: argparse.Namespace, out: Output) -> int:
    """Fetch the sample, transcribe it, show the beginning."""
    transcribe.check_speech()
    values.memory = values.memory or parse_size(_MEMORY)
    values.out = values.out or Path.cwd() / "demo-output"
    check_out(values.out)
    vars(values).update(
        model=DEFAULT_SPEECH, language="en", max_download=None, again=True, label="demo", formats=_FORMATS
    )
    vars(values).update(chunk=DEFAULT_CHUNK, summary=False, summary_words=None, summary_model=DEFAULT_LANGUAGE)
    code, report = asyncio.run(run_jobs(values, out, _submit(values), preload=PIPELINE.preload))
    out.data(report)
    if code == 0:
        _show(report, out)
    return code


def _submit(values: argparse.Namespace) -> Any:
    async def submit(runner: Runner, display: Display) -> None:
        pack = PACKS[_SAMPLE]
        display.note(f"the sample: {pack.about} ({format_size(pack.size)} to download, once)")
        path = await pull(runner, display, pack, default_cache().expanduser().absolute())
        source = str(Path(path) / pack.files[0].name)
        display.note(f"transcribing it with {values.model} within {format_size(values.memory)}")
        await transcribe.submit_all([source], values)(runner, display)

    return submit


def _show(report: dict[str, Any], out: Output) -> None:
    outputs = report["jobs"][0]["outputs"]
    for path in outputs:
        if path.endswith(".txt"):
            text = " ".join(Path(path).read_text("utf-8").split())
            short = text if len(text) <= _CHARACTERS else text[:_CHARACTERS].rsplit(" ", 1)[0] + " …"
            out.line()
            out.line(short)
            out.line()
    out.line(
        f"It used {format_size(report['peak_used_bytes'])} at most, supervisor included, within a limit of"
        f" {format_size(report['limit_bytes'])}. The transcript is in {near(Path(outputs[0]).parent)}."
    )


COMMAND = Command(
    "demo",
    "a first transcript, within 512M",
    "Fetches a sample (44 seconds of A Tale of Two Cities) and the default model, transcribes it within 512M unless"
    "\n--memory says otherwise, and shows the text and what it used.",
    """\
narrowboat demo
narrowboat demo --memory 384M --out /tmp/demo
""",
    run,
    (Option("--out", "folder of the outputs (default: ./demo-output)", folder, "DIR"),),
)
