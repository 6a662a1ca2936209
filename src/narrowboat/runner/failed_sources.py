"""The sources that failed lately as JSON, read from outside and at once.

Covers: what `narrowboat sources` lists. Imports little: a list must not wait for what runs jobs.
Does not cover: the rules (``resting``).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from narrowboat.journal import listing as journal

#: Seconds without a failure after which a source is forgotten.
KEPT_S = 7 * 86400.0
#: Characters of a key that people are shown; the beginning of one is enough to name it.
ID_CHARACTERS = 10


def failed_sources(home: Path) -> list[dict[str, Any]]:
    """The sources that failed in the last seven days and have not worked since, the newest failure first.

    Returns:
        for each ``id``, ``source`` (without secrets), ``failures`` in a row, ``resting`` (whether it is left alone
        now), ``until``, ``first`` and ``last`` in seconds since the epoch, ``error`` (JSON of the last).

    Raises:
        JournalError: the journal is damaged, or of another version.
    """
    now = time.time()
    return [
        {
            "id": row.key[:ID_CHARACTERS],
            "source": row.shown,
            "failures": row.failures,
            "resting": row.until is not None and row.until > now,
            "until": row.until,
            "first": row.first,
            "last": row.last,
            "error": row.error,
        }
        for row in journal.failed_sources(home, now - KEPT_S)
    ]
