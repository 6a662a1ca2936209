"""Batches over HTTP: many jobs under one label.

Covers: submitting many addresses at once, counting, cancelling and retrying the jobs of a label.
Does not cover: one job (``jobs``), what a label is (docs/batches.md).
"""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse, Response

from narrowboat.errors import NarrowboatError, NotFound
from narrowboat.runner import listing
from narrowboat.service.all_kinds import kinds
from narrowboat.service.jobs import LABEL, SOURCE, body_of
from narrowboat.service.operations import JSON_TYPE, Answer, Body, Call, Operation, Parameter
from narrowboat.service.problems import problem
from narrowboat.service.shapes import answers
from narrowboat.values import Json

#: Addresses of one request; more of them under the same label with the next.
MOST = 500
_AT_ONCE = 4


async def submit(call: Call) -> Response:
    """Submit many sources; each is taken in or refused for itself."""
    asked = await call.json()
    service = call.service
    kind = service.kind(asked.get("pipeline", "transcribe"))
    wanted = kind.wanted(asked.get("options") or {}, asked.get("formats"))
    await service.admit(kind, wanted)
    asking = asyncio.Semaphore(_AT_ONCE)

    async def one(source: str) -> dict[str, Json]:
        try:
            async with asking:
                job_id = await service.submit(
                    kind, source, wanted, label=asked["label"], again=asked.get("again", False)
                )
            return {"source": source, "job": job_id, "problem": None}
        except NarrowboatError as error:
            return {"source": source, "job": None, "problem": problem(error, service.runner.home)}

    taken = await asyncio.gather(*map(one, dict.fromkeys(asked["sources"])))
    return JSONResponse({"label": asked["label"], "taken": taken}, 201)


async def listed(call: Call) -> Response:
    """All batches, the one with the newest job first."""
    return JSONResponse({"batches": await _batches(call)})


async def shown(call: Call) -> Response:
    """One batch."""
    return JSONResponse(await _batch(call))


async def cancel(call: Call) -> Response:
    """Cancel the jobs of a batch that have not ended."""
    return await _each(call, ("queued", "running"), call.service.runner.cancel)


async def retry(call: Call) -> Response:
    """Run the jobs of a batch again that failed, and no others."""
    await call.service.watch.look()
    return await _each(call, ("failed",), call.service.runner.retry)


async def _each(call: Call, states: tuple[str, ...], work: object) -> Response:
    await _batch(call)
    ids = await call.service.runner.journal.ids_in(states, call.given["label"])
    for job_id in ids:
        try:
            await work(job_id)  # type: ignore[operator]
        except NarrowboatError as error:  # it has ended meanwhile, or was retried by somebody else
            call.service.log("job of a batch left alone", job=job_id, reason=error.message)
    return JSONResponse(await _batch(call))


async def _batches(call: Call) -> list[dict[str, Json]]:
    return await asyncio.to_thread(listing.batches, call.service.runner.home, call.service.runner.status().to_json())


async def _batch(call: Call) -> dict[str, Json]:
    label = call.given["label"]
    found = next((batch for batch in await _batches(call) if batch["label"] == label), None)
    if found is None:
        raise NotFound(f"there is no batch {label[:60]!r}", hint="GET /v1/batches lists them")
    return found


_SOURCES = {"type": "array", "items": SOURCE, "minItems": 1, "maxItems": MOST}
_BODIES = [body_of(kind, sources=_SOURCES, label={**LABEL, "type": "string"}) for kind in kinds().values()]
_LABEL = Parameter("label", {"type": "string", "minLength": 1, "maxLength": 200}, "Label of the batch.", "path")
_TAKEN = Answer(
    "What became of each source.",
    {
        JSON_TYPE: {
            "type": "object",
            "required": ["label", "taken"],
            "properties": {
                "label": {"type": "string"},
                "taken": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["source", "job", "problem"],
                        "properties": {
                            "source": {"type": "string"},
                            "job": {"type": ["string", "null"]},
                            "problem": {"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]},
                        },
                    },
                },
            },
        }
    },
)
_BATCH = {200: answers("The batch as it is now.", "Batch")}
_LIST = {
    200: Answer(
        "The batches.",
        {
            JSON_TYPE: {
                "type": "object",
                "required": ["batches"],
                "properties": {"batches": {"type": "array", "items": {"$ref": "#/components/schemas/Batch"}}},
            }
        },
    )
}
_TAG = "batches"
OPERATIONS = [
    Operation(
        "POST",
        "/v1/batches",
        submit,
        "Submit many sources under one label",
        {201: _TAKEN},
        body=Body({JSON_TYPE: {"anyOf": _BODIES}}, by="pipeline"),
        problems=[422, 429],
        tag=_TAG,
    ),
    Operation("GET", "/v1/batches", listed, "List batches", _LIST, tag=_TAG),
    Operation("GET", "/v1/batches/{label}", shown, "Look at a batch", _BATCH, [_LABEL], tag=_TAG),
    Operation("POST", "/v1/batches/{label}/cancel", cancel, "Cancel what has not ended", _BATCH, [_LABEL], tag=_TAG),
    Operation("POST", "/v1/batches/{label}/retry", retry, "Run what failed again", _BATCH, [_LABEL], tag=_TAG),
]
