"""The kinds of jobs that the service takes, each in the words of a request.

Covers: which options a request may have (a schema that is shown and checked), what they mean to the pipeline, what a
job must be able to reserve.
Does not cover: the pipelines (``pipelines/``), options that name places on this machine: nobody outside may use those.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from narrowboat.config import default_cache
from narrowboat.engines.catalogue import DEFAULT_SPEECH, LANGUAGES, PACKS, packs
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.errors import UsageError
from narrowboat.pipelines.transcribe import outputs_workflow as transcript
from narrowboat.pipelines.transcribe import workflow as transcribe
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step
from narrowboat.service.schema import Schema, check
from narrowboat.values import Json

#: Remote engines by name alone: an address in a model's name would have our key sent there.
_REMOTE = ("gemini:", "openai:")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as a request wants it: options of the pipeline, and formats."""

    options: dict[str, Json]
    formats: list[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A pipeline as the service takes it.

    Attributes:
        name: of the pipeline.
        title: what the page calls it.
        takes: what files it works on, as the ``accept`` of a file field.
        options: schema of the options of a request.
        formats: those that it can write; ``usual`` when a request names none.
        build: from the options and formats of a request to those of the pipeline.
        step: the step of a job that needs the most, when that is known before there are facts.
        needs: modules that have to be installed, by the extra ``extra``.
    """

    name: str
    title: str
    takes: str
    pipeline: Pipeline
    options: Schema
    formats: Sequence[str]
    usual: Sequence[str]
    build: Callable[[dict[str, Json], list[str]], Wanted]
    step: Callable[[dict[str, Json], int], Step] | None = None
    needs: Sequence[str] = ()
    extra: str = ""
    private: Sequence[str] = field(default=("cache",))

    @property
    def installed(self) -> bool:
        """Whether its extra is there."""
        return all(importlib.util.find_spec(name) is not None for name in self.needs)

    def wanted(self, options: Json, formats: Sequence[str] | None) -> Wanted:
        """What a request wants, checked.

        Raises:
            UsageError: it makes no sense, or the extra is missing.
        """
        if not self.installed:
            raise UsageError(f"{self.name} is not installed on this service", hint=f"it needs narrowboat[{self.extra}]")
        check(options, self.options, "options")
        chosen = list(dict.fromkeys(formats or self.usual))
        unknown = [name for name in chosen if name not in self.formats]
        if unknown:
            raise UsageError(f"{self.name} writes no {unknown[0][:60]!r}", hint=f"it writes {', '.join(self.formats)}")
        return self.build(options, chosen)

    def shown(self, options: dict[str, Json]) -> dict[str, Json]:
        """A job's options without those that name places on this machine."""
        return {name: value for name, value in options.items() if name not in self.private}


def model_from_outside(text: str) -> str:
    """The name of a model that a request may use.

    Raises:
        UsageError: it is a path, has an address in it, or is unknown.
    """
    name = text.strip()
    if name.startswith(_REMOTE) and "@" not in name:
        return name
    if name.removeprefix("local:") in PACKS or name == DEFAULT_LANGUAGE:
        return name
    known = ", ".join(f"local:{pack.name}" for pack in packs() if pack.kind == "speech model")
    raise UsageError(f"there is no model {text[:60]!r} for requests", hint=f"use {known}, gemini:MODEL or openai:MODEL")


def kinds() -> dict[str, Kind]:
    """All kinds, by name."""
    return {kind.name: kind for kind in (_transcribe(),)}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


_WORDS: Schema = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1, "maximum": 100_000},
    "minItems": 2,
    "maxItems": 2,
    "description": "How many words the summary is to have, from and to.",
}


def _transcribe() -> Kind:
    models = [f"local:{pack.name}" for pack in packs() if pack.kind == "speech model"]
    return Kind(
        name="transcribe",
        title="Transcribe speech",
        takes="audio/*,video/*",
        pipeline=transcribe.PIPELINE,
        options=_object(
            model={
                "type": "string",
                "maxLength": 200,
                "default": DEFAULT_SPEECH,
                "examples": models,
                "description": "Speech model: local:NAME, gemini:MODEL or openai:MODEL.",
            },
            language={
                "type": ["string", "null"],
                "enum": [*sorted(LANGUAGES), "auto", None],
                "default": None,
                "description": "Code of the spoken language; found out when null.",
            },
            summary={"type": "boolean", "default": False, "description": "Sum the transcript up too."},
            summary_words=_WORDS,
            summary_model={"type": "string", "maxLength": 200, "default": DEFAULT_LANGUAGE},
        ),
        formats=transcript.FORMATS,
        usual=("txt", "json"),
        build=_wanted_transcript,
        step=transcribe.recognise_step,
        needs=("av", "ctranslate2", "earshot", "numpy"),
        extra="speech",
    )


def _wanted_transcript(options: dict[str, Json], formats: list[str]) -> Wanted:
    summary = bool(options.get("summary"))
    if summary and "summary" not in formats:
        formats = [*formats, "summary"]
    words = options.get("summary_words")
    if words is not None and words[0] > words[1]:
        raise UsageError(
            f"options.summary_words goes from {words[0]} to {words[1]}", hint="write the smaller one first"
        )
    after = transcript.after_options(
        formats=formats,
        summary=summary,
        summary_words=words,
        summary_model=model_from_outside(options.get("summary_model", DEFAULT_LANGUAGE)),
    )
    return Wanted(
        transcribe.options(
            model=model_from_outside(options.get("model", DEFAULT_SPEECH)),
            language=options.get("language"),
            max_download=None,
            cache=default_cache().expanduser().absolute(),
            after=after,
        ),
        formats,
    )
