"""Shapes that several operations share: parameters and schemas of answers.

Covers: what a job, a list and the memory look like in the document.
Does not cover: making them (``jobs``, ``health``).
"""

from __future__ import annotations

from typing import Any

from narrowboat.runner.listing import STATES
from narrowboat.service.operations import JSON_TYPE, Answer, Parameter

ID = Parameter("id", {"type": "string", "minLength": 1, "maxLength": 100}, "Id of a job.", "path")
_NUMBER, _WORD = {"type": "number"}, {"type": "string"}
_NUMBER_OR_NULL, _WORD_OR_NULL = {"type": ["number", "null"]}, {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_PROBLEM_OR_NULL = {"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]}


def _object(required: bool = True, **properties: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties}
    return {**found, "required": list(properties)} if required else found


OUTPUT = _object(name=_WORD, format=_WORD, bytes=_COUNT, type=_WORD, href=_WORD)
LIVE = _object(
    stage=_WORD,
    fraction=_NUMBER_OR_NULL,
    waiting={"type": "boolean"},
    used_bytes=_COUNT,
    reserved_bytes=_COUNT,
    facts={"type": "object"},
)
JOB = _object(
    id=_WORD,
    pipeline=_WORD,
    source=_WORD,
    label=_WORD_OR_NULL,
    state={"type": "string", "enum": list(STATES)},
    reason=_PROBLEM_OR_NULL,
    options={"type": "object"},
    created=_NUMBER,
    started=_NUMBER_OR_NULL,
    ended=_NUMBER_OR_NULL,
    attempts=_COUNT,
    overruns=_COUNT,
    items=_COUNT,
    items_resumed=_COUNT,
    live={"anyOf": [{"$ref": "#/components/schemas/Live"}, {"type": "null"}]},
    outputs={"type": "array", "items": {"$ref": "#/components/schemas/Output"}},
)
JOBS = _object(jobs={"type": "array", "items": {"$ref": "#/components/schemas/Job"}}, total=_COUNT, next=_WORD_OR_NULL)
MEMORY = _object(
    status={"type": "string", "enum": ["healthy", "warning", "critical"]},
    limit_bytes=_COUNT,
    limit_source=_WORD,
    budget_bytes={"type": "integer"},
    reserved_bytes=_COUNT,
    used_bytes=_COUNT,
    peak_used_bytes=_COUNT,
    own_bytes=_COUNT,
    idle_bytes=_COUNT,
    cores=_COUNT,
    cores_reserved=_COUNT,
    waiting=_COUNT,
    pressure=_WORD_OR_NULL,
    guard={"type": "array", "items": _object(name=_WORD, in_force={"type": "boolean"}, detail=_WORD)},
    jobs={"type": "object", "additionalProperties": _COUNT},
    scratch=_object(in_memory={"type": "boolean"}, free_bytes=_COUNT, promised_bytes=_COUNT, uploads=_COUNT),
)
BATCH = _object(
    label=_WORD,
    total=_COUNT,
    counts={"type": "object", "additionalProperties": _COUNT},
    progress=_NUMBER,
    first=_NUMBER,
    last=_NUMBER,
)
SCHEMAS: dict[str, Any] = {"Batch": BATCH, "Job": JOB, "Jobs": JOBS, "Live": LIVE, "Output": OUTPUT, "Memory": MEMORY}


def answers(about: str, name: str, **headers: str) -> Answer:
    """An answer that is JSON of the named schema."""
    return Answer(about, {JSON_TYPE: {"$ref": f"#/components/schemas/{name}"}}, headers)
