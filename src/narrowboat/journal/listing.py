"""What a home knows of its jobs and batches, read without an event loop.

Covers: what a command that only looks needs to answer at once: loading asyncio takes longer than reading the rows.
Does not cover: everything else that is read (:class:`~narrowboat.journal.Journal`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from narrowboat.journal.database import FILE, as_error, connect_reading
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import STATES, FailedSourceRow, JobRow, failed_source_row, job_row, os_text

T = TypeVar("T")


@dataclass(slots=True)
class BatchRow:
    """The jobs of one label.

    Attributes:
        counts: how many are in each state; every state is there.
        first, last: when the first was submitted, and when something last began or ended. Seconds since the epoch.
        running: ids of those that run.
    """

    label: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    first: float = float("inf")
    last: float = 0.0
    newest: int = 0
    running: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())


def newest(home: Path, states: Sequence[str], limit: int | None, label: str | None = None) -> tuple[list[JobRow], int]:
    """The newest jobs that are in ``states``, of one label or of any, at most ``limit`` (None: all), and how many
    there are in all.

    A home without a journal is empty.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    values = {"states": json.dumps(list(states)), "limit": -1 if limit is None else limit}
    sql, suffix = queries("jobs"), "" if label is None else "_of_label"
    if label is not None:
        values["label"] = os_text(label)

    def work(db: sqlite3.Connection) -> tuple[list[JobRow], int]:
        rows = [job_row(row) for row in db.execute(sql["newest" + suffix], values)]
        return rows, int(db.execute(sql["how_many" + suffix], values).fetchone()[0])

    return _read(home, work)


def batches(home: Path) -> list[BatchRow]:
    """The batches of a home, the one with the newest job first.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    found: dict[str, BatchRow] = {}

    def work(db: sqlite3.Connection) -> None:
        for row in db.execute(queries("jobs")["batches"]):
            batch = found.setdefault(row["label"], BatchRow(row["label"]))
            batch.counts[row["state"]] = row["jobs"]
            batch.first, batch.last = min(batch.first, row["first"]), max(batch.last, row["last"])
            batch.newest = max(batch.newest, row["newest"])
        for row in db.execute(queries("jobs")["running_of_batches"]):
            found[row["label"]].running.append(row["id"])

    _read(home, work)
    return sorted(found.values(), key=lambda batch: -batch.newest)


def ids_in(home: Path, states: Sequence[str], label: str | None) -> list[str]:
    """The ids of jobs that are in ``states``, of one label or of any, in the order of submission.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    values = {"states": json.dumps(list(states)), "label": None if label is None else os_text(label)}
    return _read(home, lambda db: [row["id"] for row in db.execute(queries("jobs")["ids_in"], values)])


def failed_sources(home: Path, after: float) -> list[FailedSourceRow]:
    """The sources whose last failure was later than ``after``, in seconds since the epoch; the newest first.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    sql = queries("failed_sources")["newest"]
    return _read(home, lambda db: [failed_source_row(row) for row in db.execute(sql, {"after": after})])


def _read(home: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    path = home / FILE
    try:
        db = connect_reading(path)
        try:
            db.execute("BEGIN")  # all figures of one moment
            return work(db)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise as_error(error, path) from error
