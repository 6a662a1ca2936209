"""Attempts: recorded before they start, with how they ended and what they used.

Covers: tries of a step, faults in a row, processes that a dead supervisor may have left.
Does not cover: what ends an attempt and how it is classified (``workers/``).
"""

from __future__ import annotations

import sqlite3
from typing import Any

from narrowboat.errors import JournalError
from narrowboat.journal.core import NOW, Core, check_claim
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import AttemptRow, Claim, attempt_row, dump
from narrowboat.values import Json

OUTCOMES = ("done", "failed", "overrun", "fault", "killed", "squeezed", "stopped", "cancelled", "interrupted")
_SQL = queries("attempts")


class Attempts(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def start_attempt(
        self, claim: Claim, step_id: int, reserved_bytes: int, cores: int, declared_bytes: int
    ) -> int:
        """The id of a new attempt; it is committed, so that a crash from here on counts."""
        values = {
            "job": claim.job_id,
            "step": step_id,
            "reserved_bytes": reserved_bytes,
            "cores": cores,
            "declared_bytes": declared_bytes,
            "now": self._clock(),
        }
        return await self._write(lambda db: _start(db, claim, values), NOW)

    def attempt_pid(self, attempt_id: int, pid: int, start_ticks: int, pgid: int) -> None:
        """Which process works on it. Committed at once, but not waited for."""
        values = {"attempt": attempt_id, "pid": pid, "start_ticks": start_ticks, "pgid": pgid}
        self._later(lambda db: db.execute(_SQL["process"], values), urgency=NOW)

    async def end_attempt(
        self,
        attempt_id: int,
        outcome: str,
        error: dict[str, Json] | None,
        peak_bytes: int | None,
        items: int | None,
        seconds: float | None,
    ) -> None:
        """How it ended (see ``OUTCOMES``), its peak, its new items and how long it took.

        One that has ended already, with its job or its claim, stays as it is.
        """
        if outcome not in OUTCOMES:
            raise JournalError(f"an attempt can't end {outcome!r}", hint=f"it ends {', '.join(OUTCOMES)}")
        values = {
            "attempt": attempt_id,
            "outcome": outcome,
            "error": None if error is None else dump(error),
            "peak_bytes": peak_bytes,
            "items": items,
            "seconds": seconds,
            "now": self._clock(),
        }
        await self._write(lambda db: db.execute(_SQL["end"], values).rowcount, NOW)

    async def attempts(self, job_id: str) -> list[AttemptRow]:
        """All attempts of a job, oldest first."""
        return await self._read(lambda db: _rows(db, "of_job", {"job": job_id}))

    async def faults_in_a_row(self, job_id: str, step_id: int) -> int:
        """Faults since the last new item: crashes, and interruptions that were not the supervisor's death."""
        values = {"job": job_id, "step": step_id}
        return await self._read(lambda db: int(db.execute(_SQL["faults_in_a_row"], values).fetchone()[0]))

    async def kills_in_a_row(self, job_id: str, step_id: int) -> int:
        """Kills by somebody else since the last new item."""
        values = {"job": job_id, "step": step_id}
        return await self._read(lambda db: int(db.execute(_SQL["kills_in_a_row"], values).fetchone()[0]))

    async def open_attempts(self) -> list[AttemptRow]:
        """Attempts that were open when an earlier supervisor died: their processes may be alive."""
        return await self._read(lambda db: _rows(db, "left_over", {}))

    async def reaped(self, attempt_id: int) -> None:
        """The process of an attempt of :meth:`open_attempts` is gone."""
        await self._write(lambda db: db.execute(_SQL["reaped"], {"attempt": attempt_id}).rowcount, NOW)


def _start(db: sqlite3.Connection, claim: Claim, values: dict[str, Any]) -> int:
    check_claim(db, claim)
    made = db.execute(_SQL["start"], values).fetchall()
    if not made:
        raise JournalError(f"job {claim.job_id} has no step {values['step']}", job=claim.job_id)
    return int(made[0]["id"])


def _rows(db: sqlite3.Connection, query: str, values: dict[str, Any]) -> list[AttemptRow]:
    return [attempt_row(row) for row in db.execute(_SQL[query], values)]
