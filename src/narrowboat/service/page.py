"""The page, its parts, and the cookie that stands for a key in a browser.

Covers: serving the files of ``page/``, each by its name; signing in and out.
Does not cover: what the page shows (``page/``).
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import JSONResponse, Response

from narrowboat.errors import NotFound, Unauthorised
from narrowboat.service.door import COOKIE
from narrowboat.service.operations import JSON_TYPE, Answer, Body, Call, Operation, Parameter

_FOLDER = Path(__file__).parent / "page"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MONTH_S = 30 * 86400


@cache
def _file(name: str) -> tuple[bytes, str]:
    """A file of the page, and its ETag."""
    content = (_FOLDER / name).read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:20]}"'


@cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in _FOLDER.iterdir() if path.suffix in _TYPES)


async def page(call: Call) -> Response:
    """The page itself; what it shows is in the part of the address that stays in the browser."""
    return _answer(call, "index.html")


async def part(call: Call) -> Response:
    """A script, a style or a picture of the page."""
    name = call.given["name"]
    if name not in _names():
        raise NotFound(f"the page has no part {name[:60]!r}")
    return _answer(call, name)


def _answer(call: Call, name: str) -> Response:
    content, tag = _file(name)
    headers = {"etag": tag, "cache-control": "no-cache", "content-security-policy": _POLICY}
    if call.request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_TYPES[Path(name).suffix])


async def session(call: Call) -> Response:
    """Who asks."""
    return JSONResponse({"who": call.request.scope["state"]["who"], "open": call.service.settings.open})


async def sign_in(call: Call) -> Response:
    """Keep a key in a cookie that no script can read, so that links and players work."""
    key = (await call.json())["key"].strip()
    if call.service.keys.owner(key) is None:
        raise Unauthorised("there is no such key", hint="`narrowboat keys` lists and makes them")
    answer = Response(status_code=204)
    secure = call.request.url.scheme == "https" or call.request.headers.get("x-forwarded-proto") == "https"
    answer.set_cookie(COOKIE, key, max_age=_MONTH_S, secure=secure, httponly=True, samesite="strict")
    return answer


async def sign_out(call: Call) -> Response:
    """Forget the key."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


_KEY = {
    "type": "object",
    "required": ["key"],
    "additionalProperties": False,
    "properties": {"key": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}},
}
_WHO = {
    "type": "object",
    "required": ["who", "open"],
    "properties": {"who": {"type": "string"}, "open": {"type": "boolean", "description": "Nobody needs a key."}},
}
_NAME = Parameter("name", {"type": "string", "minLength": 1, "maxLength": 100}, "Name of a part.", "path")
_ANY = {"*/*": {"type": "string"}}
OPERATIONS = [
    Operation("GET", "/", page, "The page", {200: Answer("The page.", _ANY)}, tag="page", open=True, strict=False),
    Operation(
        "GET",
        "/page/{name}",
        part,
        "A part of the page",
        {200: Answer("The part.", _ANY), 304: Answer("It has not changed.")},
        [_NAME],
        tag="page",
        open=True,
        strict=False,
    ),
    Operation("GET", "/session", session, "Who asks", {200: Answer("By which key.", {JSON_TYPE: _WHO})}, tag="page"),
    Operation(
        "POST",
        "/session",
        sign_in,
        "Sign a browser in",
        {204: Answer("The key is kept in a cookie.")},
        body=Body({JSON_TYPE: _KEY}),
        problems=[401, 403],
        tag="page",
        open=True,
    ),
    Operation(
        "DELETE",
        "/session",
        sign_out,
        "Sign a browser out",
        {204: Answer("The cookie is gone.")},
        problems=[403],
        tag="page",
        open=True,
    ),
]
