"""Transcribing, in the words of a request.

Covers: its options and what they mean to the pipeline.
Does not cover: the pipeline (``pipelines/transcribe``).
"""

from __future__ import annotations

from narrowboat.config import default_cache
from narrowboat.engines.catalogue import DEFAULT_SPEECH, LANGUAGES, packs
from narrowboat.engines.language_models import DEFAULT_LANGUAGE
from narrowboat.errors import UsageError
from narrowboat.pipelines.transcribe import outputs_workflow as transcript
from narrowboat.pipelines.transcribe import workflow as transcribe
from narrowboat.service.kinds import MODEL, Kind, Wanted, model_from_outside, object_schema
from narrowboat.service.schema import Schema
from narrowboat.values import Json

_WORDS: Schema = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1, "maximum": 100_000},
    "minItems": 2,
    "maxItems": 2,
    "description": "How many words the summary is to have, from and to.",
}


def transcribe_kind() -> Kind:
    """Sound or video to text."""
    models = [f"local:{pack.name}" for pack in packs() if pack.kind == "speech model"]
    return Kind(
        name="transcribe",
        title="Transcribe speech",
        takes="audio/*,video/*",
        pipeline=transcribe.PIPELINE,
        options=object_schema(
            model={
                **MODEL,
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
            summary_model={**MODEL, "default": DEFAULT_LANGUAGE},
        ),
        formats=transcript.FORMATS,
        usual=("txt", "json"),
        build=_wanted_transcript,
        step=transcribe.largest_step,
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
