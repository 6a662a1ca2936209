"""Looking into a home from outside: its journal, and the supervisor that may hold it.

Covers: reading one job without being the supervisor, with its attempts, outputs and history.
Does not cover: many jobs (``listing``), changing anything (``upkeep``, the control socket).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, AttemptRow, HistoryRow, JobRow, OutputRow
from narrowboat.runner.listing import job_json, live_of, status_of
from narrowboat.sources.locate import Source

__all__ = [
    "ENDED",
    "AttemptRow",
    "HistoryRow",
    "JobRow",
    "OutputRow",
    "Reader",
    "name_of",
]


class Reader:
    """Reads a home; an async context manager.

    Attributes:
        journal: opened for reading; empty when the home has none.
        status: what the supervisor says at the moment (``Status`` as JSON); None when there is no supervisor.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.status: dict[str, Any] | None = None

    async def __aenter__(self) -> Reader:
        self.status = await asyncio.to_thread(status_of, self.home)
        self.journal = Journal.read_only(self.home)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.journal.close()

    async def all(self, row: JobRow) -> dict[str, Any]:
        """Everything about a job, as JSON."""
        attempts = await self.journal.attempts(row.id)
        return {
            **job_json(row, live_of(self.status, row.id), supervised=self.status is not None),
            "attempts_made": [_attempt(attempt) for attempt in attempts],
            "outputs": [
                {"format": output.format, "path": str(output.path), "bytes": output.bytes, "written": output.written}
                for output in await self.journal.outputs(row.id)
            ],
            "history": [{"at": line.at, "message": line.message} for line in await self.journal.history(row.id)],
        }


def name_of(source: Source) -> str:
    """What a job of a run is called: the file's name, or the address without its secrets."""
    if "://" in source.location:
        return source.shown
    return Path(source.location).name or source.location or "(no name)"


def _attempt(row: AttemptRow) -> dict[str, Any]:
    return {
        "step": row.step_key,
        "outcome": row.outcome,
        "error": row.error,
        "reserved_bytes": row.reserved_bytes,
        "peak_bytes": row.peak_bytes,
        "cores": row.cores,
        "items": row.items,
        "seconds": row.seconds,
        "started": row.started,
        "ended": row.ended,
    }
