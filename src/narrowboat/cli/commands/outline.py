"""``narrowboat outline``: which sections PDFs have.

Covers: checking what was asked for before anything starts, printing what was found.
Does not cover: finding it (``pipelines/extract``), submitting (``submitting``), showing progress (``session``).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from narrowboat.cli import pdf_options
from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, text
from narrowboat.cli.output import Output, one_line, table
from narrowboat.cli.submitting import submitting, whole
from narrowboat.config import default_cache
from narrowboat.errors import UsageError
from narrowboat.pipelines.extract.document_workflow import sections_option
from narrowboat.pipelines.extract.outline_workflow import FORMATS, PIPELINE, options

_SHOWN, _WIDTH = 40, 70


def run(values: argparse.Namespace, out: Output) -> int:
    """Find sections, and say which."""
    pdf_options.check_pdf()
    if values.model is not None and (values.by != "auto" or values.level is not None):
        raise UsageError("--model names the sections itself", hint="leave out --by and --level")
    sections = sections_option(values.by, level=values.level)
    wanted = options(
        sections=sections,
        model=values.model,
        cache=default_cache().expanduser().absolute(),
        password_file=pdf_options.password_file(values),
        max_download=values.max_download,
    )
    submit = submitting(PIPELINE, [whole(source) for source in values.sources], wanted, values, formats=FORMATS)
    code, report = pdf_options.work(values, out, PIPELINE, pdf_options.checked_first(submit, sections))
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
    "\nedited before. A heading is guessed by the size of its type. With --model a language engine is asked.",
    """\
narrowboat outline book.pdf
narrowboat outline book.pdf --level 2 --out .
narrowboat outline paper.pdf --by headings
narrowboat outline scan.pdf --model gemini:gemini-2.5-flash
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
        Option(
            "--model",
            "ask a language engine instead: gemini:MODEL, openai:MODEL[@URL], gguf:smollm2 or gguf:/PATH",
            text,
            "MODEL",
            scope="outline",
        ),
        *pdf_options.COMMON,
    ),
    pdf_options.sources,
    runs=True,
)
