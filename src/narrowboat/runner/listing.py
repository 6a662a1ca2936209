"""The jobs of a home as JSON, read from outside and at once.

Covers: the newest jobs, with what the supervisor says of those that run; a job as JSON for people and programs; the
batches with their counts.
Does not cover: one job's attempts and outputs (``reading``). Imports little: a list must not wait for what runs jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from narrowboat.journal import listing as journal
from narrowboat.journal.listing import BatchRow
from narrowboat.journal.rows import ENDED, STATES, JobRow
from narrowboat.runner.asking import ask

__all__ = ["ENDED", "STATES", "batches", "ids_in", "job_json", "listing", "live_of", "status_of"]

#: Seconds that a supervisor is given to say what it does.
_PATIENCE_S = 5.0


def listing(
    home: Path, states: Sequence[str] | None = None, limit: int | None = None, label: str | None = None
) -> dict[str, Any]:
    """The newest jobs that are in ``states`` (None: any), of one ``label`` or of any, at most ``limit`` (None: all).

    Returns:
        ``jobs``, newest first; ``total``, how many there are in all; ``supervisor``, whether one holds the home.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    status = status_of(home)
    asked = STATES if states is None else states
    if status is None:  # what was running when its supervisor died waits to go on
        asked = [state for state in asked if state != "running"]
        asked += ["running"] if "queued" in asked else []
    rows, total = journal.newest(home, asked, limit, label)
    jobs = [job_json(row, live_of(status, row.id), supervised=status is not None) for row in rows]
    return {"jobs": jobs, "total": total, "supervisor": status is not None}


def batches(home: Path, status: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The batches: the jobs of each label, counted; the one with the newest job first. ``status`` is what the
    supervisor says, where that is known already.

    Returns:
        for each ``label``, ``total``, ``counts`` by state, ``progress`` from 0 to 1 (a job that has ended, however it
        did, counts as 1), ``first`` and ``last`` in seconds since the epoch.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    status = status_of(home) if status is None else status
    return [_batch_json(batch, status) for batch in journal.batches(home)]


def ids_in(home: Path, states: Sequence[str], label: str | None = None) -> list[str]:
    """The ids of jobs that the journal has in ``states``, of one label or of any, in the order of submission.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    return journal.ids_in(home, states, label)


def _batch_json(batch: BatchRow, status: dict[str, Any] | None) -> dict[str, Any]:
    counts = dict(batch.counts)
    if status is None:  # as for a job: what was running when its supervisor died waits to go on
        counts["queued"] += counts["running"]
        counts["running"] = 0
    lives = [live_of(status, job_id) for job_id in batch.running]
    going = sum(live["fraction"] or 0.0 for live in lives if live is not None)
    return {
        "label": batch.label,
        "total": batch.total,
        "counts": counts,
        "progress": round((sum(counts[state] for state in ENDED) + going) / batch.total, 4),
        "first": batch.first,
        "last": batch.last,
    }


def status_of(home: Path) -> dict[str, Any] | None:
    """What the supervisor of ``home`` says at the moment (``Status`` as JSON); None when there is none."""
    try:
        return ask(home, {"op": "status"}, timeout_s=_PATIENCE_S)
    except TimeoutError:  # it is there, but stopped or very busy: the journal can be read all the same
        return {"jobs": []}


def live_of(status: dict[str, Any] | None, job_id: str) -> dict[str, Any] | None:
    """What a supervisor's ``status`` says of a job that it runs; None when it does not run."""
    jobs: list[dict[str, Any]] = status["jobs"] if status is not None else []
    return next((job for job in jobs if job["id"] == job_id), None)


def job_json(row: JobRow, live: dict[str, Any] | None = None, *, supervised: bool = True) -> dict[str, Any]:
    """A job of the journal as JSON. Times in seconds since the epoch.

    One that was running when its supervisor died waits to go on, so it is queued.
    """
    return {
        "id": row.id,
        "pipeline": row.pipeline,
        "source": row.source,
        "label": row.label,
        "state": "queued" if row.state == "running" and not supervised else row.state,
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
