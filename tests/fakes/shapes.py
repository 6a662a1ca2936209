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
#: How a schema's description asks for times: with hours or without, and with how many places.
CLOCK = re.compile(r"(H{1,2}:)?MM:SS(?:\.([a-zA-Z0-9]+))?")
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
            labels = dict.fromkeys(segment.speaker for segment in spoken.segments)
            value[name] = [_speaker(inner.get("items", {}), root, label, spoken) for label in labels]
        elif kind(inner) == "array":
            value[name] = _filled(inner, root, spoken)
        else:
            value[name] = {"text": spoken.text, "language": "en"}.get(_means(name) or "", sample(inner, root))
    return value


def _speaker(schema: dict[str, Any], root: dict[str, Any], label: str, spoken: Spoken) -> Any:
    """Somebody who speaks, as an entry of a list: the label, a name that nobody has said, how the voice sounds."""
    schema = resolved(schema, root)
    if kind(schema) != "object":
        return label
    sounds = {"name": "", "voice": spoken.voices.get(label, "")}
    properties = schema.get("properties", {}).items()
    return {
        name: sounds.get(name.lower(), label if _means(name) == "speaker" else sample(one, root))
        for name, one in properties
    }


def grouped(question: Question, groups: list[list[int]]) -> Any:
    """Numbers that belong together, in the shape of the schema: a list of lists, or of objects with one in them."""
    schema = question.schema or {"type": "array", "items": {"type": "array"}}
    return _grouped(schema, schema, groups)


def _grouped(schema: dict[str, Any], root: dict[str, Any], groups: list[list[int]]) -> Any:
    schema = resolved(schema, root)
    if kind(schema) == "object":
        return {name: _grouped(one, root, groups) for name, one in schema.get("properties", {}).items()}
    if kind(schema) != "array":
        return "the same words"
    items = resolved(schema.get("items", {}), root)
    return groups[0] if kind(items) == "integer" else [_grouped(items, root, [group]) for group in groups]


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
    asked = CLOCK.search(str(schema.get("description", "")))
    return _clock(seconds, hours=asked is None or bool(asked[1]), places=len(asked[2] or "") if asked else 3)


def _clock(seconds: float, *, hours: bool = True, places: int = 3) -> str:
    units = round(seconds * 10**places)
    minutes, rest = divmod(units, 60 * 10**places)
    tail = f"{rest / 10**places:0{2 + places + bool(places)}.{places}f}"
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{tail}" if hours else f"{minutes:02d}:{tail}"


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
