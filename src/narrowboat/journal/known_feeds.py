"""Feeds that are known: what their episodes are told by, and what of them was taken in.

Covers: rows. Does not cover: reading feeds (``sources/``), what keys are made of (``runner/``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from narrowboat.journal.core import Core
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import load
from narrowboat.values import Json

_SQL = queries("known_feeds")


@dataclass(frozen=True, slots=True)
class Round:
    """A look at a feed whose episodes were all taken in: what its server called the state that it was in."""

    etag: str | None
    modified: str | None
    at: float


@dataclass(frozen=True, slots=True)
class WatchedRow:
    """A job that watching has made.

    Attributes:
        published: as the feed says.
        reason: JSON of the error that it ended with.
    """

    job_id: str
    published: float | None
    state: str
    reason: dict[str, Json] | None
    created: float
    ended: float | None


class KnownFeeds(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def know_feed(self, key: str, identity: str) -> str:
        """The identity of a feed: the one that it was first known by, whatever it says of itself later."""
        return await self._write(lambda db: _know(db, key, identity))

    async def end_round(self, key: str, etag: str | None, modified: str | None, guids: Iterable[bytes]) -> None:
        """All that was asked of a feed in this state is taken in; ``guids``: of all its episodes."""
        values = {"key": key, "etag": etag, "modified": modified, "now": self._clock()}
        seen = [{"key": key, "guid": guid} for guid in guids]
        await self._write(lambda db: _end_round(db, values, seen))

    async def last_round(self, key: str) -> Round | None:
        """The last :meth:`end_round`; None when there was none."""
        found = await self._read(lambda db: db.execute(_SQL["last_round"], {"key": key}).fetchone())
        return None if found is None else Round(found["etag"], found["modified"], found["at"])

    async def seen_episodes(self, key: str) -> set[bytes]:
        """The guids of all rounds."""
        return await self._read(lambda db: {row["guid"] for row in db.execute(_SQL["seen"], {"key": key})})

    async def watched(self, key: str) -> list[WatchedRow]:
        """The jobs that watching has made for a feed, those of the newest episodes first."""
        return await self._read(lambda db: [_watched(row) for row in db.execute(_SQL["watched"], {"key": key})])


def _know(db: sqlite3.Connection, key: str, identity: str) -> str:
    db.execute(_SQL["know"], {"key": key, "identity": identity})
    return str(db.execute(_SQL["identity"], {"key": key}).fetchone()[0])


def _end_round(db: sqlite3.Connection, values: dict[str, Json], seen: list[dict[str, Json]]) -> None:
    db.executemany(_SQL["see"], seen)
    db.execute(_SQL["end_round"], values)


def _watched(row: sqlite3.Row) -> WatchedRow:
    return WatchedRow(row["job"], row["published"], row["state"], load(row["reason"]), row["created"], row["ended"])
