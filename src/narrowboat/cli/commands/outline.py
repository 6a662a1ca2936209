"""``narrowboat outline``: which sections PDFs have.

Covers: checking what was asked for before anything starts, printing what was found.
Does not cover: finding it (``pipelines/extract``), submitting (``submitting``), showing progress (``session``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from narrowboat.cli import pdf_options
from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, text
from narrowboat.cli.output import Output, one_line, table
from narrowboat.cli.session import check_out, run_jobs
from narrowboat.cli.submitting import submitting, whole
from narrowboat.pipelines.extract.document_workflow import sections_option
from narrowboat.pipelines.extract.outline_workflow import FORMATS, PIPELINE
from narrowboat.pipelines.extract.split_workflow import options

_SHOWN, _WIDTH = 40, 70


def run(values: argparse.Namespace, out: Output) -> int:
    """Find sections, and say which."""
    pdf_options.check_pdf()
    sections = sections_option(values.by, level=values.level)
    wanted = options(
        sections=sections,
        password_file=None if values.password_file is None else str(values.password_file),
        max_download=values.max_download,
    )
    values.out = values.out or values.home / "outputs"
    check_out(values.out)
    sources = [whole(source) for source in values.sources]
    submit = submitting(PIPELINE, sources, wanted, values, formats=FORMATS)
    code, report = asyncio.run(
        run_jobs(values, out, pdf_options.checked_first(submit, sections), preload=PIPELINE.preload)
    )
    out.data(report)
    for job in report["jobs"]:
        for path in job["outputs"]:
            _show(Path(path), out)
    return code


def _show(path: Path, out: Output) -> None:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    sections = found["sections"]
    out.line()
    counts = [_counted(found["pages"], "page"), _counted(len(sections), "section")]
    out.line(f"{found['source']}: {', '.join(counts)} by {found['sections_by']}")
    for warning in found["warnings"]:
        out.line(f"note: {warning}")
    rows = [("pages", "section"), *((section["pages"], one_line(section["name"], _WIDTH)) for section in sections)]
    for line in table(rows[: _SHOWN + 1]):
        out.line(f"  {line}")
    if len(sections) > _SHOWN:
        out.line(f"  and {len(sections) - _SHOWN} more")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


COMMAND = Command(
    "outline",
    "the sections of PDFs: names and pages",
    "Finds the sections of each PDF by its outline (bookmarks), else by its headings, else by its page labels, shows"
    "\nthem and writes DIR/NAME.outline.json, which `narrowboat split` and `extract` take as --sections. It may be"
    "\nedited before. A heading is guessed by the size of its type.",
    """\
narrowboat outline book.pdf
narrowboat outline book.pdf --level 2 --out .
narrowboat outline paper.pdf --by headings
""",
    run,
    (
        pdf_options.OUT,
        Option(
            "--by",
            "how sections are found: outline, headings, labels, pages:10, or auto: the first of the first three that"
            " finds some (default: auto)",
            text,
            "WAY",
            "auto",
        ),
        pdf_options.LEVEL,
        *pdf_options.COMMON,
    ),
    pdf_options.sources,
)
