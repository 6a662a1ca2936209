"""Server-sent events: progress, states and memory as they change.

Covers: the stream of all jobs and that of one; going on after a reconnect (``Last-Event-ID``).
Does not cover: seeing what happens (``watch``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from narrowboat.errors import QueueFull
from narrowboat.service.operations import Answer, Call, Operation, Parameter
from narrowboat.service.shapes import ID
from narrowboat.service.watch import State, Watch

MEDIA_TYPE = "text/event-stream"
#: Streams at the same time. Each costs a connection and a task: about 28 KiB.
MOST = 256
#: Seconds after which a silent stream says that it is alive.
BEAT_S = 15.0


async def all_events(call: Call) -> Response:
    """Everything that changes."""
    return _stream(call, None)


async def job_events(call: Call) -> Response:
    """What changes of one job; the stream ends with it."""
    row = await call.service.runner.journal.job(call.given["id"])
    return _stream(call, row.id)


def _stream(call: Call, job_id: str | None) -> Response:
    watch = call.service.watch
    if watch.followers >= MOST:
        raise QueueFull(f"{MOST} event streams are open, which is as many as may be", retry_after_s=5)
    last = call.request.headers.get("last-event-id", "")
    epoch, _, number = last.partition("-")
    since = int(number) if epoch == call.service.epoch and number.isdecimal() else 0
    lines = _all(watch, call.service.epoch, since) if job_id is None else _one(call, job_id, since)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_counted(watch, lines), headers=headers, media_type=MEDIA_TYPE)


async def _counted(watch: Watch, lines: AsyncIterator[str]) -> AsyncIterator[str]:
    watch.followers += 1
    try:
        yield "retry: 2000\n\n"
        async for line in lines:
            yield line
    finally:
        watch.followers -= 1


async def _all(watch: Watch, epoch: str, since: int) -> AsyncIterator[str]:
    while True:
        last = watch.closed
        states = [state for state in [watch.memory, *watch.jobs.values()] if state.version > since]
        for version, event, data in sorted(frame for state in states for frame in _newer(state, since)):
            yield _frame(f"{epoch}-{version}", event, data)
            since = max(since, version)
        if last:
            return
        yield await _more(watch)


async def _one(call: Call, job_id: str, since: int) -> AsyncIterator[str]:
    service = call.service
    if job_id not in service.watch.jobs:  # of long ago, or nobody has looked yet
        yield _frame(f"{service.epoch}-0", "job", await service.job_text(job_id))
    while True:
        last = service.watch.closed or not service.active(job_id)
        state = service.watch.jobs.get(job_id)
        for version, event, data in sorted(_newer(state, since)) if state is not None else []:
            yield _frame(f"{service.epoch}-{version}", event, data)
            since = max(since, version)
        if last:
            return
        yield await _more(service.watch)


def _newer(state: State, since: int) -> list[tuple[int, str, str]]:
    return [(version, event, data) for event, (version, data) in state.frames.items() if version > since]


async def _more(watch: Watch) -> str:
    """Wait for a change; what to say before the next look: nothing, or that the stream is alive."""
    try:
        async with asyncio.timeout(BEAT_S):
            await watch.changed()
    except TimeoutError:
        return ": still here\n\n"
    return ""


def _frame(number: str, event: str, data: str) -> str:
    return f"id: {number}\nevent: {event}\ndata: {data}\n\n"


_ABOUT = "Events job, progress, memory and gone, each with JSON as its data."
_ANSWER = {200: Answer(_ABOUT, {MEDIA_TYPE: {}})}
_LAST = Parameter("Last-Event-ID", {"type": "string"}, "The last event that was seen, to go on from there.", "header")
OPERATIONS = [
    Operation("GET", "/v1/events", all_events, "Follow all jobs", _ANSWER, [_LAST], problems=[429], tag="events"),
    Operation(
        "GET", "/v1/jobs/{id}/events", job_events, "Follow a job", _ANSWER, [ID, _LAST], problems=[429], tag="events"
    ),
]
