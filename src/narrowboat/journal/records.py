"""What a job leaves and what is learned from it: peaks, scratch, outputs, history.

Covers: rows about files and figures. Does not cover: the files themselves (``runner/``), what the peaks
say about the next attempt (``memory/``).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from narrowboat.errors import JournalError
from narrowboat.journal.core import NOW, Core, check_claim
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import Claim, HistoryRow, OutputRow, PeakRow, dump, os_text, peak_row
from narrowboat.shown import safe_text
from narrowboat.values import Json

PEAKS_KEPT = 1000  # per step, version and engine
_SQL = queries("records")


class Records(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    def add_peak(
        self,
        step_key: str,
        version: str,
        engine: str,
        features: dict[str, Json],
        declared_bytes: int,
        reserved_bytes: int,
        peak_bytes: int,
        censored: bool,
        again: bool = False,
        seconds: float = 0.0,
    ) -> None:
        """Queue what an attempt used; the newest 1000 of a step, version and engine are kept."""
        values = {
            "step_key": step_key,
            "version": version,
            "engine": engine,
            "features": dump(features),
            "declared_bytes": declared_bytes,
            "reserved_bytes": reserved_bytes,
            "peak_bytes": peak_bytes,
            "censored": int(censored),
            "again": int(again),
            "seconds": seconds,
            "now": self._clock(),
            "keep": PEAKS_KEPT,
        }
        self._later(lambda db: _all(db, ("add_peak", "trim_peaks"), values))

    async def peaks(self, step_key: str, version: str, engine: str, limit: int = 200) -> list[PeakRow]:
        """The newest peaks first."""
        values = {"step_key": step_key, "version": version, "engine": engine, "limit": limit}
        return await self._read(lambda db: [peak_row(row) for row in db.execute(_SQL["peaks"], values)])

    async def peaks_of_other_versions(
        self, step_key: str, version: str, engine: str, limit: int = 200
    ) -> list[PeakRow]:
        """The newest peaks first, of the same step and engine in every version but this."""
        values = {"step_key": step_key, "version": version, "engine": engine, "limit": limit}
        return await self._read(lambda db: [peak_row(row) for row in db.execute(_SQL["peaks_of_others"], values)])

    async def measured_steps(self) -> list[tuple[str, str, str]]:
        """Step, version and engine of all peaks; of a step and engine the version measured last comes first."""
        found = await self._read(lambda db: db.execute(_SQL["measured_steps"]).fetchall())
        return [(row["step_key"], row["version"], row["engine"]) for row in found]

    async def own_scratch(self, job: Claim | str, path: Path) -> None:
        """``path`` is the job's until it is disowned. Say so before it is made."""
        values = {"path": os_text(os.fspath(path))}
        await self._write(lambda db: _for_job(db, job, "own_scratch", values), NOW)

    async def scratch_of(self, job_id: str) -> list[Path]:
        """What a job owns."""
        return await self._paths("scratch_of", {"job": job_id})

    async def disown_scratch(self, path: Path) -> None:
        """``path`` is deleted."""
        values = {"path": os_text(os.fspath(path))}
        await self._write(lambda db: db.execute(_SQL["disown_scratch"], values).rowcount, NOW)

    async def orphaned_scratch(self) -> list[Path]:
        """What belongs to jobs that ended or are forgotten: to be deleted."""
        return await self._paths("orphaned_scratch", {})

    async def _paths(self, query: str, values: dict[str, Any]) -> list[Path]:
        return await self._read(lambda db: [Path(row["path"]) for row in db.execute(_SQL[query], values)])

    async def want_output(self, job_id: str, format: str, path: Path, shape: Json = None) -> bool:
        """Note that the job writes ``format`` to ``path``; False when another job has taken it.

        One that was written with another ``shape`` counts as not written.
        """
        text = None if shape is None else dump(shape)
        values = {"job": job_id, "format": format, "path": os_text(os.fspath(path)), "shape": text}
        await self._write(lambda db: db.execute(_SQL["want_output"], values).rowcount)
        return await self.output_owner(path) == job_id

    async def output_owner(self, path: Path) -> str | None:
        """The job that writes or wrote ``path``."""
        values = {"path": os_text(os.fspath(path))}
        found = await self._read(lambda db: db.execute(_SQL["output_owner"], values).fetchone())
        return None if found is None else str(found["job"])

    async def mark_output(self, job: Claim | str, path: Path, bytes: int) -> None:
        """``path`` is written, with ``bytes`` bytes.

        Raises:
            JournalError: the job has not asked for it.
        """
        values = {"path": os_text(os.fspath(path)), "bytes": bytes}
        if await self._write(lambda db: _for_job(db, job, "mark_output", values)) != 1:
            raise JournalError(f"{path} is not an output of this job", path=str(path))

    async def outputs(self, job_id: str) -> list[OutputRow]:
        """What a job writes or wrote."""
        found = await self._read(lambda db: db.execute(_SQL["outputs"], {"job": job_id}).fetchall())
        return [OutputRow(r["format"], Path(r["path"]), r["bytes"], r["bytes"] is not None) for r in found]

    def log(self, job_id: str, message: str) -> None:
        """Queue a line for the job's history."""
        values = {"job": job_id, "message": os_text(safe_text(message)), "now": self._clock()}
        self._later(lambda db: db.execute(_SQL["log"], values), size=len(message))

    async def history(self, job_id: str, limit: int = 1000) -> list[HistoryRow]:
        """The last lines, oldest first."""
        values = {"job": job_id, "limit": limit}
        found = await self._read(lambda db: db.execute(_SQL["history"], values).fetchall())
        return [HistoryRow(row["at"], row["message"]) for row in found]


def _all(db: sqlite3.Connection, names: tuple[str, ...], values: dict[str, Any]) -> None:
    for name in names:
        db.execute(_SQL[name], values)


def _for_job(db: sqlite3.Connection, job: Claim | str, query: str, values: dict[str, Any]) -> int:
    if isinstance(job, Claim):
        check_claim(db, job)
        job = job.job_id
    return db.execute(_SQL[query], {**values, "job": job}).rowcount
