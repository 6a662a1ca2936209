"""Errors as HTTP says them: problem+json (RFC 9457) from the one error table.

Covers: status, code, sentence, hint and facts of an error, without places on this machine.
Does not cover: which error it is (whoever raised it).
"""

from __future__ import annotations

import json
import math
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.responses import Response

from narrowboat.errors import STATUS, NarrowboatError, from_json
from narrowboat.values import Json

MEDIA_TYPE = "application/problem+json"
#: Facts that say more of this machine than of the problem.
_INSIDE = {"path", "home", "pid", "traceback", "stderr", "function"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": sorted(STATUS)},
        "hint": {"type": ["string", "null"]},
        "facts": {"type": "object"},
    },
}


def status_of(error: NarrowboatError) -> int:
    """The HTTP status of an error."""
    return STATUS[error.code][1]


def problem(error: NarrowboatError, home: Path) -> dict[str, Json]:
    """An error as a problem; paths below ``home`` are cut to their last part."""
    status = status_of(error)
    return {
        "type": f"urn:narrowboat:{error.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": without_places(error.message, home),
        "code": error.code,
        "hint": None if error.hint is None else without_places(error.hint, home),
        "facts": {name: _shown(value, home) for name, value in error.facts.items() if name not in _INSIDE},
    }


def reason(saved: dict[str, Json] | None, home: Path) -> dict[str, Json] | None:
    """The reason that the journal has of how a job ended, as a problem."""
    return None if saved is None else problem(from_json(saved), home)


def response(error: NarrowboatError, home: Path, *, openai: bool = False) -> Response:
    """The answer to a request that met an error; with ``openai`` also as OpenAI's clients read it."""
    body = problem(error, home)
    if openai:
        param = error.facts.get("where")
        body["error"] = {"message": body["detail"], "type": body["code"], "param": param, "code": body["code"]}
    headers = {"cache-control": "no-store"}
    wait = error.facts.get("retry_after_s", 5 if error.code == "interrupted" else None)
    if wait is not None:
        headers["retry-after"] = str(max(1, math.ceil(wait)))
    if error.code == "unauthorised":
        headers["www-authenticate"] = "Bearer"
    if "allow" in error.facts:
        headers["allow"] = error.facts["allow"]
    content = json.dumps(body, ensure_ascii=True)
    return Response(content, body["status"], headers, MEDIA_TYPE)


def without_places(text: str, home: Path) -> str:
    """``text`` with paths below ``home`` cut to their last part."""
    return re.sub(rf"{re.escape(str(home))}(/[^\s,:()'\"]*/|/)?", "", text)


def _shown(value: Json, home: Path) -> Json:
    if isinstance(value, str):
        return without_places(value, home)
    if isinstance(value, dict):
        return {name: _shown(inner, home) for name, inner in value.items()}
    return [_shown(inner, home) for inner in value] if isinstance(value, list | tuple) else value
