"""The same request twice is one job: ``Idempotency-Key``.

Covers: what a key stood for, journaled with the job, so that a client that heard no answer may ask again.
Does not cover: the same content submitted without a key, which is the same job by itself (``runner/entries``).
Source: draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from narrowboat.errors import Conflict, UsageError
from narrowboat.runner.steps import digest
from narrowboat.service.operations import Call, Parameter
from narrowboat.values import Json

_LONGEST = 255
KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": _LONGEST},
    "A word of yours that stands for this request: sent again, it is answered with the same job.",
    "header",
)


@dataclass(slots=True)
class Known:
    """The job that a key stands for; None until there is one."""

    job: str | None = None


@asynccontextmanager
async def once(call: Call, asked: Json) -> AsyncIterator[Known]:
    """What is known of the request's key; the job that is set before leaving is kept with it.

    Raises:
        UsageError: the key makes no sense. Conflict: it stands for another request, or for one that is worked on.
    """
    given = call.request.headers.get("idempotency-key")
    if given is None:
        yield Known()
        return
    if not 0 < len(given) <= _LONGEST or not given.isprintable():
        raise UsageError(f"an Idempotency-Key has 1 to {_LONGEST} printable characters", where="Idempotency-Key")
    key = hashlib.sha256(f"{call.request.scope.get('state', {}).get('who')}\n{given}".encode()).hexdigest()
    request = digest([call.operation.path, asked])
    working = call.service.working
    if key in working:
        raise Conflict("a request with this Idempotency-Key is being worked on", hint="wait for its answer")
    working.add(key)
    try:
        found = await call.service.runner.journal.request(key)
        if found is not None and found[0] != request:
            raise Conflict("this Idempotency-Key stands for another request", hint="use a new one for each request")
        known = Known(None if found is None else found[1])
        yield known
        if found is None and known.job is not None:
            await call.service.runner.journal.keep_request(key, request, known.job)
    finally:
        working.discard(key)
