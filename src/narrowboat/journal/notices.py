"""Notices that are owed: that a job has ended, to somebody who wants to hear of it.

Covers: owing, which are due, another try later, settling. They go with their job.
Does not cover: telling (``service/webhooks``).
"""

from __future__ import annotations

from narrowboat.journal.core import Core
from narrowboat.journal.queries import queries

_SQL = queries("notices")


class Notices(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def owe_notice(self, job_id: str) -> None:
        """The end of the job is to be told. Said before it ends, so that no death comes in between."""
        values = {"job": job_id, "now": self._clock()}
        await self._write(lambda db: db.execute(_SQL["owe"], values).rowcount)

    async def notices_due(self, limit: int = 20) -> list[tuple[str, int]]:
        """Jobs that have ended and whose notice is due, with how often it was tried."""
        values = {"now": self._clock(), "limit": limit}
        found = await self._read(lambda db: db.execute(_SQL["due"], values).fetchall())
        return [(row["job"], row["tries"]) for row in found]

    async def postpone_notice(self, job_id: str, wait_s: float) -> None:
        """It could not be told; again in ``wait_s`` seconds."""
        values = {"job": job_id, "next": self._clock() + wait_s}
        await self._write(lambda db: db.execute(_SQL["postpone"], values).rowcount)

    async def settle_notice(self, job_id: str) -> None:
        """It was told, or is given up."""
        await self._write(lambda db: db.execute(_SQL["settle"], {"job": job_id}).rowcount)
