"""Jobs of a label, and how the schema that finds them comes to a journal of before."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from journal_harness import asynchronous, new_job

from narrowboat.journal import Journal
from narrowboat.journal.database import FILE, connect_reading, migrate, version
from narrowboat.journal.listing import batches, ids_in, newest
from narrowboat.journal.queries import queries, schema_scripts


@asynchronous
async def test_the_jobs_of_a_label_are_counted(tmp_path: Path) -> None:
    assert batches(tmp_path) == []
    async with await Journal.open(tmp_path, owner="me") as journal:
        for name in ("a", "b", "c"):
            await journal.submit(new_job(name, label="june"))
        await journal.submit(new_job("d", label="may"))
        await journal.submit(new_job("e"))
        await journal.end(await journal.claim("j0001", 60), "failed")
        await journal.end(await journal.claim("j0002", 60), "done")
        await journal.claim("j0003", 60)
        may, june = batches(tmp_path)
        assert (june.label, june.total, june.running) == ("june", 3, ["j0003"])
        assert june.counts == {"queued": 0, "running": 1, "done": 1, "failed": 1, "cancelled": 0}
        assert 0 < june.first <= june.last
        assert (may.label, may.total, may.counts["queued"], may.running) == ("may", 1, 1, [])
        assert await journal.ids_in(("failed", "done"), "june") == ["j0001", "j0002"]
    assert ids_in(tmp_path, ("queued",), None) == ["j0004", "j0005"]
    rows, total = newest(tmp_path, ("failed", "done", "running"), 2, "june")
    assert ([row.id for row in rows], total) == (["j0003", "j0002"], 3)
    assert newest(tmp_path, ("queued",), None, "july") == ([], 0)


@asynchronous
async def test_the_last_label_of_a_job_counts(tmp_path: Path) -> None:
    strange = "caf\udce9"  # bytes that are no UTF-8
    async with await Journal.open(tmp_path, owner="me") as journal:
        await journal.submit(new_job())
        for label, after in (("may", "may"), (None, "may"), ("june", "june"), (strange, strange)):
            row, _ = await journal.submit(new_job(label=label))
            assert row.label == after
    assert [batch.label for batch in batches(tmp_path)] == [strange]
    assert newest(tmp_path, ("queued",), None, strange)[1] == 1


@asynchronous
async def test_jobs_of_a_label_are_found_without_looking_at_all(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me"):
        pass
    db = connect_reading(tmp_path / FILE)
    values = {"states": "[]", "limit": 1, "label": "june"}
    for name in ("newest_of_label", "how_many_of_label", "batches"):
        plan = [row["detail"] for row in db.execute("EXPLAIN QUERY PLAN " + queries("jobs")[name], values)]
        assert any("jobs_by_label" in line for line in plan), (name, plan)
    db.close()


def test_a_reader_sees_the_old_schema_or_the_new_one(tmp_path: Path) -> None:
    path, latest = tmp_path / FILE, schema_scripts()[-1][0]
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    reader = sqlite3.connect(path, isolation_level=None)
    seen: list[tuple[int, int]] = []

    def look(_: str) -> None:
        seen.append((version(reader), reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]))

    db.set_trace_callback(look)
    migrate(db, path)
    db.set_trace_callback(None)
    look("")
    assert len(seen) > 20  # it looked at each statement
    assert set(seen[:-1]) == {(0, 0)}
    assert seen[-1][0] == latest
    reader.close()
    db.close()
