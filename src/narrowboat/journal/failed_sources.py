"""Sources that could not be fetched lately: how often in a row, why, and until when they are left alone.

Covers: rows. Does not cover: how long a source is left alone, and what counts (``runner/resting``).
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict

from narrowboat.journal.core import NOW, Core
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import FailedSourceRow, dump, failed_source_row, os_text

_SQL = queries("failed_sources")


class FailedSources(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def failed_source(self, key: str) -> FailedSourceRow | None:
        """What is remembered of a source; None when its last fetch worked, or there was none."""
        found = await self._read(lambda db: db.execute(_SQL["get"], {"key": key}).fetchone())
        return None if found is None else failed_source_row(found)

    async def put_failed_source(self, row: FailedSourceRow, *, keep_s: float) -> None:
        """Remember that a source failed, in the place of what was there; forget those that failed ``keep_s`` seconds
        ago and not since."""
        values = {**asdict(row), "shown": os_text(row.shown), "error": dump(row.error)}
        before = self.now() - keep_s

        def work(db: sqlite3.Connection) -> None:
            db.execute(_SQL["put"], values)
            db.execute(_SQL["purge"], {"before": before})

        await self._write(work, NOW)

    def source_worked(self, key: str) -> None:
        """Queue that nothing is remembered of a source any more."""
        self._later(lambda db: db.execute(_SQL["forget"], {"key": key}))

    async def forget_sources(self, key: str, shown: str, beginning: str) -> list[str]:
        """Forget the sources of this key, those that are shown so, and those whose key begins so; how they were shown.

        With all three empty, all of them.
        """
        values = {"key": key, "shown": os_text(shown), "beginning": beginning, "all": not (key or shown or beginning)}
        found = await self._write(lambda db: db.execute(_SQL["forget_meant"], values).fetchall())
        return [row["shown"].decode("utf-8", "surrogateescape") for row in found]
