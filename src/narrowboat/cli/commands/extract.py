"""``narrowboat extract``: a question about each section of PDFs.

Covers: checking what was asked for before anything starts.
Does not cover: doing it (``pipelines/extract``), submitting (``submitting``), showing it (``session``).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from narrowboat.cli import pdf_options
from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, count, folder, one_of, text
from narrowboat.cli.output import Output
from narrowboat.cli.session import Submit
from narrowboat.cli.submitting import submitting, whole
from narrowboat.config import default_cache
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.errors import UsageError
from narrowboat.pipelines.extract.document_workflow import read_text, sections_option
from narrowboat.pipelines.extract.workflow import FORMATS, PIPELINE, options


def run(values: argparse.Namespace, out: Output) -> int:
    """Ask about each section, and say how it went."""
    pdf_options.check_pdf()
    code, _ = pdf_options.work(values, out, PIPELINE, submit_all([whole(source) for source in values.sources], values))
    return code


def submit_all(sources: Sequence[str], values: argparse.Namespace) -> Submit:
    """What submits the sources with the options of the command line.

    Raises:
        UsageError: no such model, no prompt; a section file, prompt or schema that can't be read.
    """
    sections = sections_option(values.sections, level=values.level)
    schema = None if values.schema is None else read_text(values.schema, "--schema")
    wanted = options(
        model=values.model,
        prompt=_prompt(values),
        sections=sections,
        schema=schema,
        max_tokens=values.max_tokens,
        password_file=pdf_options.password_file(values),
        max_download=values.max_download,
        cache=default_cache().expanduser().absolute(),
    )
    submit = submitting(PIPELINE, sources, wanted, values, formats=values.formats)
    return pdf_options.checked_first(submit, sections, schema)


def _prompt(values: argparse.Namespace) -> str:
    if (values.prompt is None) == (values.prompt_file is None):
        raise UsageError("extract takes --prompt or --prompt-file", hint="say what each section is asked for")
    return str(values.prompt) if values.prompt is not None else read_text(values.prompt_file, "--prompt-file")


COMMAND = Command(
    "extract",
    "a question about each section of PDFs: json, md, csv",
    "Asks a language engine the same about each section, as many at once as fit, and writes DIR/NAME.answers.FORMAT"
    "\nwith the answers in the document's order. The default engine needs no model and no network: it quotes sentences"
    "\nthat fit, with their pages. A section that fails is named, and does not stop the others; the same command again"
    "\nasks only about those that have no answer yet.",
    """\
narrowboat extract book.pdf --prompt "How is the lock operated?"
narrowboat extract book.pdf --sections pages:10 --prompt-file prompt.txt --formats json,md
narrowboat extract book.pdf --prompt "List all dates" --model gemini:gemini-2.5-flash --schema dates.json
""",
    run,
    (
        pdf_options.OUT,
        Option("--prompt", "what each section is asked for", text, "TEXT"),
        Option("--prompt-file", "a file that says so", folder, "FILE"),
        pdf_options.sections("what is asked about"),
        pdf_options.LEVEL,
        Option(
            "--formats",
            f"of {', '.join(FORMATS)}, with commas (default: json)",
            one_of(*FORMATS),
            "LIST",
            ["json"],
            "extract",
        ),
        Option(
            "--model",
            f"language engine: {DEFAULT_LANGUAGE}, gemini:MODEL (reads the pages as they look), openai:MODEL or"
            f" openai:MODEL@URL (reads their text), gguf:smollm2 or gguf:/PATH (the same, on this machine)"
            f" (default: {DEFAULT_LANGUAGE})",
            text,
            "MODEL",
            DEFAULT_LANGUAGE,
            "extract",
        ),
        Option("--schema", "file with a JSON Schema that each answer is to follow", folder, "FILE"),
        Option("--max-tokens", "how long an answer of a model may be at most", count, "N"),
        *pdf_options.COMMON,
    ),
    pdf_options.sources,
    runs=True,
)
