"""What Gemini is asked about a piece of sound, and how its answer is read. Loads in workers only.

Covers: the prompt, the schema, speakers as it names them; who is who, asked in words.
Does not cover: sending (``engines/gemini``), times that make no sense (``timing``), times of the whole episode
(``remote``).

Times are asked for as minutes and seconds, the form in which the model was taught them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from narrowboat.engines.answers import Answer, File
from narrowboat.engines.gemini import generate
from narrowboat.engines.refusals import malformed
from narrowboat.engines.remote import RemoteModel
from narrowboat.engines.speech.heard import Heard, Speaker, one_line
from narrowboat.engines.speech.language_names import code_of
from narrowboat.engines.speech.timing import Said, seconds
from narrowboat.values import Json

_TASK = """\
You write down what is said in a recording, word for word.
- Write every word from the first to the last, in the language in which it is said. Translate nothing, correct \
nothing, sum nothing up, leave nothing out, add nothing.
- A segment is one sentence, or two short ones, of one speaker: at most 15 seconds. A new speaker begins a new segment.
- start and end count from the beginning of this recording, as minutes and seconds: MM:SS.s, such as 07:42.3.
- Music, noises and laughter are not written down. Where nobody speaks at all, there are no segments.
- speakers lists everybody who speaks: label, the name if it is said in the recording (else empty), and the voice in a \
few words that tell it from the others: woman or man, age, accent, manner, role."""
_FIRST = """\
Label each speaker by role where it is plain ("Host", "Guest"), else "Speaker 1", "Speaker 2", …; never two speakers \
with one label. This is the beginning of a recording."""
_LATER = """\
This is a later part of a recording. These speakers were heard before; where you hear one of them, use the same label:
{known}
Label anybody else "New 1", "New 2", …: rather a new label than a wrong one."""
_TEXT = {"type": "string"}
_SCHEMA: Json = {
    "type": "object",
    "properties": {
        "language": {**_TEXT, "description": "code of the language that is spoken most, such as en"},
        "speakers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"label": _TEXT, "name": _TEXT, "voice": _TEXT},
                "required": ["label", "name", "voice"],
            },
        },
        "segments": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "start": {**_TEXT, "description": "MM:SS.s"},
                    "end": {**_TEXT, "description": "MM:SS.s"},
                    "speaker": {**_TEXT, "description": "a label of speakers"},
                    "text": _TEXT,
                },
                "required": ["start", "end", "speaker", "text"],
            },
        },
    },
    "required": ["language", "speakers", "segments"],
}

_WHO = """\
A recording was transcribed in parts, and in each part the speakers were told apart anew. Which of those below are the \
same person? Put two together only where what is written leaves no doubt: the same name, or the same role, voice and \
matters together. A like voice alone is no ground. Two of one part are never the same. Say the ground in a few words. \
Leave out everybody who is with nobody else; an empty list is a good answer."""
_GROUPS: Json = {
    "type": "object",
    "properties": {
        "groups": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"members": {"type": "array", "items": {"type": "integer"}}, "ground": _TEXT},
                "required": ["members", "ground"],
            },
        }
    },
    "required": ["groups"],
}


def ask(model: RemoteModel, path: Path, inputs: dict[str, Any]) -> Heard:
    """What is said in a file; see ``remote.listen`` for the inputs.

    Raises:
        EngineError, RemoteError, Interrupted: as ``gemini.generate``; RemoteError too for JSON that can't be read.
    """
    known = [Speaker(**speaker) for speaker in inputs["speakers"]]
    who = _LATER.format(known="\n".join(map(_shown, known))) if known else _FIRST
    language = f"\nThe language is {inputs['language']}." if inputs["language"] else ""
    answer = generate(
        model,
        [File(path, "audio/flac"), f"Write down what is said in this recording.{language}\n\n{who}"],
        system=_TASK,
        schema=_SCHEMA,
        temperature=_temperature(model),
    )
    if answer.finish == "length":
        return Heard([], usage=answer.usage, finish="length")
    found = _object(model, answer, "segments")
    length = inputs["end"] - inputs["start"]
    return Heard(
        [_said(segment, length) for segment in found["segments"] if isinstance(segment, dict)],
        language=code_of(found.get("language")),
        speakers=[speaker for told in _list(found.get("speakers")) if (speaker := _speaker(told))],
        usage=answer.usage,
    )


def who_is_who(model: RemoteModel, speakers: list[str]) -> tuple[list[tuple[set[int], str]], dict[str, int | None]]:
    """Which of the speakers, described in a line each, are the same, by their places, and why; and the tokens.

    Raises:
        EngineError, RemoteError, Interrupted: as ``gemini.generate``.
    """
    lines = "\n".join(f"{place}. {speaker}" for place, speaker in enumerate(speakers))
    answer = generate(model, [f"{_WHO}\n\n{lines}"], schema=_GROUPS, temperature=_temperature(model))
    groups = _list(_object(model, answer, "groups")["groups"])
    found = [
        ({place for place in _list(group.get("members")) if isinstance(place, int)}, one_line(group.get("ground"), 200))
        for group in groups
        if isinstance(group, dict)
    ]
    return found, answer.usage


def _temperature(model: RemoteModel) -> float | None:
    """None of chance; but from Gemini 3 on the model's own, since with less it is apt to repeat itself for ever."""
    generation = re.match(r"gemini-(\d+)", model.model)
    return None if generation and int(generation[1]) >= 3 else 0.0


def _object(model: RemoteModel, answer: Answer, name: str) -> dict[str, Any]:
    """The JSON of an answer, which has a list of that name."""
    try:
        found = json.loads(answer.text)
    except (ValueError, RecursionError):
        raise malformed(model, "it is no JSON") from None
    if isinstance(found, list):  # the list alone
        found = {name: found}
    if not isinstance(found, dict) or not isinstance(found.get(name), list):
        raise malformed(model, f"it has no {name}")
    return found


def _said(segment: dict[str, Any], length: float) -> Said:
    return Said(
        one_line(segment.get("text")),
        seconds(segment.get("start"), length),
        seconds(segment.get("end"), length),
        one_line(segment.get("speaker"), 60).rstrip(":"),
    )


def _speaker(told: Any) -> Speaker | None:
    if isinstance(told, str):
        told = {"label": told}
    if not isinstance(told, dict) or not (label := one_line(told.get("label"), 60).rstrip(":")):
        return None
    return Speaker(label, one_line(told.get("name"), 60), one_line(told.get("voice"), 200))


def _shown(speaker: Speaker) -> str:
    about = ", ".join(part for part in (speaker.name, speaker.voice) if part)
    return f'- {speaker.label}: {about}{"; " if about else ""}has said "{speaker.said}"'


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
