"""What may lie in a remote store: written down before it is put there, forgotten when it is gone.

Covers: rows. Does not cover: removing the files (``runner/clients``).
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict
from typing import Any

from narrowboat.journal.core import NOW, Core
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import RemoteFileRow, dump, load
from narrowboat.values import Client

_SQL = queries("remote_files")


class RemoteFiles(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def add_remote_file(self, row: RemoteFileRow) -> None:
        """The file may be there from now on: on the disk when this returns."""
        values = {
            "name": row.name,
            "job": row.job_id,
            "remove": row.remove,
            "given": dump(row.given),
            "client": dump(asdict(row.client)),
            "now": self._clock(),
        }
        await self._write(lambda db: db.execute(_SQL["add"], values).rowcount)

    async def remote_file_gone(self, name: str) -> None:
        """The file is gone, or was never there."""
        await self._write(lambda db: db.execute(_SQL["gone"], {"name": name}).rowcount, NOW)

    async def remote_files(self, job_id: str | None = None) -> list[RemoteFileRow]:
        """What may be there, oldest first: of one job (empty: of calls of no job), or all."""
        values: dict[str, Any] = {"job": job_id}
        query = _SQL["all" if job_id is None else "of_job"]
        return await self._read(lambda db: [_row(row) for row in db.execute(query, values)])


def _row(row: sqlite3.Row) -> RemoteFileRow:
    client = Client(**load(row["client"]))
    return RemoteFileRow(row["name"], row["job"], row["remove"], load(row["given"]), client)
