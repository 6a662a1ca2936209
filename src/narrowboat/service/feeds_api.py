"""Feeds that the service watches: new episodes become jobs.

Covers: watching them for as long as the service is up, and how each stands over HTTP.
Does not cover: watching itself (``runner/watching``), which feeds (options of ``narrowboat serve``: their addresses may
hold secrets, and so are nothing for a request).
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from narrowboat.errors import NarrowboatError
from narrowboat.runner.rounds import Plan
from narrowboat.runner.watching import Teller, Watching
from narrowboat.service.operations import JSON_TYPE, Answer, Call, Operation
from narrowboat.service.problems import problem
from narrowboat.service.service import Service

LABEL = "feeds"


async def watch(service: Service, feeds: list[str], every_s: float, keep: int | None) -> None:
    """Watch until cancelled. Feeds that can't be read are looked at again; when none ever could be, the log says so."""
    kind = service.kind("transcribe")
    wanted = kind.wanted({}, None)
    out = service.runner.home / "outputs"
    plan = Plan(kind.pipeline, wanted.options, out, tuple(wanted.formats), label=LABEL, latest=keep or 1, keep=keep)
    try:
        service.watching = Watching(service.runner, feeds, plan, every_s, _teller(service))
        await service.watching.run()
    except NarrowboatError as error:
        if not service.draining:
            service.log("feeds are not watched", reason=error.message, hint=error.hint)


def _teller(service: Service) -> Teller:
    return Teller(
        resumed=lambda jobs: None,  # that was said when the service began
        looked=lambda feed, found: service.log("feed looked at", feed=feed.place.shown, new=found.new),
        failed=lambda feed, wait_s: service.log(
            "feed not read", feed=feed.place.shown, reason=str(feed.error), again_s=round(wait_s)
        ),
        deleted=lambda feed, paths: service.log("older episodes deleted", feed=feed.place.shown, files=len(paths)),
        waits=lambda until: None,
    )


async def listed(call: Call) -> Response:
    """The feeds that are watched."""
    watching = call.service.watching
    home = call.service.runner.home
    found = [
        {
            "feed": feed.place.shown,
            "title": feed.title,
            "new": feed.new,
            "failures": feed.failures,
            "problem": None if feed.error is None else problem(feed.error, home),
            "due": feed.due,
        }
        for feed in (watching.feeds if watching is not None else [])
    ]
    return JSONResponse({"feeds": found, "label": LABEL})


_FEED = {
    "type": "object",
    "required": ["feed", "title", "new", "failures", "problem", "due"],
    "properties": {
        "feed": {"type": "string", "description": "Its address, without secrets."},
        "title": {"type": "string"},
        "new": {"type": "integer", "description": "Episodes that were taken in since the service began."},
        "failures": {"type": "integer", "description": "In a row."},
        "problem": {"anyOf": [{"$ref": "#/components/schemas/Problem"}, {"type": "null"}]},
        "due": {"type": "number", "description": "When it is looked at next, in seconds since the epoch."},
    },
}
_ANSWER = {
    "type": "object",
    "required": ["feeds", "label"],
    "properties": {"feeds": {"type": "array", "items": _FEED}, "label": {"type": "string"}},
}
OPERATIONS = [
    Operation(
        "GET",
        "/v1/feeds",
        listed,
        "How the feeds stand that are watched",
        {200: Answer("The feeds; the jobs of their episodes have the label.", {JSON_TYPE: _ANSWER})},
        tag="feeds",
    )
]
