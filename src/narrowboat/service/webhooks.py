"""Webhooks: somebody is told that a job has ended.

Covers: what is told and how it is signed, tries again with growing waits; owed notices are in the journal, so that a
death loses none.
Does not cover: sending (``sources/notify``, in a worker). Source: standardwebhooks.com, version 1.

A notice may come twice when a death falls between the telling and the note of it: ``webhook-id`` tells.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from narrowboat.errors import FetchError, NarrowboatError, UsageError
from narrowboat.runner.steps import Step
from narrowboat.service.service import Service
from narrowboat.values import Json

#: Memory as validate asks for it: the same modules.
NOTIFY = Step("narrowboat.sources.notify:notify", memory="48M", cores=0, name="notify")
_LOOK_S = 1.0
#: Seconds until the second try, doubled with each, and the most of it. Twelve tries take about three hours.
_FIRST_S, _MOST_S, TRIES = 5.0, 3600.0, 12
_SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class Hook:
    """Who is told, and the secret that they know us by."""

    url: str
    secret: bytes

    @classmethod
    def of(cls, url: str, secret: str | None) -> Hook:
        """From what the options and the environment say.

        Raises:
            UsageError: the address or the secret makes no sense.
        """
        if not url.startswith(("https://", "http://")):
            raise UsageError("--webhook takes an http or https address")
        if secret is None or len(secret) < _SHORTEST_SECRET:
            raise UsageError(
                f"--webhook needs NARROWBOAT_WEBHOOK_SECRET with at least {_SHORTEST_SECRET} characters",
                hint="notices are signed with it",
            )
        prefix, _, coded = secret.partition("whsec_")
        return cls(url, base64.b64decode(coded) if coded and not prefix else secret.encode())

    def headers(self, number: str, at: int, body: str) -> dict[str, str]:
        """What goes with a notice."""
        signed = hmac.new(self.secret, f"{number}.{at}.{body}".encode(), hashlib.sha256).digest()
        return {
            "content-type": "application/json",
            "user-agent": "narrowboat",
            "webhook-id": number,
            "webhook-timestamp": str(at),
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }


async def tell(service: Service, hook: Hook) -> None:
    """Tell what is owed, for as long as the service is up."""
    while True:
        for job_id, tries in await service.runner.journal.notices_due():
            await _tell(service, hook, job_id, tries)
        await asyncio.sleep(_LOOK_S)


async def _tell(service: Service, hook: Hook, job_id: str, tries: int) -> None:
    journal = service.runner.journal
    job = await service.job(job_id)
    body = json.dumps(_notice(job), ensure_ascii=False)
    number = f"{job_id}-{job['ended']:.3f}"
    given = {"url": hook.url, "body": body, "headers": hook.headers(number, int(time.time()), body)}
    try:
        await service.runner.call(NOTIFY, given)
    except NarrowboatError as error:
        if not isinstance(error, FetchError) or tries + 1 >= TRIES:
            service.log("notice given up", job=job_id, tries=tries + 1, reason=error.message)
            await journal.settle_notice(job_id)
            return
        wait_s = min(_MOST_S, _FIRST_S * 2**tries)
        service.log("notice not taken", job=job_id, tries=tries + 1, reason=error.message, again_s=wait_s)
        await journal.postpone_notice(job_id, wait_s)
        return
    await journal.settle_notice(job_id)
    service.log("notice taken", job=job_id)


def _notice(job: dict[str, Json]) -> dict[str, Json]:
    at = datetime.fromtimestamp(job["ended"], UTC).isoformat(timespec="milliseconds")
    return {"type": f"job.{job['state']}", "timestamp": at, "data": job}
