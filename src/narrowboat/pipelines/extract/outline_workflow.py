"""Outline: which sections a PDF has, as a file that extract and split take. The workflow, which runs in the supervisor.

Covers: the order of the steps, asking a language engine which sections there are, what makes two jobs the same.
Does not cover: finding sections (``document_workflow``), asking (``answers_workflow``).

Options of a job: those of ``document_workflow``, and ``model`` (as for ``--model``, or None), with what is asked of it:
``prompt``, ``schema``, ``max_tokens``, ``cache``.
"""

from __future__ import annotations

import json
from pathlib import Path

from narrowboat.engines.language_models import QUOTES
from narrowboat.errors import UsageError, from_json
from narrowboat.pipelines.extract import split_workflow
from narrowboat.pipelines.extract.answers_workflow import answered
from narrowboat.pipelines.extract.document_workflow import (
    COUNT,
    FIND,
    PRELOAD,
    Document,
    looked_into,
    opening,
    surveyed,
)
from narrowboat.pipelines.extract.models_workflow import asking_step, engine
from narrowboat.pipelines.packs_workflow import model_file
from narrowboat.runner.job import Job
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step, digest
from narrowboat.values import Json

FORMATS = ("outline",)
ENDINGS = {"outline": "outline.json"}
#: Memory as measured. It takes a moment: no wait for a core.
LIST = Step("narrowboat.pipelines.extract.placing:list_sections", memory="32M", cores=0, name="list")
_PROMPT = (
    "Which sections is this document divided into: its chapters, lessons or units, those that one would read one at a"
    " time? List them in their order, each with its title and the pages that it covers. Pages are numbers of pages in"
    ' the file, counted from 1, whatever is printed on them: "12" or "12-20".'
)
_SECTION = {"name": {"type": "string"}, "pages": {"type": "string", "pattern": "^[0-9]+(-[0-9]+)?$"}}
_LISTED = {"type": "object", "properties": _SECTION, "required": ["name", "pages"]}
_SECTIONS = {"sections": {"type": "array", "items": _LISTED, "minItems": 1}}
_SCHEMA = {"type": "object", "properties": _SECTIONS, "required": ["sections"]}


async def outline(job: Job) -> None:
    """Look into the document, write which sections it has."""
    await job.require(COUNT)
    document = await (looked_into(job) if job.options.get("model") is None else _asked(job))
    sections = [{"name": section["name"], "pages": section["pages"]} for section in document.sections]
    given = {"source": job.name, "pages": document.facts["pages"], "by": document.by, "warnings": document.notes}
    await job.write(LIST, {**given, "sections": sections}, at={})


async def _asked(job: Job) -> Document:
    """The document with the sections that a language engine names. Those that it can't have are left out, and noted."""
    found = engine(str(job.options["model"]))
    step = asking_step(found)
    await job.require(step)
    at = await opening(job)
    size, facts = await surveyed(job, at)
    pages = facts["pages"]
    whole = {"name": "the whole document", "pages": f"1-{pages}", "ranges": [[1, pages]], "error": None}
    document = Document(facts, size, found.name, [whole], facts["warnings"])
    model_path = None if found.local is None else await model_file(job, found.local)
    (outcome,) = await answered(job, document, step, found, model_path)
    if outcome.error is not None:
        raise from_json(outcome.error)
    named = (await job.result(step, outcome.key))["value"]
    given = {"by": "file", "each": None, "level": None, "text": json.dumps(named), "asked": digest(named)}
    placed = (await job.run(FIND, given, size, at=at))["sections"]
    wrong = [section for section in placed if section["error"] is not None]
    notes = [f"{found.name} named {one['name']!r}, left out: {one['error']['message']}" for one in wrong]
    sections = [section for section in placed if section["error"] is None]
    return Document(facts, size, found.name, sections, [*facts["warnings"], *notes])


def identity(options: dict[str, Json]) -> Json:
    """What changes what is found."""
    model = options.get("model")
    return split_workflow.identity(options) if model is None else [engine(str(model)).version, _PROMPT]


def options(
    *,
    sections: dict[str, Json],
    model: str | None = None,
    cache: Path,
    password_file: str | None = None,
    max_download: int | None = None,
) -> dict[str, Json]:
    """The options of a job.

    Raises:
        UsageError: no such model, one that can't be asked here, or one that gives quotes.
    """
    made = split_workflow.options(sections=sections, password_file=password_file, max_download=max_download)
    if model is None:
        return made
    found = engine(model)
    if found.kind == QUOTES:
        raise UsageError(
            f"{found.name} gives quotes, and names no sections",
            hint="without --model they are found in the document; or name another model",
        )
    asking_step(found)
    asked = {"model": found.name, "prompt": _PROMPT, "schema": json.dumps(_SCHEMA), "max_tokens": None}
    return {**made, **asked, "cache": str(cache)}


PIPELINE = Pipeline(
    "outline",
    outline,
    formats=FORMATS,
    identity=identity,
    endings=ENDINGS,
    preload=(*PRELOAD, "narrowboat.pipelines.extract.placing"),
)
