"""What was said, in the shape that a schema asks for.

Covers: lists of objects whose properties are times, speakers and words, by the names that people give them; text
without a schema. Does not cover: OpenAI's transcripts (``transcripts``).
"""

from __future__ import annotations

import json
import re
from typing import Any

from fakes.questions import Question
from fakes.schemas import kind, resolved, sample
from fakes.transcripts import Segment, Spoken

#: What a property holds, by the first word of its name that is known; ``_`` and capitals divide words.
MEANS = {
    "start": ("start", "begin", "from", "time", "timestamp", "at"),
    "end": ("end", "to", "until", "stop"),
    "speaker": ("speaker", "who", "voice", "name", "label"),
    "text": ("text", "words", "transcript", "said", "content", "caption", "sentence", "utterance"),
    "language": ("language", "lang"),
}
#: Without a schema, when JSON is asked for.
USUAL = {"segments": [{"start": 0.0, "end": 0.0, "speaker": "", "text": ""}]}


def answer_text(spoken: Spoken, question: Question) -> str:
    """The answer to a question about speech."""
    if question.schema is not None:
        return json.dumps(_filled(question.schema, question.schema, spoken), ensure_ascii=False)
    if question.wants_json:
        schema = _of_example(USUAL)
        return json.dumps(_filled(schema, schema, spoken), ensure_ascii=False)
    return "\n".join(f"[{_clock(one.start)[:8]}] {one.speaker}: {one.text}" for one in spoken.segments)


def _filled(schema: dict[str, Any], root: dict[str, Any], spoken: Spoken) -> Any:
    schema = resolved(schema, root)
    if kind(schema) == "array":
        return [_one(schema.get("items", {}), root, one) for one in spoken.segments]
    if kind(schema) != "object":
        return spoken.text
    value = {}
    for name, one in schema.get("properties", {}).items():
        inner = resolved(one, root)
        if kind(inner) == "array" and _means(name) == "speaker":
            value[name] = list(dict.fromkeys(segment.speaker for segment in spoken.segments))
        elif kind(inner) == "array":
            value[name] = _filled(inner, root, spoken)
        else:
            value[name] = {"text": spoken.text, "language": "en"}.get(_means(name) or "", sample(inner, root))
    return value


def _one(schema: dict[str, Any], root: dict[str, Any], segment: Segment) -> Any:
    """A segment as an entry of a list."""
    schema = resolved(schema, root)
    if kind(schema) != "object":
        return segment.text
    properties = schema.get("properties", {}).items()
    return {name: _property(name, resolved(one, root), root, segment) for name, one in properties}


def _property(name: str, schema: dict[str, Any], root: dict[str, Any], segment: Segment) -> Any:
    match _means(name):
        case "text":
            return segment.text
        case "speaker":
            return segment.speaker
        case "language":
            return "en"
        case "start" | "end" as which:
            return _time(segment.start if which == "start" else segment.end, name, schema)
    return sample(schema, root)


def _time(seconds: float, name: str, schema: dict[str, Any]) -> Any:
    if kind(schema) in ("number", "integer"):
        value = seconds * 1000 if name.lower().endswith("ms") else seconds
        return round(value) if kind(schema) == "integer" else round(value, 3)
    said = str(schema.get("description", ""))
    if "MM:SS" in said and "HH:MM:SS" not in said.upper().replace("H:MM", "HH:MM"):
        return f"{int(seconds) // 60:02d}:{seconds % 60:06.3f}"
    return _clock(seconds)


def _clock(seconds: float) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest / 1000:06.3f}"


def _means(name: str) -> str | None:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    for word in (word.lower() for word in words):
        for meaning, names in MEANS.items():
            if word in names or word.rstrip("s") in names:
                return meaning
    return None


def _of_example(value: Any) -> dict[str, Any]:
    """The schema of an example."""
    match value:
        case dict():
            return {"type": "object", "properties": {name: _of_example(one) for name, one in value.items()}}
        case list():
            return {"type": "array", "items": _of_example(value[0])}
        case float():
            return {"type": "number"}
    return {"type": "string"}
