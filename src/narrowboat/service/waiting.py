"""Waiting for a job as its client: for surfaces whose answer is the result.

Covers: until it has ended, or whoever asked has gone; its error raised as ours.
Does not cover: seeing that it has ended (``watch``).
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from narrowboat.errors import Interrupted, from_json
from narrowboat.runner.reading import JobRow
from narrowboat.service.operations import Call


async def done(call: Call, job_id: str) -> JobRow:
    """The job once it is done.

    Raises:
        Interrupted: who asked has gone, or the service ends; the job goes on. NarrowboatError: as the job ended.
    """
    row = await ended(call, job_id)
    if row.state != "done":
        raise from_json(row.reason or {"code": "interrupted", "message": f"job {row.id} is {row.state}"})
    return row


async def ended(call: Call, job_id: str) -> JobRow:
    """The job once it has ended, however.

    Raises:
        Interrupted: who asked has gone, or the service ends; the job goes on.
    """
    watch = call.service.watch
    waits = [asyncio.ensure_future(one) for one in (watch.ended(job_id), _gone(call.request), watch.ends())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not waits[0].done():
            raise Interrupted(f"nobody waits for job {job_id} any more; it goes on", hint=f"GET /v1/jobs/{job_id}")
    finally:
        for one in waits:
            one.cancel()
    return await call.service.runner.journal.job(job_id)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
