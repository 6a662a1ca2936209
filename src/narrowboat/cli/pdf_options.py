"""What the commands on PDFs have in common.

Covers: their options, whether the extra is installed, checking a section file and a schema before anything starts,
running what was submitted.
Does not cover: what the commands do (``commands/outline``, ``commands/split``, ``commands/extract``).
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from narrowboat import extras
from narrowboat.cli.display import Display
from narrowboat.cli.options import Option, count, folder, size, text
from narrowboat.cli.output import Output
from narrowboat.cli.session import Submit, check_out, run_jobs
from narrowboat.cli.submitting import ADDRESSES
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.runner import Runner
from narrowboat.runner.steps import Step
from narrowboat.values import Json

CHECK = Step("narrowboat.pipelines.extract.section_files:check", memory="64M", cores=0, name="check")

OUT = Option("--out", "folder of the outputs (default: the home's outputs folder)", folder, "DIR")
LEVEL = Option(
    "--level",
    "level of the outline or of headings that sections begin at (default: the first that has several)",
    count,
    "N",
)
PASSWORD = Option("--password-file", "file whose first line is the password of the PDFs", folder, "FILE")
COMMON = (
    PASSWORD,
    Option("--max-download", "refuse to fetch more than this of one address, such as 2G", size, "SIZE"),
    Option("--again", "forget what was done of these sources and do it again"),
    Option("--label", "a word of your own for all of them: `narrowboat batches` counts them", text, "TEXT"),
)


def sections(help: str) -> Option:
    """The option ``--sections``; ``help`` says what it is for."""
    ways = "a section file, pages:10 for so many pages each, outline, headings, labels, or auto"
    said = f"{help}: {ways}: the first of these three that finds some (default: auto)"
    return Option("--sections", said, text, "WHICH", "auto")


def sources(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("sources", nargs="+", metavar="PDF", help=f"a PDF file, or {ADDRESSES}")


def check_pdf() -> None:
    """See that the extra is installed.

    Raises:
        UsageError: something of it is missing.
    """
    extras.require("pdf", "PDFs need")


def checked_first(submit: Submit, sections: dict[str, Json], schema: str | None = None) -> Submit:
    """The same, once a worker has found the section file and the schema to be well: they are foreign bytes."""

    async def checking(runner: Runner, display: Display) -> None:
        if sections["text"] is not None or schema is not None:
            await runner.call(CHECK, {"sections": sections["text"], "schema": schema})
        await submit(runner, display)

    return checking


def work(values: argparse.Namespace, out: Output, pipeline: Pipeline, submit: Submit) -> tuple[int, dict[str, Any]]:
    """Do what was submitted; its exit code and its report, which has been written."""
    values.out = values.out or values.home / "outputs"
    check_out(values.out)
    code, report = asyncio.run(run_jobs(values, out, submit, preload=pipeline.preload))
    out.data(report)
    return code, report


def password_file(values: argparse.Namespace) -> str | None:
    """The path that ``--password-file`` names, as options of jobs have it."""
    return None if values.password_file is None else str(values.password_file)
