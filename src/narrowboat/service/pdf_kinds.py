"""Work on PDFs, in the words of a request: questions about sections, sections to files, which sections there are.

Covers: their options and what they mean to the pipelines; how a request says which sections it means.
Does not cover: the pipelines (``pipelines/extract``), the routes of an earlier system (``sections_api``).
"""

from __future__ import annotations

import json

from narrowboat.config import default_cache
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.errors import UsageError
from narrowboat.pipelines.extract import outline_workflow, split_workflow
from narrowboat.pipelines.extract import workflow as extract
from narrowboat.pipelines.extract.document_workflow import COUNT, sections_option
from narrowboat.pipelines.extract.models_workflow import asking_step, engine
from narrowboat.service.kinds import MODEL, Kind, Wanted, model_from_outside, object_schema
from narrowboat.service.schema import Schema
from narrowboat.values import Json

_EXTRA, _TAKES = "pdf", "application/pdf"
MOST_SECTIONS, _MOST_PROMPT = 2000, 100_000
_WAYS: Schema = {
    "type": "string",
    "pattern": "^(auto|outline|headings|labels|pages:[1-9][0-9]{0,5})$",
    "description": "How sections are found: auto, outline, headings, labels, or pages:10 for so many pages each.",
}
_SECTION: Schema = {
    "type": "object",
    "required": ["name", "pages"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 300},
        "pages": {"type": "string", "minLength": 1, "maxLength": 300, "examples": ["1-12", "3", "1-3,7"]},
    },
}
_SECTIONS: Schema = {
    "anyOf": [_WAYS, {"type": "array", "items": _SECTION, "minItems": 1, "maxItems": MOST_SECTIONS}],
    "default": "auto",
}
_LEVEL: Schema = {"type": ["integer", "null"], "minimum": 1, "maximum": 20, "default": None}


def extract_kind() -> Kind:
    """A question about each section."""
    return Kind(
        name="extract",
        title="Ask about sections of a PDF",
        takes=_TAKES,
        pipeline=extract.PIPELINE,
        options=object_schema(
            prompt={"type": "string", "minLength": 1, "maxLength": _MOST_PROMPT, "pattern": r"\S"},
            model={**MODEL, "default": DEFAULT_LANGUAGE},
            sections=_SECTIONS,
            level=_LEVEL,
            schema={"type": ["object", "null"], "default": None, "description": "JSON Schema of the answers."},
            max_tokens={"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000, "default": None},
        )
        | {"required": ["prompt"]},
        formats=extract.FORMATS,
        usual=("json", "md"),
        build=_wanted_answers,
        step=lambda options, cores: asking_step(engine(str(options["model"]))),
        extra=_EXTRA,
    )


def split_kind() -> Kind:
    """Sections to files."""
    return Kind(
        name="split",
        title="Split a PDF into sections",
        takes=_TAKES,
        pipeline=split_workflow.PIPELINE,
        options=object_schema(sections=_SECTIONS, level=_LEVEL),
        formats=split_workflow.FORMATS,
        usual=split_workflow.FORMATS,
        build=_wanted_sections,
        step=lambda options, cores: COUNT,
        extra=_EXTRA,
        folders=("sections",),
    )


def outline_kind() -> Kind:
    """Which sections there are."""
    asked = {**MODEL, "type": ["string", "null"], "default": None, "description": "A language engine to ask for them."}
    return Kind(
        name="outline",
        title="Find the sections of a PDF",
        takes=_TAKES,
        pipeline=outline_workflow.PIPELINE,
        options=object_schema(sections=_SECTIONS, level=_LEVEL, model=asked),
        formats=outline_workflow.FORMATS,
        usual=outline_workflow.FORMATS,
        build=_wanted_outline,
        step=lambda options, cores: asking_step(engine(str(options["model"]))) if options.get("model") else COUNT,
        extra=_EXTRA,
    )


def sections_of(options: dict[str, Json]) -> dict[str, Json]:
    """The pipelines' option ``sections`` from that of a request: a way to find them, or a list of them."""
    given, level = options.get("sections", "auto"), options.get("level")
    if isinstance(given, str):
        return sections_option(given, level=level)
    return {"by": "file", "each": None, "level": level, "text": json.dumps({"sections": given})}


def _wanted_answers(options: dict[str, Json], formats: list[str]) -> Wanted:
    schema = options.get("schema")
    made = extract.options(
        model=model_from_outside(options.get("model", DEFAULT_LANGUAGE)),
        prompt=options["prompt"],
        sections=sections_of(options),
        schema=None if schema is None else json.dumps(schema),
        max_tokens=options.get("max_tokens"),
        cache=default_cache().expanduser().absolute(),
    )
    return Wanted(made, formats)


def _wanted_outline(options: dict[str, Json], formats: list[str]) -> Wanted:
    model = options.get("model")
    if model is not None and (options.get("sections", "auto") != "auto" or options.get("level") is not None):
        raise UsageError("options.model names the sections itself", hint="leave out options.sections and options.level")
    made = outline_workflow.options(
        sections=sections_of(options),
        model=None if model is None else model_from_outside(model),
        cache=default_cache().expanduser().absolute(),
    )
    return Wanted(made, formats)


def _wanted_sections(options: dict[str, Json], formats: list[str]) -> Wanted:
    return Wanted(split_workflow.options(sections=sections_of(options)), formats)
