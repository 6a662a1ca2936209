"""OpenAI and the many servers that speak as it does, through OpenAI's client. Loads in workers only.

Covers: one question (chat), one transcription, embeddings; servers that lack a feature: what they refuse by name is
asked for in another way.
Does not cover: trying again (``runner/calls``), what is asked (``speech``, ``language``), what errors mean
(``refusals``), sockets (``wire``).

Read in openai 3.54: given a path, the client reads the whole file; given an open file it sends 64 KiB at a time.
Answers are read as JSON and not as the client's classes: servers of others leave fields out, or have others.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx2
import openai

from narrowboat.engines import wire
from narrowboat.engines.answers import Answer, File, unfenced
from narrowboat.engines.refusals import Refusal, cleaned, malformed, refusal, too_long
from narrowboat.engines.remote import RemoteModel, address_of, key_of
from narrowboat.engines.vendor_clients import explained
from narrowboat.errors import EngineError, NarrowboatError
from narrowboat.values import Json
from narrowboat.waits import retry_after

_OWN = "https://api.openai.com/v1"
#: Bytes of an image: it is in memory three times over while it is sent, as base64 inside JSON.
MOST_IMAGE_BYTES = 8 << 20
#: How an answer that follows a schema is asked for: what binds most, first. The rest puts the schema into words.
_FORMATS = ("strict", "schema", "object", "words")
_TOKENS = ("max_completion_tokens", "max_tokens")
#: Statuses with which a server says that it does not know something that was asked for.
_UNKNOWN = {400, 415, 422, 501}
_OF_FORMATS = ("format", "json", "schema", "strict", "grammar", "structured")
_REMEMBERED = 256

_lacking: dict[tuple[str, str, str], frozenset[str]] = {}  # by server, model and schema: what is not asked for again


class _Declined(Exception):
    """The server refuses, and what it said; ``error`` is what it comes to when nothing else can be asked for."""

    def __init__(self, found: Refusal, error: NarrowboatError) -> None:
        super().__init__(error.message)
        self.found, self.error = found, error


def chat(
    model: RemoteModel,
    parts: Sequence[str | File],
    *,
    system: str | None = None,
    schema: Json | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
) -> Answer:
    """One answer to one question.

    Args:
        parts: texts and images, in their order.
        system: what the model is told about its task.
        schema: JSON Schema that the answer is to follow; it is then JSON, as far as the server can see to that.

    Raises:
        EngineError: it will not answer: a bad key, no such model, blocked, empty, a file that is no image.
        RemoteError: it did not answer this time; facts ``status``, ``wait_s``, ``quota``.
        Interrupted: the step was asked to stop.
    """
    content = _content(model, parts)
    known = (address_of(model) or _OWN, model.model, json.dumps(schema, sort_keys=True))
    lacking, first = _lacking.get(known, frozenset()), None
    with wire.limited(wire.LIMIT_S):
        while True:
            body = _body(model, content, system, schema, max_tokens, temperature, lacking)
            try:
                answer = _answer(model, _json(model, _post(model, "/chat/completions", body)))
            except _Declined as declined:
                first = first or declined.error
                refused = _refused_feature(declined.found, body, schema, lacking)
                if refused is None:
                    raise first from None
                lacking |= {refused}
                continue
            if lacking:
                if len(_lacking) >= _REMEMBERED:
                    _lacking.clear()
                _lacking[known] = lacking
            return answer if schema is None else Answer(unfenced(answer.text), answer.finish, answer.usage)


def transcribe(model: RemoteModel, path: Path, *, fields: dict[str, Json]) -> dict[str, Json]:
    """What a server hears in a file; the file is sent from the disk.

    Args:
        fields: of the form, beside ``file`` and ``model``: ``response_format``, ``language``, ``prompt``, …

    Returns:
        The server's JSON; ``{"text"}`` where it answers with plain text.

    Raises:
        EngineError, RemoteError, Interrupted: as :func:`chat`. Fact ``status`` 400, 415, 422 or 501 where the server
            knows no such format or field.
    """
    if path.stat().st_size == 0:
        raise EngineError(f"{path.name} is empty (0 bytes)", hint="ask with a file that has something in it")
    form = {"model": model.model, **fields}
    with wire.limited(wire.LIMIT_S), path.open("rb") as file:
        try:
            response = _post(model, "/audio/transcriptions", form, file=(f"audio{path.suffix}", file))
        except _Declined as declined:
            raise declined.error from None
    text = response.text
    if not text.lstrip().startswith("{"):
        if text.lstrip().startswith("<"):
            raise malformed(model, "it is a page for people")
        return {"text": text.strip()}
    found = _json(model, response)
    if not isinstance(found.get("text"), str) and not isinstance(found.get("segments"), list):
        raise malformed(model, "it has neither text nor segments")
    return found


def embed(model: RemoteModel, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text.

    Raises:
        EngineError, RemoteError, Interrupted: as :func:`chat`.
    """
    body = {"model": model.model, "input": list(texts), "encoding_format": "float"}
    with wire.limited(wire.LIMIT_S):
        try:
            found = _json(model, _post(model, "/embeddings", body)).get("data")
        except _Declined as declined:
            raise declined.error from None
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    if len(rows) == len(texts) and all(isinstance(row.get("index"), int) for row in rows):
        rows.sort(key=lambda row: int(row["index"]))
    vectors = [row.get("embedding") for row in rows]
    if len(vectors) != len(texts) or not all(isinstance(vector, list) and vector for vector in vectors):
        raise malformed(model, f"{len(vectors)} vectors for {len(texts)} texts")
    return [[float(number) for number in vector] for vector in vectors if vector]


# -- what is asked ----------------------------------------------------------------------------------------------------


def _content(model: RemoteModel, parts: Sequence[str | File]) -> Json:
    """One text as it is, which every server takes; otherwise a list of parts."""
    if all(isinstance(part, str) for part in parts):
        return "\n\n".join(str(part) for part in parts)
    return [{"type": "text", "text": part} if isinstance(part, str) else _image(model, part) for part in parts]


def _image(model: RemoteModel, file: File) -> Json:
    if not file.mime.startswith("image/"):
        raise EngineError(f"{model.name} takes texts and images, not {file.mime}", hint="use an engine that does")
    size = file.path.stat().st_size
    if size > MOST_IMAGE_BYTES:
        raise EngineError(
            f"the image {file.path.name} has {size} bytes; at most {MOST_IMAGE_BYTES} are sent", hint="make it smaller"
        )
    data = base64.b64encode(file.path.read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{file.mime};base64,{data}"}}


def _body(
    model: RemoteModel,
    content: Json,
    system: str | None,
    schema: Json | None,
    max_tokens: int | None,
    temperature: float | None,
    lacking: frozenset[str],
) -> dict[str, Json]:
    form = _format(schema, lacking)
    if form in ("object", "words"):
        wish = f"Answer with JSON alone, which follows this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
        system = f"{system}\n\n{wish}" if system else wish
    messages = [{"role": "system", "content": system}] if system else []
    body: dict[str, Json] = {"model": model.model, "messages": [*messages, {"role": "user", "content": content}]}
    if form == "object":
        body["response_format"] = {"type": "json_object"}
    elif form in ("strict", "schema"):
        named = {"name": "answer", "schema": schema, "strict": form == "strict"}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    names = _TOKENS if address_of(model) in (None, _OWN) else _TOKENS[::-1]  # others know the old name, if one
    name = next((name for name in names if name not in lacking), None)
    if max_tokens is not None and name is not None:
        body[name] = max_tokens
    if temperature is not None and "temperature" not in lacking:
        body["temperature"] = temperature
    return body


def _format(schema: Json | None, lacking: frozenset[str]) -> str | None:
    if schema is None:
        return None
    forms = _FORMATS if _is_strict(schema) else _FORMATS[1:]
    return next(form for form in forms if form == "words" or form not in lacking)


def _is_strict(schema: Json) -> bool:
    """Whether a schema is one that a strict server takes: all there is in its objects is named, and required."""
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    if isinstance(schema.get("properties"), dict):
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(
            schema["properties"]
        ):
            return False
        return all(map(_is_strict, schema["properties"].values())) and _is_strict(schema.get("$defs", {}))
    return schema.get("type") != "object" and all(map(_is_strict, schema.values()))


def _refused_feature(found: Refusal, body: dict[str, Json], schema: Json | None, lacking: frozenset[str]) -> str | None:
    """What a server does not know of what it was asked, and can be asked without."""
    if found.status not in _UNKNOWN or too_long(found):
        return None
    said = found.said.lower()
    for name in ("temperature", *_TOKENS):
        if name in body and name in said:
            return name
    form = _format(schema, lacking)
    if form in (None, "words") or not (any(word in said for word in _OF_FORMATS) or found.status == 501 or not said):
        return None
    return form


# -- asking -----------------------------------------------------------------------------------------------------------


def _post(model: RemoteModel, path: str, body: dict[str, Json], file: tuple[str, Any] | None = None) -> httpx2.Response:
    """The answer to one request.

    Raises:
        _Declined: one of the statuses that may be about a feature.
        EngineError, RemoteError, Interrupted: anything else.
    """
    more: dict[str, Any] = {}
    if file is not None:
        more = {"files": {"file": file}, "options": {"headers": {"Content-Type": "multipart/form-data"}}}
    with _explained(model) as client:
        response: httpx2.Response = client.post(path, cast_to=httpx2.Response, body=body, **more)
        return response


def _explained(model: RemoteModel) -> contextlib.AbstractContextManager[openai.OpenAI]:
    """The client; what it raises inside becomes an error of ours, or :class:`_Declined`."""

    def refused(error: Exception, key: str) -> Exception | None:
        if not isinstance(error, openai.APIStatusError):
            return None
        found = _told(error.response)
        told = refusal(model, found, key)
        return _Declined(found, told) if found.status in _UNKNOWN else told

    return explained(model, _client, _OWN, refused)


@lru_cache(maxsize=4)
def _client(key: str, url: str) -> openai.OpenAI:
    # A server of one's own that wants no key is sent a word that is none: the client will not do without.
    return openai.OpenAI(
        api_key=key or "none", base_url=url, max_retries=0, timeout=wire.LIMIT_S, http_client=wire.client(url)
    )


def _told(response: httpx2.Response) -> Refusal:
    """A refusal, in whichever of the usual shapes its JSON is."""
    text = response.text
    try:
        told = json.loads(text)
    except ValueError:
        told = text
    if isinstance(told, dict):
        told = told.get("error") or told.get("detail") or told.get("message") or ""
    reasons: set[str] = set()
    if isinstance(told, dict):
        reasons = {str(told[name]) for name in ("code", "type", "param") if told.get(name)}
        said = f"{told.get('message') or ''}"
        if told.get("param") and str(told["param"]) not in said:
            said += f" ({told['param']})"
    else:
        said = told if isinstance(told, str) else json.dumps(told)
    milliseconds = response.headers.get("retry-after-ms", "")
    wait = float(milliseconds) / 1000 if milliseconds.isdecimal() else retry_after(response.headers.get("retry-after"))
    return Refusal(response.status_code, said, frozenset(reasons), wait)


# -- what is answered -------------------------------------------------------------------------------------------------


def _json(model: RemoteModel, response: httpx2.Response) -> dict[str, Any]:
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError):
        raise malformed(model, "it is no JSON") from None
    if not isinstance(found, dict):
        raise malformed(model, "it is no object of JSON")
    if found.get("error"):  # some say so with a status of 200
        told = found["error"]
        said = cleaned(str(told.get("message") if isinstance(told, dict) else told), key_of(model))
        raise malformed(model, f"it is an error: {said}")
    return found


def _answer(model: RemoteModel, found: dict[str, Any]) -> Answer:
    choices = found.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or choice is None:
        raise malformed(model, "it has no choices")
    why, text = choice.get("finish_reason"), _text(message.get("content"))
    key = key_of(model)
    if key:
        text = text.replace(key, "…")
    if why == "content_filter" or message.get("refusal"):
        said = cleaned(str(message.get("refusal") or why), key)
        hint = "the vendor's rules do not allow it; another engine may have others"
        raise EngineError(f"{model.name} blocked the answer ({said})", hint=hint, reason="content_filter")
    told = found.get("usage")
    usage = told if isinstance(told, dict) else {}
    counts = {"input_tokens": _count(usage, "prompt_tokens"), "output_tokens": _count(usage, "completion_tokens")}
    if why in ("length", "max_tokens"):
        return Answer(text, "length", counts)
    if not text.strip():
        raise EngineError(f"{model.name} gave an empty answer", hint="ask in other words", reason="empty")
    return Answer(text, "stop", counts)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _count(usage: dict[str, Any], name: str) -> int | None:
    count = usage.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) else None
