"""Jobs over HTTP: submitted, listed, looked at, cancelled, retried, deleted.

Covers: the operations below ``/v1/jobs``.
Does not cover: outputs and events (``outputs``, ``events``), what a job is (``runner``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from starlette.responses import JSONResponse, Response

from narrowboat.errors import Conflict, MediaType, UsageError
from narrowboat.runner.listing import STATES
from narrowboat.service.all_kinds import kinds
from narrowboat.service.forms import FORM_TYPE, Form
from narrowboat.service.idempotency import KEY, once
from narrowboat.service.kinds import Kind, Wanted
from narrowboat.service.operations import JSON_TYPE, Answer, Body, Call, Operation, Parameter
from narrowboat.service.schema import Schema, check, converted
from narrowboat.service.shapes import ID, answers
from narrowboat.values import Json

_LONGEST_SOURCE = 4096
SOURCE = {
    "type": "string",
    "minLength": 1,
    "maxLength": _LONGEST_SOURCE,
    "pattern": r"^https?://[^\s/?#\\@:\[]",
    "description": "Where the source is: an http or https address.",
}
LABEL = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": 200,
    "pattern": r"^[^\u0000-\u001f\u007f]*$",
    "description": "A word of yours: the jobs of a label are a batch.",
}
_FORMATS = {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 20}
_AGAIN = {"type": "boolean", "default": False, "description": "Forget what was done of this source and do it again."}


def about(kind: Kind) -> dict[str, Any]:
    """What a request for a job of this kind may say, the source left out."""
    formats = {**_FORMATS, "items": {"type": "string", "enum": list(kind.formats)}, "default": list(kind.usual)}
    return {
        "pipeline": {"type": "string", "enum": [kind.name], "default": kind.name},
        "options": kind.options,
        "formats": formats,
        "label": LABEL,
        "again": _AGAIN,
    }


def body_of(kind: Kind, **more: Schema) -> Schema:
    """What a request for a job of this kind looks like, and what it has ``more``. Of the first kind it need not say
    that it is.
    """
    usual = kind.name == next(iter(kinds()))
    needed = [*more, *([] if usual else ["pipeline"]), *(["options"] if kind.options.get("required") else [])]
    return {
        "type": "object",
        "required": needed,
        "additionalProperties": False,
        "properties": {**about(kind), **more},
    }


async def submit(call: Call) -> Response:
    """Take in a job: an address as JSON, or a file as a form."""
    if call.media_type == FORM_TYPE:
        return await _submit_upload(call)
    if call.media_type != JSON_TYPE:
        raise MediaType(f"the body is {call.media_type[:60] or 'of no named type'}", hint=f"{JSON_TYPE} or {FORM_TYPE}")
    asked = await call.json()
    async with once(call, asked) as known:
        job_id = known.job or await _submit(call, asked, asked["source"])
        known.job = job_id
    return await answered(call, job_id)


async def _submit_upload(call: Call) -> Response:
    async with call.service.forms.form(call.request) as form:
        asked, source = asked_in(form), form.file
        async with once(call, {**asked, "sha256": form.sha256}) as known:
            job_id = known.job or await _submit(call, asked, source)
            known.job = job_id
    return await answered(call, job_id)


def asked_in(form: Form) -> dict[str, Json]:
    """What the fields of a form ask for, as JSON would.

    Raises:
        UsageError: a field is unknown, or makes no sense.
    """
    known: dict[str, Schema] = {
        "pipeline": LABEL,
        "options": {"type": "string"},
        "formats": _FORMATS,
        "label": LABEL,
        "again": _AGAIN,
    }
    asked: dict[str, Json] = {}
    for name in form.fields:
        if name not in known:
            raise UsageError(f"the form knows no field {name[:60]!r}", hint=f"known are file, {', '.join(known)}")
        text = form.last(name) or ""
        if text or name == "options":
            asked[name] = converted(text, known[name], name)
    if "options" in asked:
        try:
            asked["options"] = json.loads(asked["options"] or "{}")
        except (ValueError, RecursionError):
            raise UsageError("the field 'options' is no JSON", where="options") from None
    return asked


async def _submit(call: Call, asked: dict[str, Json], source: str) -> str:
    service = call.service
    kind = service.kind(asked.get("pipeline", "transcribe"))
    wanted: Wanted = kind.wanted(asked.get("options") or {}, asked.get("formats"))
    return await service.submit(kind, source, wanted, label=asked.get("label"), again=asked.get("again", False))


async def answered(call: Call, job_id: str) -> Response:
    """A job that was just taken in."""
    return JSONResponse(await call.service.job(job_id), 201, {"location": f"/v1/jobs/{job_id}"})


async def listed(call: Call) -> Response:
    """A page of jobs, the newest first."""
    given = call.given
    check(given["state"], {"type": "array", "items": {"type": "string", "enum": list(STATES)}}, "state")
    rows, total = await call.service.runner.journal.page(
        given["state"],
        pipeline=given.get("pipeline"),
        label=given.get("label"),
        before=given.get("before"),
        limit=given["limit"],
    )
    more = len(rows) == given["limit"]
    query = {**call.request.query_params, "before": rows[-1].id} if more else {}
    return JSONResponse(
        {
            "jobs": [await call.service.shown(row) for row in rows],
            "total": total,
            "next": f"/v1/jobs?{urlencode(query)}" if more else None,
        }
    )


async def shown(call: Call) -> Response:
    """One job."""
    return JSONResponse(await call.service.shown(await call.service.row(call.given["id"])))


async def cancel(call: Call) -> Response:
    """Cancel a job."""
    row = await call.service.row(call.given["id"])
    with _in_its_state():
        row = await call.service.runner.cancel(row.id)
    return JSONResponse(await call.service.shown(row))


async def retry(call: Call) -> Response:
    """Run a job again that failed or was cancelled; what was committed is kept."""
    row = await call.service.row(call.given["id"])
    await call.service.watch.look()
    with _in_its_state():
        row = await call.service.runner.retry(row.id)
    return JSONResponse(await call.service.shown(row))


@contextmanager
def _in_its_state() -> Iterator[None]:
    """What a job is not to be asked for as it stands conflicts with its state: the request itself makes sense."""
    try:
        yield
    except UsageError as error:
        raise Conflict(error.message, hint=error.hint) from None


async def delete(call: Call) -> Response:
    """Delete a job and its outputs."""
    await call.service.delete(call.given["id"])
    return Response(status_code=204)


def _bodies() -> Body:
    """What can be submitted, of all kinds."""
    found = list(kinds().values())
    as_json = [body_of(kind, source=SOURCE) for kind in found]
    as_form = {
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {
            "file": {"type": "string", "format": "binary"},
            "pipeline": {"type": "string", "enum": [kind.name for kind in found], "default": found[0].name},
            "options": {"type": "string", "contentMediaType": JSON_TYPE, "description": "As in JSON."},
            "formats": {"type": "string", "description": "With commas between."},
            "label": {"type": "string", "maxLength": 200},
            "again": {"type": "boolean", "default": False},
        },
    }
    return Body({JSON_TYPE: {"anyOf": as_json}, FORM_TYPE: as_form}, by="pipeline")


_TAKEN = answers("The job was taken in, or was there already.", "Job", Location="Of the job.")
_JOB = {200: answers("The job as it is now.", "Job")}
_LIST = [
    Parameter(
        "state",
        {"type": "array", "items": {"type": "string", "enum": list(STATES)}, "default": list(STATES)},
        "Only jobs in these states, with commas between.",
    ),
    Parameter("pipeline", {"type": "string", "maxLength": 100}, "Only jobs of this pipeline."),
    Parameter("label", {"type": "string", "maxLength": 200}, "Only jobs of this label."),
    Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}, "At most so many."),
    Parameter("before", {"type": "string", "minLength": 1, "maxLength": 100}, "Only jobs older than this one."),
]
OPERATIONS = [
    Operation(
        "POST",
        "/v1/jobs",
        submit,
        "Submit a job: an address, or a file",
        {201: _TAKEN},
        [KEY],
        _bodies(),
        problems=[409, 422, 429, 507],
    ),
    Operation(
        "GET",
        "/v1/jobs",
        listed,
        "List jobs, the newest first",
        {200: answers("A page.", "Jobs")},
        _LIST,
        problems=[404],
    ),
    Operation("GET", "/v1/jobs/{id}", shown, "Look at a job", _JOB, [ID]),
    Operation("POST", "/v1/jobs/{id}/cancel", cancel, "Cancel a job", _JOB, [ID], problems=[409]),
    Operation(
        "POST", "/v1/jobs/{id}/retry", retry, "Run a job again that failed or was cancelled", _JOB, [ID], problems=[409]
    ),
    Operation("DELETE", "/v1/jobs/{id}", delete, "Delete a job and its outputs", {204: Answer("It is gone.")}, [ID]),
]
