"""The kinds of work over HTTP: what they take and which options they know.

Covers: what a form for them needs.
Does not cover: taking work in (``jobs``).
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from narrowboat.service.operations import JSON_TYPE, Answer, Call, Operation


async def listed(call: Call) -> Response:
    """All kinds."""
    found = [
        {
            "name": kind.name,
            "title": kind.title,
            "takes": kind.takes,
            "installed": kind.installed,
            "options": kind.options,
            "formats": list(kind.formats),
            "usual_formats": list(kind.usual),
        }
        for kind in call.service.kinds.values()
    ]
    return JSONResponse({"pipelines": found})


_KIND = {
    "type": "object",
    "required": ["name", "title", "takes", "installed", "options", "formats", "usual_formats"],
    "properties": {
        "name": {"type": "string"},
        "title": {"type": "string"},
        "takes": {"type": "string", "description": "Media types, with commas between."},
        "installed": {"type": "boolean"},
        "options": {"type": "object", "description": "A JSON Schema."},
        "formats": {"type": "array", "items": {"type": "string"}},
        "usual_formats": {"type": "array", "items": {"type": "string"}},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["pipelines"],
    "properties": {"pipelines": {"type": "array", "items": _KIND}},
}
OPERATIONS = [
    Operation(
        "GET",
        "/v1/pipelines",
        listed,
        "List the kinds of work",
        {200: Answer("The kinds.", {JSON_TYPE: _ANSWER})},
        tag="pipelines",
    )
]
