"""Gemini's generateContent and what goes with it: reading questions, answers in the vendor's shape.

Covers: contents with text, fileData and inlineData, systemInstruction, generationConfig with either kind of schema;
candidates, blocks, usageMetadata; streams; countTokens; embeddings; models.
Does not cover: files (``gemini_files``), which answer is given (``answers``), refusals (``refusals``).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import AsyncIterator
from typing import Any

from fakes.gemini_files import either, found
from fakes.questions import Answer, Question, modality, tokens, tokens_of_file
from fakes.refusals import Refusal
from fakes.store import Store, Stored

FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "safety": "SAFETY", "recitation": "RECITATION", "empty": "STOP"}
DIMENSIONS = 768
#: Characters of a piece of a stream.
PIECE = 40
KNOWN = ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite", "gemini-embedding-001"]


def question_of(op: str, model: str, body: dict[str, Any], store: Store, owner: str | None) -> Question:
    """Read a question.

    Raises:
        Refusal: it is not what the API takes, or names a file that is not there or not ready.
    """
    question = Question(op, model)
    contents = either(body, "contents") or []
    if isinstance(contents, dict):
        contents = [contents]
    if not contents:
        raise Refusal(400, "GenerateContentRequest.contents: contents is not specified")
    config = either(body, "generationConfig") or {}
    question.schema = either(config, "responseJsonSchema") or either(config, "responseSchema")
    question.wants_json = either(config, "responseMimeType") == "application/json"
    if question.schema is not None and not question.wants_json:
        raise Refusal(400, "GenerateContentRequest.generation_config.response_schema: needs application/json")
    question.max_tokens = either(config, "maxOutputTokens")
    kept = ("temperature", "seed", "topP", "topK", "thinkingConfig", "mediaResolution", "audioTimestamp")
    question.fields = {name: value for name in kept if (value := either(config, name)) is not None}
    question.system = "\n".join(
        part.get("text", "") for part in (either(body, "systemInstruction") or {}).get("parts", [])
    )
    try:
        for content in contents:
            for part in content.get("parts") or []:
                _add(part, question, store, owner)
    except BaseException:
        release(question, store)
        raise
    return question


def _add(part: dict[str, Any], question: Question, store: Store, owner: str | None) -> None:
    if "text" in part:
        question.texts.append(part["text"])
    elif (file := either(part, "fileData")) is not None:
        question.files.append(_usable(either(file, "fileUri") or "", store, owner))
    elif (inline := either(part, "inlineData")) is not None:
        try:
            stored = store.part(inline.get("data") or "", either(inline, "mimeType") or "")
        except ValueError:
            raise Refusal(400, "Invalid value at 'inline_data.data' (TYPE_BYTES), Base64 decoding failed") from None
        question.files.append(stored)
        question.parts.append(stored)
    else:
        raise Refusal(400, "Unable to submit request because it has a part without data.")


def _usable(uri: str, store: Store, owner: str | None) -> Stored:
    name = "files/" + uri.rpartition("/files/")[2] if "/files/" in uri else uri
    file = found(store, name, owner)
    if file.state != "ACTIVE":
        short = name.removeprefix("files/")
        message = f"The File {short} is not in an ACTIVE state and usage is not allowed."
        raise Refusal(400, message, rpc="FAILED_PRECONDITION")
    return file


def release(question: Question, store: Store) -> None:
    """Remove what came with the question."""
    for part in question.parts:
        store.remove(part)


# -- answers ----------------------------------------------------------------------------------------------------------


def response_of(question: Question, answer: Answer, response_id: str) -> dict[str, Any]:
    """A whole answer as generateContent gives it."""
    return {**_candidates(answer.text, answer.finish), **_tail(question, answer.text, response_id)}


def _candidates(text: str, finish: str | None) -> dict[str, Any]:
    if finish == "blocked":
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    if finish == "nothing":
        return {}
    candidate: dict[str, Any] = {"content": {"role": "model"}, "index": 0}
    if text:
        candidate["content"]["parts"] = [{"text": text}]
    if finish is not None:
        candidate["finishReason"] = FINISH[finish]
    if finish in ("safety", "recitation"):
        candidate["safetyRatings"] = [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}]
    return {"candidates": [candidate]}


def _tail(question: Question, text: str, response_id: str) -> dict[str, Any]:
    usage: dict[str, Any] = {"promptTokenCount": question.input_tokens, "totalTokenCount": question.input_tokens}
    if text:
        usage["candidatesTokenCount"] = tokens(text)
        usage["totalTokenCount"] += tokens(text)
    usage["promptTokensDetails"] = details(question)
    return {"usageMetadata": usage, "modelVersion": question.model, "responseId": response_id}


def details(question: Question) -> list[dict[str, Any]]:
    """Tokens of the question by modality."""
    counts: dict[str, int] = {"TEXT": tokens(question.text)} if question.text else {}
    for file in question.files:
        counts[modality(file)] = counts.get(modality(file), 0) + tokens_of_file(file)
    return [{"modality": name, "tokenCount": count} for name, count in counts.items()]


async def stream_of(question: Question, answer: Answer, response_id: str, *, sse: bool) -> AsyncIterator[bytes]:
    """The answer in pieces: as events, or as the elements of one JSON list."""
    pieces = [answer.text[at : at + PIECE] for at in range(0, len(answer.text), PIECE)] or [""]
    done = ""
    for number, piece in enumerate(pieces):
        done += piece
        last = number == len(pieces) - 1
        value = {**_candidates(piece, answer.finish if last else None), **_tail(question, done, response_id)}
        text = json.dumps(value).encode()
        if sse:
            yield b"data: " + text + b"\r\n\r\n"
        else:
            yield (b"[" if number == 0 else b",\r\n") + text + (b"]" if last else b"")


# -- embeddings and models --------------------------------------------------------------------------------------------


def texts_to_embed(body: dict[str, Any]) -> list[str]:
    """What embedContent or batchEmbedContents is asked.

    Raises:
        Refusal: there is nothing to embed.
    """
    requests = body.get("requests") or [body]
    found = []
    for one in requests:
        parts = (one.get("content") or {}).get("parts") or []
        found.append("".join(part.get("text", "") for part in parts))
    if not all(found):
        raise Refusal(400, "content is empty")
    return found


def dimensions_asked(body: dict[str, Any]) -> int:
    """How many numbers an embedding is to have."""
    first = (body.get("requests") or [body])[0]
    return int(either(first, "outputDimensionality") or DIMENSIONS)


def embedding(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A unit vector that depends on the text's words: texts that share words are near each other."""
    vector = [0.0] * dimensions
    for word in text.lower().split():
        number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
        vector[number % dimensions] += 1.0 if number >> 63 else -1.0
    length = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / length for value in vector]


def model_shown(name: str) -> dict[str, Any]:
    """A model as the list shows it."""
    methods = ["embedContent"] if "embedding" in name else ["generateContent", "countTokens"]
    about = {"name": f"models/{name}", "version": "001", "displayName": name, "supportedGenerationMethods": methods}
    return {**about, "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536}


def counted(question: Question) -> dict[str, Any]:
    """As countTokens says it."""
    return {"totalTokens": question.input_tokens, "promptTokensDetails": details(question)}
