"""Routes of an earlier system for poses: ``/api/upload``, ``/api/status``, ``/api/cancel``, ``/api/download``.

Covers: its words for states, its form, its downloads, over jobs of the pipeline pose.
Does not cover: the jobs (``service``), its other routes (docs/migrating.md).
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from narrowboat.errors import NotFound
from narrowboat.runner.reading import JobRow
from narrowboat.service import outputs
from narrowboat.service.forms import FORM_TYPE
from narrowboat.service.operations import JSON_TYPE, Answer, Body, Call, Operation, Parameter
from narrowboat.service.problems import reason
from narrowboat.service.shapes import ID
from narrowboat.values import Json

_STATES = {"queued": "pending", "running": "processing", "done": "completed"}
_FILES = {"csv": "csv", "video": "overlay", "thumbnail": "thumbnail", "preview": "preview"}
_FORMATS = ["csv", "json", "overlay", "thumbnail", "preview"]


async def upload(call: Call) -> Response:
    """Take a video in."""
    kind = call.service.kind("pose")
    async with call.service.forms.form(call.request) as form:
        job_id = await call.service.submit(kind, form.file, kind.wanted({}, _FORMATS))
    return JSONResponse(await _told(call, job_id), 202)


async def status(call: Call) -> Response:
    """How far a video is."""
    return JSONResponse(await _told(call, call.given["id"]))


async def cancel(call: Call) -> Response:
    """Stop working on a video."""
    row = await _row(call)
    await call.service.runner.cancel(row.id)
    return JSONResponse(await _told(call, row.id))


async def download(call: Call) -> Response:
    """A result."""
    row = await _row(call)
    return await outputs.serve(
        call, outputs.named(await call.service.files(row), row.id, _FILES[call.given["what"]]).path
    )


async def _row(call: Call) -> JobRow:
    row = await call.service.row(call.given["id"])
    if row.pipeline != "pose":
        raise NotFound(f"job {row.id} is no video", hint=f"GET /v1/jobs/{row.id}")
    return row


async def _told(call: Call, job_id: str) -> dict[str, Json]:
    row = await call.service.row(job_id)
    live = call.service.live(row.id)
    fraction = 1.0 if row.state == "done" else (live or {}).get("fraction") or 0.0
    problem = reason(row.reason, call.service.runner.home)
    return {
        "job_id": row.id,
        "status": _STATES.get(row.state, row.state),
        "progress": round(100 * fraction, 1),
        "message": (live or {}).get("stage") or row.state,
        "error": None if problem is None else problem["detail"],
        "created_timestamp": row.created,
        "results": [file.format for file in await call.service.files(row)],
    }


_TOLD: dict[str, Any] = {
    "type": "object",
    "required": ["job_id", "status", "progress", "message", "error"],
    "properties": {
        "job_id": {"type": "string"},
        "status": {"type": "string", "enum": ["pending", "processing", "completed", "failed", "cancelled"]},
        "progress": {"type": "number", "minimum": 0, "maximum": 100},
        "message": {"type": "string"},
        "error": {"type": ["string", "null"]},
        "created_timestamp": {"type": "number"},
        "results": {"type": "array", "items": {"type": "string"}},
    },
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}
_ANSWER = Answer("How far it is.", {JSON_TYPE: _TOLD})
_WHAT = Parameter("what", {"type": "string", "enum": list(_FILES)}, "Which result.", "path")
_TAG = "compatible"
OPERATIONS = [
    Operation(
        "POST",
        "/api/upload",
        upload,
        "Find poses in a video",
        {202: _ANSWER},
        body=Body({FORM_TYPE: _FORM}),
        problems=[409, 422, 429, 507],
        tag=_TAG,
        strict=False,
    ),
    Operation("GET", "/api/status/{id}", status, "How far a video is", {200: _ANSWER}, [ID], tag=_TAG),
    Operation("POST", "/api/cancel/{id}", cancel, "Stop working on a video", {200: _ANSWER}, [ID], tag=_TAG),
    Operation(
        "GET",
        "/api/download/{id}/{what}",
        download,
        "Download a result",
        outputs.ANSWERS,
        [ID, _WHAT, *outputs.ASKED],
        problems=[416],
        tag=_TAG,
    ),
]
