"""``narrowboat split``: sections of PDFs to files.

Covers: checking what was asked for before anything starts.
Does not cover: doing it (``pipelines/extract``), submitting (``submitting``), showing it (``session``).
"""

from __future__ import annotations

import argparse

from narrowboat.cli import pdf_options
from narrowboat.cli.command import Command
from narrowboat.cli.output import Output
from narrowboat.cli.submitting import submitting, whole
from narrowboat.pipelines.extract.document_workflow import sections_option
from narrowboat.pipelines.extract.split_workflow import FORMATS, PIPELINE, options


def run(values: argparse.Namespace, out: Output) -> int:
    """Split, and say how it went."""
    pdf_options.check_pdf()
    sections = sections_option(values.sections, level=values.level)
    wanted = options(
        sections=sections, password_file=pdf_options.password_file(values), max_download=values.max_download
    )
    submit = submitting(PIPELINE, [whole(source) for source in values.sources], wanted, values, formats=FORMATS)
    code, _ = pdf_options.work(values, out, PIPELINE, pdf_options.checked_first(submit, sections))
    return code


COMMAND = Command(
    "split",
    "sections of PDFs to files of their own",
    "Writes a file for each section into DIR/NAME.sections, and DIR/NAME.sections.json, which says which is which."
    "\nEach file holds what its pages need and nothing of the others; text, pictures and web links stay as they are."
    "\nWhat was encrypted is not any more. A section that can't be cut is named, and does not stop the others.",
    """\
narrowboat split book.pdf --out parts
narrowboat split book.pdf --sections pages:20
narrowboat split book.pdf --sections book.outline.json --password-file secret.txt
""",
    run,
    (
        pdf_options.OUT,
        pdf_options.sections("what is cut out"),
        pdf_options.LEVEL,
        *pdf_options.COMMON,
    ),
    pdf_options.sources,
    runs=True,
)
