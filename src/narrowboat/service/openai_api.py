"""OpenAI's transcription endpoint, for clients that know no other.

Covers: its fields, its formats (json, text, srt, vtt, verbose_json), its stream of deltas, over a job.
Does not cover: the job (``service``), other endpoints of OpenAI's. What our engines don't tell is 0 or empty:
tokens, no_speech_prob; times of words are refused.

A request waits as a client of a job: one that goes away does not cancel it, and the same file sent again finds it.
"""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from narrowboat.engines.catalogue import DEFAULT_SPEECH
from narrowboat.errors import NarrowboatError, UsageError
from narrowboat.pipelines.transcribe.workflow import RECOGNISE
from narrowboat.service import outputs
from narrowboat.service.events import MEDIA_TYPE as EVENTS
from narrowboat.service.forms import FORM_TYPE, Form
from narrowboat.service.operations import JSON_TYPE, Answer, Body, Call, Operation
from narrowboat.service.problems import problem
from narrowboat.service.schema import converted
from narrowboat.service.waiting import done
from narrowboat.values import Json

#: Names that OpenAI's own clients send, and mean "your speech model" here.
_THEIRS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-4o-transcribe-diarize")
_FORMATS = {"json": "txt", "text": "txt", "srt": "srt", "vtt": "vtt", "verbose_json": "json"}
_LANGUAGES = {"de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian", "ja": "japanese"}
_LANGUAGES |= {"ko": "korean", "nl": "dutch", "pl": "polish", "pt": "portuguese", "ru": "russian", "zh": "chinese"}


async def transcriptions(call: Call) -> Response:
    """Transcribe a file and answer with the text."""
    service = call.service
    kind = service.kind("transcribe")
    async with service.forms.form(call.request) as form:
        format, streamed = _format(form), converted(form.last("stream") or "false", {"type": "boolean"}, "stream")
        wanted = kind.wanted(_options(form), list(dict.fromkeys([_FORMATS[format], "txt", "json"])))
        job_id = await service.submit(kind, form.file, wanted)
    if streamed:
        headers = {"cache-control": "no-store", "x-narrowboat-job": job_id}
        return StreamingResponse(_deltas(call, job_id), headers=headers, media_type=EVENTS)
    answer = await _whole(call, job_id, format)
    answer.headers["x-narrowboat-job"] = job_id
    return answer


def _format(form: Form) -> str:
    format = form.last("response_format") or "json"
    if format not in _FORMATS:
        raise UsageError(f"there is no format {format[:40]!r}", hint=", ".join(_FORMATS), where="response_format")
    if "word" in form.fields.get("timestamp_granularities[]", []):
        raise UsageError("times of words are not known", hint="ask for segments", where="timestamp_granularities")
    return format


def _options(form: Form) -> dict[str, Json]:
    model = form.last("model") or DEFAULT_SPEECH
    return {"model": DEFAULT_SPEECH if model in _THEIRS else model, "language": form.last("language") or None}


async def _whole(call: Call, job_id: str, format: str) -> Response:
    row = await done(call, job_id)
    files = await call.service.files(row)
    path = outputs.named(files, job_id, _FORMATS[format]).path
    if format == "verbose_json":
        return StreamingResponse(_verbose(path), media_type=JSON_TYPE)
    if format == "json":
        text = await asyncio.to_thread(_text, path)
        seconds = _seconds(_head(outputs.named(files, job_id, "json").path))
        return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": math.ceil(seconds)}})
    return await outputs.serve(call, path)


def _text(path: Path) -> str:
    return " ".join(path.read_text("utf-8").split())


# -- verbose_json -----------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[str]:
    """The lines of our JSON (``media/caption_formats``): one member of the head, or one segment, on each."""
    with path.open(encoding="utf-8") as file:
        yield from (line.strip().rstrip(",") for line in file)


def _head(path: Path) -> dict[str, Any]:
    members = []
    for line in _lines(path):
        if line.startswith('"segments"'):
            break
        members.append(line)
    found: dict[str, Any] = json.loads("{" + ",".join(line for line in members if line != "{") + "}")
    return found


def _seconds(head: dict[str, Any]) -> float:
    return float((head.get("media") or {}).get("duration") or 0.0)


def _segments(path: Path) -> Iterator[dict[str, Any]]:
    begun = False
    for line in _lines(path):
        if begun and line.startswith("{"):
            yield json.loads(line)
        begun = begun or line.startswith('"segments"')


def _verbose(path: Path) -> Iterator[str]:
    """One object, a segment in memory at a time."""
    head = _head(path)
    language = head.get("language") or ""
    duration = _seconds(head)
    told = {"task": "transcribe", "language": _LANGUAGES.get(language, language), "duration": duration}
    yield json.dumps({**told, "usage": {"type": "duration", "seconds": math.ceil(duration)}})[:-1] + ', "text": "'
    for number, segment in enumerate(_segments(path)):
        yield (" " if number else "") + json.dumps(segment["text"])[1:-1]
    yield '", "segments": ['
    for number, segment in enumerate(_segments(path)):
        yield ("," if number else "") + json.dumps(_their_segment(segment))
    yield "]}"


def _their_segment(segment: dict[str, Any]) -> dict[str, Any]:
    text = segment["text"].encode()
    return {
        "id": segment["id"],
        "seek": int(segment["start"] * 100),
        "start": segment["start"],
        "end": segment["end"],
        "text": " " + segment["text"],
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(max(segment.get("confidence") or 1.0, 1e-6)), 4),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 4),
        "no_speech_prob": 0.0,
    }


# -- the stream -------------------------------------------------------------------------------------------------------


async def _deltas(call: Call, job_id: str) -> AsyncIterator[str]:
    """Deltas as segments are recognised, then the whole text."""
    service, sent, known = call.service, "", -1
    ended = asyncio.ensure_future(service.watch.ended(job_id))
    try:
        while True:
            over = ended.done()
            async for seq, value in service.runner.journal.items(job_id, RECOGNISE.name, known):
                known = seq
                for segment in value["segments"]:
                    delta = (" " if sent else "") + segment["text"].strip()
                    sent += delta
                    yield _event({"type": "transcript.text.delta", "delta": delta})
            if over:
                break
            await asyncio.wait([ended], timeout=0.5)
        row = await done(call, job_id)
        text = await asyncio.to_thread(_text, outputs.named(await service.files(row), job_id, "txt").path)
        if not sent and text:  # an engine whose segments are not told one by one
            yield _event({"type": "transcript.text.delta", "delta": text})
        yield _event({"type": "transcript.text.done", "text": sent or text})
    except NarrowboatError as error:
        told = problem(error, service.runner.home)
        yield _event({"error": {"message": told["detail"], "type": told["code"], "code": told["status"]}})
    finally:
        ended.cancel()


def _event(value: Json) -> str:
    return f"data: {json.dumps(value)}\n\n"


_FIELDS = {
    "type": "object",
    "required": ["file", "model"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "model": {"type": "string", "description": f"{', '.join(_THEIRS)}, or a model of ours."},
        "language": {"type": "string"},
        "response_format": {"type": "string", "enum": list(_FORMATS), "default": "json"},
        "stream": {"type": "boolean", "default": False},
    },
}
_ANSWERS = {
    200: Answer(
        "The transcript.",
        {
            JSON_TYPE: {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
            EVENTS: {},
            "text/plain": {"type": "string"},
            "text/vtt": {"type": "string"},
            "application/x-subrip": {"type": "string"},
        },
    )
}
OPERATIONS = [
    Operation(
        "POST",
        "/v1/audio/transcriptions",
        transcriptions,
        "Transcribe a file and wait for the text, as OpenAI's clients ask for it",
        _ANSWERS,
        body=Body({FORM_TYPE: _FIELDS}),
        problems=[409, 422, 429, 500, 502, 504, 507],
        tag="compatible",
        strict=False,
        openai=True,
    ),
]
