"""Requests that were answered with a job, by the word that their sender chose for them.

Covers: keeping and finding them; they go with their job.
Does not cover: what makes two requests the same (``service/idempotency``).
"""

from __future__ import annotations

from narrowboat.journal.core import Core
from narrowboat.journal.queries import queries

_SQL = queries("requests")


class Requests(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def keep_request(self, key: str, request: str, job_id: str) -> None:
        """``key`` stands for ``request``, which was answered with the job, from now on."""
        values = {"key": key, "request": request, "job": job_id, "now": self._clock()}
        await self._write(lambda db: db.execute(_SQL["keep_request"], values).rowcount)

    async def request(self, key: str) -> tuple[str, str] | None:
        """The request that ``key`` stands for, and its job; None when it stands for none."""
        found = await self._read(lambda db: db.execute(_SQL["request"], {"key": key}).fetchone())
        return None if found is None else (found["request"], found["job"])
