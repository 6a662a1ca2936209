"""What was said, and the shapes in which OpenAI's audio/transcriptions gives it.

Covers: json, text, srt, vtt, verbose_json with words or segments, diarized_json, and the stream of events.
Does not cover: who has heard it (``answers``, ``hearing``).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from fakes.http import Response, json_response
from fakes.questions import tokens

FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")


@dataclass(slots=True)
class Word:
    text: str
    start: float  # seconds from the beginning of the file
    end: float


@dataclass(slots=True)
class Segment:
    """A sentence, or what is left of it."""

    start: float
    end: float
    text: str
    speaker: str = ""
    words: list[Word] = field(default_factory=list)


@dataclass(slots=True)
class Spoken:
    """What was said in a file; ``voices`` says how the speakers sound, by label, ``known`` who was known before."""

    seconds: float
    segments: list[Segment]
    voices: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)


def in_words(text: str, seconds: float = 4.0) -> Spoken:
    """A text as if it had been said in so many seconds, at an even pace."""
    words = text.split()
    pace = seconds / max(1, len(words))
    timed = [Word(word, round(at * pace, 3), round((at + 1) * pace, 3)) for at, word in enumerate(words)]
    return Spoken(seconds, [Segment(0.0, seconds, text, "Speaker 1", timed)] if words else [])


def response_of(spoken: Spoken, shape: str, granularities: list[str], language: str) -> Response:
    """The transcript in the shape that was asked for."""
    match shape:
        case "text":
            return Response(200, f"{spoken.text}\n".encode(), {"Content-Type": "text/plain; charset=utf-8"})
        case "srt" | "vtt":
            body = srt(spoken) if shape == "srt" else vtt(spoken)
            return Response(200, body.encode(), {"Content-Type": "text/plain; charset=utf-8"})
        case "verbose_json":
            return json_response(verbose(spoken, granularities, language))
        case "diarized_json":
            return json_response(diarized(spoken))
    return json_response({"text": spoken.text, "usage": {"type": "duration", "seconds": round(spoken.seconds)}})


def verbose(spoken: Spoken, granularities: list[str], language: str) -> dict[str, Any]:
    """As Whisper answers; words only when they are asked for, and then segments only if they are too."""
    value: dict[str, Any] = {"task": "transcribe", "language": language or "english", "duration": spoken.seconds}
    value["text"] = spoken.text
    if "segment" in granularities or not granularities:
        value["segments"] = [_segment(number, one) for number, one in enumerate(spoken.segments)]
    if "word" in granularities:
        words = [word for segment in spoken.segments for word in segment.words]
        value["words"] = [{"word": word.text, "start": word.start, "end": word.end} for word in words]
    return {**value, "usage": {"type": "duration", "seconds": round(spoken.seconds)}}


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    about = {"id": number, "seek": 0, "start": segment.start, "end": segment.end, "text": f" {segment.text}"}
    about |= {"tokens": [], "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.4}
    return {**about, "no_speech_prob": 0.01}


def diarized(spoken: Spoken) -> dict[str, Any]:
    """As the diarizing model answers: speakers without a sample are letters, in the order in which they begin."""
    unknown = dict.fromkeys(one.speaker for one in spoken.segments if one.speaker not in spoken.known)
    letters = {speaker: chr(ord("A") + number) for number, speaker in enumerate(unknown)}
    segments = [
        {
            "id": f"seg_{number:03d}",
            "type": "transcript.text.segment",
            "start": one.start,
            "end": one.end,
            "text": one.text,
            "speaker": letters.get(one.speaker, one.speaker),
        }
        for number, one in enumerate(spoken.segments)
    ]
    usage = {"type": "duration", "seconds": round(spoken.seconds)}
    value = {"task": "transcribe", "duration": spoken.seconds, "text": spoken.text}
    return {**value, "segments": segments, "usage": usage}


def srt(spoken: Spoken) -> str:
    lines = []
    for number, one in enumerate(spoken.segments, 1):
        lines.append(f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{one.text}\n")
    return "\n".join(lines) + "\n"


def vtt(spoken: Spoken) -> str:
    lines = [f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{one.text}\n" for one in spoken.segments]
    return "\n".join(["WEBVTT\n", *lines])


async def events_of(spoken: Spoken) -> AsyncIterator[bytes]:
    """The transcript as server-sent events."""
    for segment in spoken.segments:
        yield _event({"type": "transcript.text.delta", "delta": f"{segment.text} "})
    count = tokens(spoken.text)
    usage = {"type": "tokens", "input_tokens": round(spoken.seconds * 10), "output_tokens": count}
    usage["total_tokens"] = round(spoken.seconds * 10) + count
    yield _event({"type": "transcript.text.done", "text": spoken.text, "usage": usage})


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def _clock(seconds: float, point: str) -> str:
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
