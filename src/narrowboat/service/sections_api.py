"""Routes of an earlier system for PDFs: ``/extract``, ``/split``, ``/analyze``.

Covers: the names of its fields, waiting for the answer, per-section status.
Does not cover: the jobs (``service``), where its files are (``storage``), what its settings became (docs/migrating.md).

A request waits as a client of a job: one that goes away cancels nothing, and the same request again finds the job.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from starlette.responses import JSONResponse, Response

from narrowboat.errors import from_json
from narrowboat.runner.reading import JobRow
from narrowboat.service import outputs
from narrowboat.service.files import File
from narrowboat.service.operations import JSON_TYPE, Answer, Body, Call, Operation
from narrowboat.service.pdf_kinds import MOST_SECTIONS
from narrowboat.service.storage import address_of
from narrowboat.service.waiting import ended
from narrowboat.values import Json


async def extract(call: Call) -> Response:
    """Ask the same about each section."""
    asked = await call.json()
    sections = [{"name": one["section_name"], "pages": one["page_range"]} for one in asked["sections"]]
    prompt = asked["prompt"]
    options: dict[str, Json] = {"prompt": prompt["prompt_text"], "sections": sections}
    model = call.service.settings.language_model
    row, found = await _result(call, "extract", asked["storage_file_id"], options, "json", model)
    answered = [_answered(one, prompt, got) for one, got in zip(asked["sections"], found["sections"], strict=True)]
    return JSONResponse({**asked, "sections": answered, **_summed(answered), "job_id": row.id})


def _answered(section: dict[str, Json], prompt: dict[str, Json], got: dict[str, Json]) -> dict[str, Json]:
    answer = got["answer"]
    text = answer if isinstance(answer, str) or answer is None else json.dumps(answer, ensure_ascii=False)
    error = None if got.get("error") is None else got["error"]["message"]
    return {
        **section,
        "result": text,
        "success": error is None,
        "status": got["status"],
        "error": error,
        "prompts": [{**prompt, "result": text}],
    }


async def split(call: Call) -> Response:
    """Cut sections to files."""
    asked = await call.json()
    sections = [{"name": one["section_name"], "pages": one["page_range"]} for one in asked["sections"]]
    row, found = await _result(call, "split", asked["storage_file_id"], {"sections": sections}, "sections")
    files = {file.path.name: file for file in await call.service.files(row)}
    made = [_placed(one, got, files, row) for one, got in zip(asked["sections"], found["sections"], strict=True)]
    return JSONResponse({**asked, "sections": made, **_summed(made), "job_id": row.id})


def _placed(section: dict[str, Json], got: dict[str, Json], files: dict[str, File], row: JobRow) -> dict[str, Json]:
    error = None if got.get("error") is None else got["error"]["message"]
    file = files.get((got["file"] or "").rpartition("/")[2])
    href = None if file is None else file.to_json(row.id)["href"]
    return {**section, "success": error is None, "error": error, "file": href}


async def analyze(call: Call) -> Response:
    """Find the sections of a document: by its outline, else by its headings, else by its page labels."""
    asked = await call.json()
    row, found = await _result(call, "outline", asked["file_id"], {"sections": "auto"}, "outline")
    sections = [{"section_name": one["name"], "page_range": one["pages"]} for one in found["sections"]]
    told = {"sections": sections, "sections_by": found["sections_by"], "success": True, "error": None}
    return JSONResponse({**asked, **told, "job_id": row.id})


async def _result(
    call: Call, name: str, file_id: str, options: dict[str, Json], format: str, model: str | None = None
) -> tuple[JobRow, dict[str, Any]]:
    """A job's row once it has ended, and what it wrote; raises its error when it wrote nothing. ``model`` is named by
    whoever runs the service, and so may have an address, which those of requests may not.
    """
    service = call.service
    kind = service.kind(name)
    wanted = kind.wanted(options, [format])
    if model is not None:
        wanted = replace(wanted, options={**wanted.options, "model": model})
    source = address_of(file_id, service.settings.storage)
    job_id = await service.submit(kind, source, wanted)
    row = await ended(call, job_id)
    files = await service.files(row)
    if row.state != "done" and not any(file.format == format for file in files):
        raise from_json(row.reason or {"code": "cancelled", "message": f"job {row.id} is {row.state}"})
    text = await asyncio.to_thread(outputs.named(files, job_id, format).path.read_text, "utf-8")
    return row, json.loads(text)


def _summed(sections: list[dict[str, Json]]) -> dict[str, Json]:
    failed = [one for one in sections if not one["success"]]
    error = f"{len(failed)} of {len(sections)} sections failed: {failed[0]['error']}" if failed else None
    return {"success": not failed, "error": error}


_TEXT: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 300}
_MAYBE: dict[str, Any] = {"type": ["string", "null"], "maxLength": 100_000}
_FILE: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 4096}
_SECTION: dict[str, Any] = {
    "type": "object",
    "required": ["section_name", "page_range"],
    "properties": {"section_name": _TEXT, "page_range": _TEXT, "result": _MAYBE, "genai_file_name": _MAYBE},
}
_SECTIONS: dict[str, Any] = {"type": "array", "items": _SECTION, "minItems": 1, "maxItems": MOST_SECTIONS}
_PROMPT: dict[str, Any] = {
    "type": "object",
    "required": ["prompt_name", "prompt_text"],
    "properties": {
        "id": {},
        "user_id": {},
        "prompt_name": {"type": "string", "maxLength": 300},
        "prompt_text": {"type": "string", "minLength": 1, "maxLength": 100_000, "pattern": r"\S"},
        "result": _MAYBE,
    },
}
_COMMON: dict[str, Any] = {
    "storage_file_id": _FILE,
    "file_name": _MAYBE,
    "storage_parent_folder_id": _MAYBE,
    "sections": _SECTIONS,
    "genai_file_name": _MAYBE,
}


def _operation(path: str, handler: Any, summary: str, body: dict[str, Any]) -> Operation:
    answer = {
        "type": "object",
        "required": list(dict.fromkeys([*body["required"], "sections", "success", "error", "job_id"])),
        "properties": {"success": {"type": "boolean"}, "error": {"type": ["string", "null"]}},
    }
    return Operation(
        "POST",
        path,
        handler,
        summary,
        {200: Answer("The same, with results; success is false where a section failed.", {JSON_TYPE: answer})},
        body=Body({JSON_TYPE: body}),
        problems=[409, 422, 429, 500, 502, 504, 507],
        tag="compatible",
        strict=False,
    )


def _body(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


OPERATIONS = [
    _operation(
        "/extract",
        extract,
        "Ask the same about each section of a PDF, and wait",
        _body("storage_file_id", "sections", "prompt", **_COMMON, prompt=_PROMPT),
    ),
    _operation(
        "/split", split, "Cut sections of a PDF to files, and wait", _body("storage_file_id", "sections", **_COMMON)
    ),
    _operation(
        "/analyze",
        analyze,
        "Find the sections of a PDF, and wait",
        _body("file_id", file_id=_FILE, prompt_text=_MAYBE, genai_file_name=_MAYBE),
    ),
]
