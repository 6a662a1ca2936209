"""OpenAI's addresses, and what is done for each.

Covers: which operation a request is, keys, the order in which an operation is checked and answered.
Does not cover: shapes (``openai_api``, ``transcripts``).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from fakes import openai_api, transcripts
from fakes.http import Request, Response, json_response
from fakes.multipart import Malformed, read_form
from fakes.questions import Question
from fakes.refusals import Refusal
from fakes.switches import MIB
from fakes.twists import shortened

if TYPE_CHECKING:
    from fakes.gemini_routes import Routed
    from fakes.server import Call, Fake

PATHS = {
    ("POST", "/v1/chat/completions"): "chat",
    ("POST", "/v1/audio/transcriptions"): "transcribe",
    ("POST", "/v1/embeddings"): "embed",
    ("GET", "/v1/models"): "models",
}


def route(request: Request) -> Routed | None:
    """Which operation of OpenAI's a request is, if it is one."""
    op = PATHS.get((request.method, request.path))
    if op is None and request.method == "GET" and request.path.startswith("/v1/models/"):
        return "openai", "models", {"model": request.path.removeprefix("/v1/models/")}
    return None if op is None else ("openai", op, {})


async def serve(fake: Fake, call: Call) -> Response:
    """Do what is asked.

    Raises:
        Refusal: it is not done.
    """
    _check_key(fake, call)
    if call.op == "transcribe":
        response = await _transcribe(fake, call)
    elif call.op == "models":
        fake.meet(call)
        response = _models(fake, call)
    else:
        body = await _body(fake, call)
        call.args["model"] = str(body.get("model") or "")
        _check_model(fake, call)
        response = await (_chat if call.op == "chat" else _embed)(fake, call, body)
    return _with_headers(fake, call, response)


def _check_key(fake: Fake, call: Call) -> None:
    if call.key is None:
        raise Refusal(
            401, "You didn't provide an API key. You need to provide your API key in an Authorization header."
        )
    if fake.switches.keys is not None and call.key not in fake.switches.keys:
        shown = f"{call.key[:8]}{'*' * 12}{call.key[-4:]}" if len(call.key) > 12 else "*" * len(call.key)
        about = "You can find your API key at https://platform.openai.com/account/api-keys."
        raise Refusal(401, f"Incorrect API key provided: {shown}. {about}", reason="invalid_api_key")


def _check_model(fake: Fake, call: Call) -> None:
    model, models = call.args["model"], fake.switches.models
    if not model:
        raise Refusal(400, "you must provide a model parameter")
    if models is not None and model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise Refusal(404, message, reason="model_not_found")


def _models(fake: Fake, call: Call) -> Response:
    if "model" in call.args:
        _check_model(fake, call)
        return json_response(openai_api.model_shown(call.args["model"]))
    models = openai_api.KNOWN if fake.switches.models is None else fake.switches.models
    return json_response({"object": "list", "data": [openai_api.model_shown(name) for name in models]})


async def _body(fake: Fake, call: Call) -> dict[str, Any]:
    raw = await call.request.body.read(fake.switches.most_inline)
    if raw is None:
        raise Refusal(413, f"Request too large: at most {fake.switches.most_inline} bytes.")
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    return value


async def _chat(fake: Fake, call: Call, body: dict[str, Any]) -> Response:
    question = openai_api.question_of(call.args["model"], body, fake.store)
    try:
        await fake.pay(call, question)
        answer = await fake.answers.text(question, call.fault)
    finally:
        _release(fake, question)
    call.entry["answer"] = answer.public()
    response_id, created = f"fake{call.entry['n']}", int(time.time())
    if not body.get("stream"):
        return json_response(openai_api.response_of(question, answer, response_id, created))
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    events = openai_api.stream_of(question, answer, response_id, created, usage=usage)
    return Response(200, events, {"Content-Type": "text/event-stream; charset=utf-8"})


async def _embed(fake: Fake, call: Call, body: dict[str, Any]) -> Response:
    texts = body["input"] if isinstance(body.get("input"), list) else [str(body.get("input"))]
    made = openai_api.embeddings_of(body, call.args["model"])
    await fake.pay(call, Question("embed", call.args["model"], texts=texts))
    return json_response(made)


async def _transcribe(fake: Fake, call: Call) -> Response:
    most = fake.switches.most_audio
    if call.request.body.length is not None and call.request.body.length > most + MIB:
        raise _too_large(most, call.request.body.length)
    try:
        form = await read_form(call.request.body.blocks(), call.request.headers.get("content-type", ""), fake.store)
    except Malformed as error:
        raise Refusal(400, f"Could not parse multipart form: {error}.") from None
    parts = list(form.files.values())
    try:
        question = openai_api.speech_of(form, fake.store)
        parts += question.samples.values()
        if question.samples and not fake.switches.voices:
            raise Refusal(400, "Unknown parameter: 'known_speaker_references'.", param="known_speaker_references")
        call.args["model"] = question.model
        _check_model(fake, call)
        if question.files[0].size > most:
            raise _too_large(most, question.files[0].size)
        await fake.pay(call, question)
        spoken = await fake.answers.spoken(question, call.fault)
    finally:
        for file in parts:
            fake.store.remove(file)
    if not isinstance(spoken, transcripts.Spoken):
        return json_response(spoken)
    spoken = shortened(spoken, call.fault)
    call.entry["answer"] = {"text": spoken.text[:200], **spoken.about}
    if question.fields.get("stream") == "true" and question.model != "whisper-1":  # whisper-1 ignores it
        return Response(200, transcripts.events_of(spoken), {"Content-Type": "text/event-stream; charset=utf-8"})
    shape, granularities = form.first("response_format", "json"), form.fields.get("timestamp_granularities[]", [])
    return transcripts.response_of(spoken, shape, granularities, form.first("language"))


def _release(fake: Fake, question: Question) -> None:
    for part in question.parts:
        fake.store.remove(part)


def _too_large(most: int, size: int) -> Refusal:
    return Refusal(413, f"413: Maximum content size limit ({most}) exceeded ({size} bytes read)")


def _with_headers(fake: Fake, call: Call, response: Response) -> Response:
    """What OpenAI says of the request and of what is left of the quota."""
    response.headers["x-request-id"] = f"req_fake{call.entry['n']}"
    if "quota_left" in call.entry:
        most = fake.switches.quota or 10_000
        left = {"limit": str(most), "remaining": str(call.entry["quota_left"]), "reset": "6s"}
        response.headers |= {f"x-ratelimit-{name}-requests": text for name, text in left.items()}
    return response
