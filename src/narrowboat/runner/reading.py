"""Looking into a home from outside: its journal, and the supervisor that may hold it.

Covers: reading without being the supervisor; a job as JSON for people and programs.
Does not cover: changing anything (``upkeep``, the control socket).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, STATES, AttemptRow, HistoryRow, JobRow, OutputRow
from narrowboat.runner.control import ask
from narrowboat.sources.locate import Source, safe_url

__all__ = [
    "ENDED",
    "STATES",
    "AttemptRow",
    "HistoryRow",
    "JobRow",
    "OutputRow",
    "Reader",
    "job_json",
    "name_of",
    "shown_source",
    "state_of",
]

#: Seconds that a supervisor is given to say what it does.
_PATIENCE_S = 5.0


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
        try:
            async with asyncio.timeout(_PATIENCE_S):
                self.status = await ask(self.home, {"op": "status"})
        except TimeoutError:  # it is there, but stopped or very busy: the journal can be read all the same
            self.status = {"jobs": []}
        self.journal = Journal.read_only(self.home)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.journal.close()

    def live(self, job_id: str) -> dict[str, Any] | None:
        """What the supervisor says of a job that it runs; None when it does not run."""
        jobs: list[dict[str, Any]] = self.status["jobs"] if self.status is not None else []
        return next((job for job in jobs if job["id"] == job_id), None)

    async def all(self, row: JobRow) -> dict[str, Any]:
        """Everything about a job, as JSON."""
        attempts = await self.journal.attempts(row.id)
        return {
            **job_json(row, self.live(row.id), supervised=self.status is not None),
            "attempts_made": [_attempt(attempt) for attempt in attempts],
            "outputs": [
                {"format": output.format, "path": str(output.path), "bytes": output.bytes, "written": output.written}
                for output in await self.journal.outputs(row.id)
            ],
            "history": [{"at": line.at, "message": line.message} for line in await self.journal.history(row.id)],
        }


def state_of(row: JobRow, *, supervised: bool) -> str:
    """The state; one that was running when its supervisor died waits to go on, so it is queued."""
    return "queued" if row.state == "running" and not supervised else row.state


def shown_source(row: JobRow) -> str:
    """The source as it may be shown: an address without its secrets."""
    return safe_url(row.source) if "://" in row.source else row.source


def name_of(source: Source) -> str:
    """What a job of a run is called: the file's name, or the address without its secrets."""
    if "://" in source.location:
        return safe_url(source.location)
    return Path(source.location).name or source.location or "(no name)"


def job_json(row: JobRow, live: dict[str, Any] | None = None, *, supervised: bool = True) -> dict[str, Any]:
    """A job of the journal as JSON. Times in seconds since the epoch."""
    return {
        "id": row.id,
        "pipeline": row.pipeline,
        "source": shown_source(row),
        "label": row.label,
        "state": state_of(row, supervised=supervised),
        "reason": row.reason,
        "options": row.options,
        "created": row.created,
        "started": row.started,
        "ended": row.ended,
        "attempts": row.attempts,
        "overruns": row.overruns,
        "items": row.items,
        "items_resumed": row.items_resumed,
        "live": live,
    }


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
