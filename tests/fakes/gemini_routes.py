"""Gemini's addresses, and what is done for each.

Covers: which operation a request is, keys, the order in which an operation is checked and answered.
Does not cover: shapes (``gemini_api``, ``gemini_files``).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from fakes import gemini_api, gemini_files
from fakes.http import Request, Response, json_response
from fakes.log import hashed
from fakes.questions import Question
from fakes.refusals import Refusal

if TYPE_CHECKING:
    from fakes.server import Call, Fake

Routed = tuple[str, str, dict[str, str]]
VERSION = "v1|v1beta|v1alpha"
MODEL = re.compile(rf"/(?P<version>{VERSION})/(?:models|tunedModels)/(?P<model>[^/:]+)(?::(?P<method>\w+))?")
FILE = re.compile(rf"/(?:{VERSION})/files(?:/(?P<file>[^/:]+))?")
UPLOAD = re.compile(rf"(?:/resumable)?/upload/(?:{VERSION})/files")
METHODS = {"generateContent": "generate", "streamGenerateContent": "stream", "countTokens": "count"}
METHODS |= {"embedContent": "embed", "batchEmbedContents": "embed"}


def route(request: Request) -> Routed | None:
    """Which operation of Gemini's a request is, if it is one. ``/v1/models`` is OpenAI's with a bearer's key."""
    path, method = request.path, request.method
    if UPLOAD.fullmatch(path) and method in ("POST", "PUT"):
        chunk = "upload_id" in request.query
        command = request.headers.get("x-goog-upload-command", "")
        return "gemini", "upload_query" if command == "query" else "upload_chunk" if chunk else "upload_start", {}
    if (found := FILE.fullmatch(path)) is not None:
        named = found["file"] is not None
        op = {("GET", False): "file_list", ("GET", True): "file_get", ("DELETE", True): "file_delete"}
        known = op.get((method, named))
        return None if known is None else ("gemini", known, {"file": f"files/{found['file']}"})
    if method == "GET" and request.headers.get("authorization"):
        return None
    if method == "GET" and re.fullmatch(rf"/(?:{VERSION})/models", path):
        return "gemini", "models", {"version": path.split("/")[1]}
    if (found := MODEL.fullmatch(path)) is not None:
        args = {"model": found["model"], "version": found["version"], "method": found["method"] or ""}
        known = "models" if method == "GET" else METHODS.get(args["method"]) if method == "POST" else None
        return None if known is None else ("gemini", known, args)
    return None


async def serve(fake: Fake, call: Call) -> Response:
    """Do what is asked.

    Raises:
        Refusal: it is not done.
    """
    if call.op in ("upload_chunk", "upload_query"):  # its address is all the right that is needed
        fake.meet(call, _label(fake, call))
        response, file = await gemini_files.chunk(call.request, fake.store, fake.switches)
        call.entry["file"] = file.public() if file else None
        return response
    _check_key(fake, call)
    owner = hashed(call.key)
    if call.op in ("generate", "stream", "count", "embed"):
        return await _ask(fake, call, owner)
    fake.meet(call, call.args.get("file", ""))
    if call.op == "upload_start":
        given = (call.request, fake.store, fake.switches)
        return await gemini_files.start(*given, url=fake.url, owner=owner, fault=call.fault)
    if call.op == "file_list":
        return json_response(gemini_files.listed(call.request, fake.store, owner))
    if call.op == "models":
        return _models(fake, call)
    file = gemini_files.found(fake.store, call.args["file"], owner)
    call.entry["file"] = file.public()
    if call.op == "file_delete":
        fake.store.remove(file)
        return json_response({})
    return json_response(gemini_files.polled(file))


def _label(fake: Fake, call: Call) -> str:
    upload = fake.store.uploads.get(call.request.query.get("upload_id", ""))
    return f"{upload.file.name} {upload.file.label}" if upload else ""


def _check_key(fake: Fake, call: Call) -> None:
    if call.key is None:
        about = "Method doesn't allow unregistered callers (callers without established identity)."
        raise Refusal(403, f"{about} Please use API Key or other form of API consumer identity to call this API.")
    if fake.switches.keys is not None and call.key not in fake.switches.keys:
        raise Refusal(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")


def _check_model(fake: Fake, call: Call) -> None:
    model, models = call.args["model"], fake.switches.models
    if models is not None and model not in models:
        about = f"models/{model} is not found for API version {call.args['version']}, or is not supported for "
        listed = "Call ListModels to see the list of available models and their supported methods."
        raise Refusal(404, f"{about}{call.args['method'] or 'get'}. {listed}")


def _models(fake: Fake, call: Call) -> Response:
    if "model" in call.args:
        _check_model(fake, call)
        return json_response(gemini_api.model_shown(call.args["model"]))
    models = gemini_api.KNOWN if fake.switches.models is None else fake.switches.models
    return json_response({"models": [gemini_api.model_shown(name) for name in models]})


async def _ask(fake: Fake, call: Call, owner: str | None) -> Response:
    _check_model(fake, call)
    body = await _body(fake, call)
    if call.op == "embed":
        return await _embed(fake, call, body)
    if call.op == "count":
        body = body.get("generateContentRequest") or body
    question = gemini_api.question_of(call.op, call.args["model"], body, fake.store, owner)
    del body
    try:
        if call.op == "count":
            fake.meet(call, question.matched)
            return json_response(gemini_api.counted(question))
        await fake.pay(call, question)
        answer = await fake.answers.text(question, call.fault)
    finally:
        gemini_api.release(question, fake.store)
    call.entry["answer"] = answer.public()
    response_id = f"fake{call.entry['n']}"
    if call.op == "generate":
        return json_response(gemini_api.response_of(question, answer, response_id))
    sse = call.request.query.get("alt") == "sse"
    kind = "text/event-stream" if sse else "application/json; charset=UTF-8"
    return Response(200, gemini_api.stream_of(question, answer, response_id, sse=sse), {"Content-Type": kind})


async def _embed(fake: Fake, call: Call, body: dict[str, Any]) -> Response:
    texts, dimensions = gemini_api.texts_to_embed(body), gemini_api.dimensions_asked(body)
    await fake.pay(call, Question("embed", call.args["model"], texts=texts))
    made = [{"values": gemini_api.embedding(text, dimensions)} for text in texts]
    return json_response({"embeddings": made} if "requests" in body else {"embedding": made[0]})


async def _body(fake: Fake, call: Call) -> dict[str, Any]:
    most = fake.switches.most_inline
    raw = await call.request.body.read(most)
    if raw is None:
        raise Refusal(400, f"Request payload size exceeds the limit: {most} bytes.")
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, "Invalid JSON payload received. Unexpected end of string.")
    return value
