"""The newest jobs of a home, read without an event loop.

Covers: what a command that only looks needs to answer at once: loading asyncio takes longer than reading the rows.
Does not cover: everything else that is read (:class:`~narrowboat.journal.Journal`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from narrowboat.journal.database import FILE, as_error, connect_reading
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import JobRow, job_row


def newest(home: Path, states: Sequence[str], limit: int | None) -> tuple[list[JobRow], int]:
    """The newest jobs that are in ``states``, at most ``limit`` (None: all), and how many there are in all.

    A home without a journal is empty.

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    path = home / FILE
    values = {"states": json.dumps(list(states)), "limit": -1 if limit is None else limit}
    sql = queries("jobs")
    try:
        db = connect_reading(path)
        try:
            db.execute("BEGIN")  # both figures of one moment
            rows = [job_row(row) for row in db.execute(sql["newest"], values)]
            return rows, int(db.execute(sql["how_many"], values).fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error as error:
        raise as_error(error, path) from error
