"""The door: who comes in, and what every answer carries.

Covers: keys, other sites' pages, names that are not ours, headers that keep a browser from mischief, errors as
problems, one line in the log.
Does not cover: what is asked (``routes``), connections (``connections``), how keys are kept (``keys``).

Where nobody needs a key, any page in a browser on this machine could ask us, also one that has its own name lead to
this machine. So requests that change something must not come from another site (Sec-Fetch-Site, else Origin), and the
name that is asked for (Host) has to be one of ours.
"""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from narrowboat.errors import Forbidden, NarrowboatError, Unauthorised
from narrowboat.service.problems import response
from narrowboat.service.routes import Routes
from narrowboat.service.service import Service

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

COOKIE = "narrowboat_key"
_SAFE = ("GET", "HEAD", "OPTIONS")
_SLOW_S = 1.0
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


class Door:
    """The outermost application."""

    def __init__(self, service: Service, routes: Routes) -> None:
        self._service = service
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        visit = _Visit(send)
        operation = None
        try:
            operation = self._routes.find(scope)
            scope.setdefault("state", {})["who"] = self._enter(scope, open_to_all=operation.open)
            answer = await self._routes.answer(self._service, operation, scope, receive)
        except NarrowboatError as error:
            openai = operation is not None and operation.openai
            answer = response(error, self._service.runner.home, openai=openai)
        except Exception as error:
            answer = self._mistake(error, visit)
        try:
            await answer(scope, receive, visit.send)
        except NarrowboatError as error:  # in the middle of a stream: the connection is cut, which the client sees
            self._service.log("answer cut off", request=visit.id, reason=error.message)
            raise
        finally:
            self._note(scope, visit, operation.path if operation is not None else "none")

    def _enter(self, scope: Scope, *, open_to_all: bool) -> str:
        """Who it is.

        Raises:
            Forbidden, Unauthorised: they may not come in.
        """
        headers = Headers(scope=scope)
        if scope["method"] not in _SAFE:
            _refuse_other_sites(headers)
        if self._service.settings.open:
            host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
            if host not in self._service.settings.hosts:
                raise Forbidden(f"{host[:60]!r} is not a name of this service", hint="make a key to use others")
            return "anybody"
        if open_to_all:
            return "anybody"
        who = self._service.keys.owner(_key(headers))
        if who is None:
            raise Unauthorised("this needs a key", hint="Authorization: Bearer KEY; `narrowboat keys` makes one")
        return who

    def _mistake(self, error: Exception, visit: _Visit) -> Response:
        lines = traceback.format_exception(error, limit=-8)
        self._service.log("mistake", request=visit.id, error="".join(lines)[-4000:])
        told = NarrowboatError("the service made a mistake", hint=f"its log has it under {visit.id}")
        return response(told, self._service.runner.home)

    def _note(self, scope: Scope, visit: _Visit, path: str) -> None:
        took = visit.began_s or time.monotonic() - visit.came
        self._service.metrics.asked(scope["method"][:10], path, visit.status, took)
        if scope["method"] not in _SAFE or visit.status >= 400 or took > _SLOW_S:
            self._service.log(
                "request",
                request=visit.id,
                method=scope["method"][:10],
                path=scope["path"][:200],
                status=visit.status,
                who=scope.get("state", {}).get("who"),
                seconds=round(took, 4),
            )


class _Visit:
    """One request and its answer, as they go by."""

    def __init__(self, send: Send) -> None:
        self.id = secrets.token_hex(6)
        self.came = time.monotonic()
        self.began_s = 0.0
        self.status = 0
        self._send = send

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass a message on; the first one with what every answer carries."""
        if message["type"] == "http.response.start":
            self.status, self.began_s = message["status"], time.monotonic() - self.came
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, "x-request-id": self.id}.items():
                headers.setdefault(name, value)
        await self._send(message)


def _key(headers: Headers) -> str:
    kind, _, key = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return key.strip()
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _refuse_other_sites(headers: Headers) -> None:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site in ("same-origin", "none"):
        return
    if site is None and (origin is None or origin.partition("://")[2] == headers.get("host")):
        return
    raise Forbidden("this comes from the page of another site", hint="use the service's own page, or a program")
