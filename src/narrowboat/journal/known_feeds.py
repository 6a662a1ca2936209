"""Feeds that are known: what their episodes are told by, and what of them was taken in last.

Covers: rows. Does not cover: reading feeds (``sources/``), what keys are made of (``runner/feeds``).
"""

from __future__ import annotations

import sqlite3

from narrowboat.journal.core import NOW, Core
from narrowboat.journal.queries import queries

_SQL = queries("known_feeds")


class KnownFeeds(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def know_feed(self, key: str, identity: str) -> str:
        """The identity of a feed: the one that it was first known by, whatever it says of itself later."""
        return await self._write(lambda db: _know(db, key, identity))

    async def end_round(self, key: str, etag: str | None, modified: str | None) -> None:
        """All that was asked of a feed in this state is taken in."""
        values = {"key": key, "etag": etag, "modified": modified, "now": self._clock()}
        await self._write(lambda db: db.execute(_SQL["end_round"], values).rowcount, NOW)

    async def last_round(self, key: str) -> tuple[str | None, str | None]:
        """``etag`` and ``modified`` of the last :meth:`end_round`; None where there are none."""
        found = await self._read(lambda db: db.execute(_SQL["last_round"], {"key": key}).fetchone())
        return (None, None) if found is None else (found["etag"], found["modified"])


def _know(db: sqlite3.Connection, key: str, identity: str) -> str:
    db.execute(_SQL["know"], {"key": key, "identity": identity})
    return str(db.execute(_SQL["identity"], {"key": key}).fetchone()[0])
