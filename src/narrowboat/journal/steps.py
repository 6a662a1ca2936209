"""Steps and their items: begun, continued, committed in order, read back.

Covers: which items are committed and from which cursor to go on.
Does not cover: what an item means (``pipelines/``).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from narrowboat import disk
from narrowboat.errors import JournalError, OutputError, UsageError
from narrowboat.journal.core import NOW, Core, check_claim
from narrowboat.journal.database import as_error, connect_reading
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import Claim, StepRow, dump, load, step_row
from narrowboat.values import Json

PAGE = 500  # items in memory at a time
_SQL = queries("steps")


class Steps(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def begin_step(self, claim: Claim, key: str, name: str, version: str, input_hash: str) -> StepRow:
        """The step ``key`` of the job: new, or as far as it came.

        One of another name, version or input starts over, and its items are forgotten.
        """
        values = {
            "job": claim.job_id,
            "key": key,
            "name": name,
            "version": version,
            "input_hash": input_hash,
        }
        return await self._write(lambda db: _begin(db, claim, values), NOW)

    def add_item(self, claim: Claim, step_id: int, seq: int, cursor: Json, value: Json) -> None:
        """Queue the item ``seq`` (0, 1, 2, …); committed within the group time, or by the next urgent write.

        Raises:
            UsageError: value or cursor is not JSON.
            NarrowboatError: an earlier item of this claim could not be committed: lease lost, disk full, a gap.
        """
        writer = self._writing()
        writer.raise_late(claim)
        try:
            values = {"step": step_id, "seq": seq, "cursor": dump(cursor), "value": dump(value)}
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"item {seq} can't be kept: {error}",
                hint="a step yields JSON values: dict, list, str, int, finite float, bool, None",
                seq=seq,
            ) from error
        values["job"] = claim.job_id

        def work(db: sqlite3.Connection) -> None:
            # Nothing is committed behind an item that was refused.
            writer.raise_late(claim, tells=False)
            _add_item(db, claim, values)

        self._later(work, key=claim, size=len(str(values["value"])))

    async def finish_step(self, claim: Claim, step_id: int, result: Json) -> None:
        """The step is done with ``result``; its items are committed before.

        Raises:
            LeaseLost: see :class:`~narrowboat.journal.Claim`.
            NarrowboatError: an item of this claim could not be committed.
        """
        text, writer = dump(result), self._writing()  # synced to the disk with the end of its job, at the latest

        def work(db: sqlite3.Connection) -> None:
            # On the writer's thread, behind the items: only here it is known how they fared.
            writer.raise_late(claim)
            check_claim(db, claim)
            values = {"job": claim.job_id, "step": step_id, "result": text}
            if db.execute(_SQL["finish"], values).rowcount != 1:
                raise _no_step(claim, step_id)

        await self._write(work, NOW)

    def backlog(self) -> int:
        """How many writes the disk is behind. Who adds items without end flushes when it grows."""
        return self._writing().backlog()

    async def flush(self) -> None:
        """Commit what is queued.

        Raises:
            NarrowboatError: a queued write failed, and nobody was told yet.
        """
        writer = self._writing()
        if not writer.idle():
            await writer.call(lambda db: None, NOW)
        writer.raise_untold()

    async def step(self, job_id: str, key: str) -> StepRow | None:
        """The step ``key`` of a job, if it was ever begun."""
        values = {"job": job_id, "key": key}
        found = await self._read(lambda db: db.execute(_SQL["by_key"], values).fetchone())
        return None if found is None else step_row(found)

    async def items(self, job_id: str, key: str, after_seq: int = -1) -> AsyncIterator[tuple[int, Json]]:
        """Committed items behind ``after_seq`` in order: (seq, value). At most 500 are in memory."""
        values: dict[str, Any] = {"job": job_id, "key": key, "after": after_seq, "limit": PAGE}
        while True:
            page = await self._read(lambda db: db.execute(_SQL["page"], values).fetchall())
            for row in page:
                yield row["seq"], load(row["value"])
            if len(page) < PAGE:
                return
            values["after"] = page[-1]["seq"]

    async def export_items(self, job_id: str, key: str, path: Path) -> int:
        """Write the committed values as JSON lines to ``path``, in constant memory; how many there were.

        The file appears whole: it is written beside and then renamed.

        Raises:
            DiskFull, OutputError: it can't be written.
        """
        return await asyncio.to_thread(_export, self._path, {"job": job_id, "key": key}, path)


def _begin(db: sqlite3.Connection, claim: Claim, values: dict[str, Any]) -> StepRow:
    check_claim(db, claim)
    found = db.execute(_SQL["by_key"], values).fetchone()
    if found is None:
        db.execute(_SQL["insert"], values)
    elif any(found[name] != values[name] for name in ("name", "version", "input_hash")):
        changed = {**values, "step": found["id"]}
        for query in ("reset", "forget_items", "forgive"):
            db.execute(_SQL[query], changed)
    return step_row(db.execute(_SQL["by_key"], values).fetchone())


def _add_item(db: sqlite3.Connection, claim: Claim, values: dict[str, Any]) -> None:
    check_claim(db, claim)
    if db.execute(_SQL["count_item"], values).rowcount != 1:
        found = db.execute(_SQL["by_id"], values).fetchone()
        if found is None:
            raise _no_step(claim, values["step"])
        raise JournalError(
            f"item {values['seq']} of {claim.job_id}'s step {found['key']} came out of order: "
            f"it is {found['state']} and has {found['items']} items",
            job=claim.job_id,
            seq=values["seq"],
            items=found["items"],
        )
    db.execute(_SQL["insert_item"], values)
    db.execute(_SQL["alive"], values)


def _no_step(claim: Claim, step_id: int) -> JournalError:
    return JournalError(f"job {claim.job_id} has no step {step_id}", job=claim.job_id, step=step_id)


def _export(journal: Path, values: dict[str, str], path: Path) -> int:
    beside = path.with_name(path.name + ".part")
    try:
        count = _copy_values(journal, values, beside)
        beside.replace(path)
    except sqlite3.Error as error:
        raise as_error(error, journal) from error
    except OSError as error:
        if error.errno in disk.FULL:
            raise disk.full(path, path.name) from error
        raise OutputError(f"{path} can't be written: {error.strerror}", path=str(path)) from error
    finally:
        beside.unlink(missing_ok=True)
    return count


def _copy_values(journal: Path, values: dict[str, str], path: Path) -> int:
    count = 0
    db = connect_reading(journal)
    try:
        db.text_factory = bytes  # as it was stored, without parsing it again
        with path.open("wb") as file:
            for row in db.execute(_SQL["values"], values):
                file.write(row[0] + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
    finally:
        db.close()
    return count
