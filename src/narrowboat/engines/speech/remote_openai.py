"""What OpenAI, or a server that speaks as it does, is asked about a piece of sound. Loads in workers only.

Covers: the form of the answer by model, servers that know only text, speakers from models that tell them apart.
Does not cover: sending (``engines/openai_compatible``), times that make no sense (``timing``), times of the whole
episode (``remote``).

Whisper and the servers that run it give segments with times. OpenAI's newer models give text alone, which is spread
over the chunk by its characters; the one that tells speakers apart gives segments again.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from narrowboat.engines.language.wording import sentences
from narrowboat.engines.openai_compatible import transcribe
from narrowboat.engines.remote import RemoteModel
from narrowboat.engines.speech.heard import Heard, Speaker, one_line
from narrowboat.engines.speech.language_names import code_of
from narrowboat.engines.speech.timing import Said, seconds
from narrowboat.errors import EngineError
from narrowboat.values import Json

Form = dict[str, Json]

#: Statuses with which a server says that it does not know a format.
_UNKNOWN = (400, 415, 422, 501)
_KNOWN = "known_{}"  # what a known speaker is called to the server
_TEXT: Form = {"response_format": "json"}
_SEGMENTS: Form = {"response_format": "verbose_json", "timestamp_granularities": ["segment"]}
_SPEAKERS: Form = {"response_format": "diarized_json", "chunking_strategy": "auto"}


def ask(model: RemoteModel, path: Path, inputs: dict[str, Any]) -> Heard:
    """What is said in a file; see ``remote.listen`` for the inputs.

    Raises:
        EngineError, RemoteError, Interrupted: as ``openai_compatible.transcribe``.
    """
    fields: Form = {"language": inputs["language"]} if inputs["language"] else {}
    names = {_KNOWN.format(number): one["label"] for number, one in enumerate(inputs["speakers"])}
    voices: Form = {}
    if names:
        voices = {"known_speaker_names": list(names), "known_speaker_references": _urls(inputs["samples"])}
    try:
        found = _answer(model, path, fields | voices)
    except EngineError as error:
        if not names or error.facts.get("status") not in _UNKNOWN or "known_speaker" not in error.message:
            raise
        found = _answer(model, path, fields)  # a server that takes no samples
    length = inputs["end"] - inputs["start"]
    said = [replace(one, speaker=_label(one.speaker, names)) for one in _segments(found, length)]
    speakers = dict.fromkeys(one.speaker for one in said if one.speaker)
    told = found.get("usage")
    usage = told if isinstance(told, dict) else {}
    return Heard(
        said or _sentences(found.get("text")),
        language=code_of(found.get("language")),
        speakers=[Speaker(label) for label in speakers],
        usage={name: usage.get(name) for name in ("input_tokens", "output_tokens", "seconds")},
        timed=bool(said),
    )


def _urls(samples: list[str]) -> list[str]:
    return [f"data:audio/flac;base64,{b64encode(Path(sample).read_bytes()).decode()}" for sample in samples]


def _label(speaker: str, names: dict[str, str]) -> str:
    """The label of a known speaker; of anybody else one that no known speaker has: letters begin anew in each chunk."""
    return names.get(speaker) or (f"New {speaker}" if speaker and names else speaker)


def _answer(model: RemoteModel, path: Path, fields: Form) -> dict[str, Any]:
    """The answer in the best form that the server knows for the model."""
    for form in _forms(model):
        try:
            return transcribe(model, path, fields={**form, **fields})
        except EngineError as error:
            if error.facts.get("status") not in _UNKNOWN or "format" not in error.message:
                raise
    return transcribe(model, path, fields={**_TEXT, **fields})


def _forms(model: RemoteModel) -> list[Form]:
    """What is asked for before text alone, the best first."""
    if "diarize" in model.model:
        return [_SPEAKERS, _SEGMENTS]
    return [] if model.model.startswith("gpt-") else [_SEGMENTS]


def _segments(found: dict[str, Any], length: float) -> Iterator[Said]:
    told = found.get("segments")
    for segment in told if isinstance(told, list) else []:
        if isinstance(segment, dict) and (text := one_line(segment.get("text"))):
            start, end = seconds(segment.get("start"), length), seconds(segment.get("end"), length)
            yield Said(text, start, end, one_line(segment.get("speaker"), 60))


def _sentences(text: Any) -> list[Said]:
    """A text without times, sentence by sentence."""
    line = one_line(text)
    return [Said(line[begin:end]) for begin, end in sentences(line)]
