"""OpenAI's endpoints: reading questions, answers in the vendor's shape.

Covers: chat/completions with text, images, audio and files inside the request, response_format, streams; the form of
audio/transcriptions and what its models refuse; embeddings; models.
Does not cover: shapes of transcripts (``transcripts``), which answer is given (``answers``), refusals (``refusals``).
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator
from pathlib import PurePath
from typing import Any

from fakes.gemini_api import PIECE, embedding
from fakes.multipart import Form
from fakes.questions import Answer, Question, tokens
from fakes.refusals import Refusal
from fakes.store import Store, Stored
from fakes.transcripts import FORMATS

#: Voices that may be known, of the diarizing model.
MOST_SAMPLES = 4
#: What audio/transcriptions takes, by the end of the file's name.
AUDIO = ["flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm"]
FINISH = {"stop": "stop", "length": "length", "safety": "content_filter", "recitation": "content_filter"}
FINISH |= {"empty": "stop", "blocked": "content_filter"}
KNOWN = ["gpt-4o-mini", "whisper-1", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize", "text-embedding-3-small"]
DIMENSIONS = 1536


def question_of(model: str, body: dict[str, Any], store: Store) -> Question:
    """Read a chat.

    Raises:
        Refusal: it is not what the API takes.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "Invalid 'messages': expected a non-empty array.", param="messages")
    shape = body.get("response_format") or {}
    question = Question("chat", model)
    question.max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    question.wants_json = shape.get("type") in ("json_object", "json_schema")
    question.schema = (shape.get("json_schema") or {}).get("schema")
    kept = ("temperature", "seed", "stream", "n")
    question.fields = {name: body[name] for name in kept if body.get(name) is not None}
    try:
        for message in messages:
            _add(message, question, store)
    except BaseException:
        for part in question.parts:
            store.remove(part)
        raise
    return question


def _add(message: dict[str, Any], question: Question, store: Store) -> None:
    content = message.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        if part.get("type") == "text" and message.get("role") in ("system", "developer"):
            question.system += part["text"]
        elif part.get("type") == "text":
            question.texts.append(part["text"])
        else:
            stored = _file(part, store)
            question.files.append(stored)
            question.parts.append(stored)


def _file(part: dict[str, Any], store: Store) -> Stored:
    try:
        match part.get("type"):
            case "image_url":
                return _of_data_url(part["image_url"]["url"], store)
            case "input_audio":
                return store.part(part["input_audio"]["data"], f"audio/{part['input_audio']['format']}")
            case "file":
                return _of_data_url(part["file"]["file_data"], store, part["file"].get("filename", ""))
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(400, f"Invalid content part: {error}.", param="messages") from None
    raise Refusal(400, f"Invalid content type {part.get('type')!r}.", param="messages")


def _of_data_url(url: str, store: Store, label: str = "") -> Stored:
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        raise ValueError("only data URLs in base64 are taken")
    return store.part(data, head[5:-7], label)


# -- answers ----------------------------------------------------------------------------------------------------------


def response_of(question: Question, answer: Answer, response_id: str, created: int) -> dict[str, Any]:
    """A whole answer as chat/completions gives it."""
    message = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.finish == "blocked":
        message["refusal"] = "I'm sorry, I can't assist with that."
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH.get(answer.finish)}
    head = _head(question, response_id, created, "chat.completion")
    return {**head, "choices": [] if answer.finish == "nothing" else [choice], "usage": _usage(question, answer.text)}


def _head(question: Question, response_id: str, created: int, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{response_id}", "object": kind, "created": created, "model": question.model}


def _usage(question: Question, text: str) -> dict[str, int]:
    given, made = question.input_tokens, tokens(text)
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


async def stream_of(
    question: Question, answer: Answer, response_id: str, created: int, *, usage: bool
) -> AsyncIterator[bytes]:
    """The answer as server-sent events."""
    head = _head(question, response_id, created, "chat.completion.chunk")
    pieces = [answer.text[at : at + PIECE] for at in range(0, len(answer.text), PIECE)]
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in pieces]
    deltas.append(({}, FINISH.get(answer.finish)))
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield _event({**head, "choices": [choice]})
    if usage:
        yield _event({**head, "choices": [], "usage": _usage(question, answer.text)})
    yield b"data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


# -- speech, embeddings, models ---------------------------------------------------------------------------------------


def speech_of(form: Form, store: Store) -> Question:
    """Read the form of audio/transcriptions.

    Raises:
        Refusal: a field is missing, or the model does not do what is asked.
    """
    file, model = form.files.get("file"), form.first("model")
    if file is None:
        raise Refusal(400, "Missing required parameter: 'file'.", reason="missing_required_parameter", param="file")
    if not model:
        raise Refusal(400, "you must provide a model parameter", param="model")
    if PurePath(file.label).suffix.lower().lstrip(".") not in AUDIO:
        raise Refusal(400, f"Invalid file format. Supported formats: {AUDIO}")
    shape = form.first("response_format", "json")
    if shape not in FORMATS:
        raise Refusal(400, f"Invalid response_format {shape!r}: one of {', '.join(FORMATS)}.", param="response_format")
    _check_shape(model, shape, form)
    fields: dict[str, Any] = {
        name: values if name.endswith("[]") else values[0] for name, values in form.fields.items()
    }
    texts = [fields["prompt"]] if fields.get("prompt") else []
    question = Question("transcribe", model, texts=texts, files=[file], parts=[file], fields=fields)
    names, references = (fields.pop(f"known_speaker_{what}[]", []) for what in ("names", "references"))
    if names or references:
        _add_samples(question, names, references, store)
    return question


def _add_samples(question: Question, names: list[str], references: list[str], store: Store) -> None:
    param = "known_speaker_references"
    if "diarize" not in question.model:
        raise Refusal(400, f"{param} is not supported by model {question.model}.", param=param)
    if len(names) != len(references) or len(names) > MOST_SAMPLES:
        message = f"{len(names)} names and {len(references)} references: one for each, at most {MOST_SAMPLES}."
        raise Refusal(400, message, param=param)
    try:
        for name, url in zip(names, references, strict=True):
            question.samples[name] = _of_data_url(url, store, name)
    except ValueError as error:
        for sample in question.samples.values():
            store.remove(sample)
        raise Refusal(400, f"Invalid {param}: {error}.", param=param) from None
    question.fields["known_speaker_names[]"] = names


def _check_shape(model: str, shape: str, form: Form) -> None:
    diarizes = "diarize" in model
    allowed = {"json", "text"} if model.startswith("gpt-4o") else set(FORMATS) - {"diarized_json"}
    if model.startswith("gpt-4o") and diarizes:
        allowed |= {"diarized_json"}
    if shape not in allowed:
        message = (
            f"response_format '{shape}' is not compatible with model '{model}'. Use one of {sorted(allowed)} instead."
        )
        raise Refusal(400, message, reason="unsupported_value", param="response_format")
    if "timestamp_granularities[]" in form.fields and shape != "verbose_json":
        message = "timestamp_granularities needs response_format verbose_json."
        raise Refusal(400, message, param="timestamp_granularities")


def embeddings_of(body: dict[str, Any], model: str) -> dict[str, Any]:
    """As embeddings answers.

    Raises:
        Refusal: there is nothing to embed.
    """
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise Refusal(400, "'$.input' is invalid.", param="input")
    dimensions = int(body.get("dimensions") or DIMENSIONS)
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": number, "embedding": _packed(vector) if packed else vector}
        for number, vector in enumerate(embedding(text, dimensions) for text in texts)
    ]
    count = sum(tokens(text) for text in texts)
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": count, "total_tokens": count}}


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def model_shown(name: str) -> dict[str, Any]:
    """A model as the list shows it."""
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "fakes"}
