"""How the service is: for orchestrators, for people, for Prometheus.

Covers: alive, ready, memory, metrics, the document of the operations.
Does not cover: where the figures come from (``memory``).
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from narrowboat.errors import Interrupted
from narrowboat.service import metrics
from narrowboat.service.operations import JSON_TYPE, Answer, Call, Operation
from narrowboat.service.shapes import answers


async def alive(call: Call) -> Response:
    """It answers, so it is alive."""
    return JSONResponse({"status": "alive"})


async def ready(call: Call) -> Response:
    """Jobs are taken."""
    if call.service.draining:
        raise Interrupted("the service is ending and takes no more jobs")
    return JSONResponse({"status": "ready", "queued": call.service.queued()})


async def memory(call: Call) -> Response:
    """What there is of memory, and what uses it."""
    return JSONResponse(call.service.memory.told())


async def figures(call: Call) -> Response:
    """All figures for Prometheus."""
    return Response(call.service.metrics.text(), media_type=metrics.MEDIA_TYPE)


async def api(call: Call) -> Response:
    """The OpenAPI document."""
    return JSONResponse(call.service.document)


_STATUS = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
_ALIVE = {200: Answer("It is.", {JSON_TYPE: _STATUS})}
_TEXT = {200: Answer("In Prometheus' format.", {"text/plain": {"type": "string"}})}
_DOCUMENT = {200: Answer("The document.", {JSON_TYPE: {"type": "object"}})}
OPERATIONS = [
    Operation("GET", "/health", ready, "Whether jobs are taken", _ALIVE, tag="health", open=True),
    Operation("GET", "/health/live", alive, "Whether the service answers", _ALIVE, tag="health", open=True),
    Operation("GET", "/health/ready", ready, "Whether jobs are taken", _ALIVE, tag="health", open=True),
    Operation(
        "GET", "/health/memory", memory, "Memory and what uses it", {200: answers("Now.", "Memory")}, tag="health"
    ),
    Operation("GET", "/metrics", figures, "Figures for Prometheus", _TEXT, tag="health"),
    Operation("GET", "/openapi.json", api, "This document", _DOCUMENT, tag="health", open=True),
]
