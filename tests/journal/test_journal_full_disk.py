"""A disk that others have filled: what the reserve keeps possible, and what is left when it is used up too."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from journal_harness import add, asynchronous, numbers, running

from narrowboat.errors import DiskFull
from narrowboat.journal import Claim, Journal, StepRow
from narrowboat.journal.reserve import FOR_ENDS, SIZE, Reserve

DiskOf = Callable[[str], Path]


def fill(disk: Path) -> Path:
    """Take all that is free."""
    path = disk / "foreign"
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x")
    assert os.statvfs(disk).f_bavail == 0
    return path


def sound(home: Path) -> bool:
    db = sqlite3.connect(home / "journal.db")
    try:
        return [row[0] for row in db.execute("PRAGMA integrity_check")] == ["ok"]
    finally:
        db.close()


async def items_until_full(journal: Journal, claim: Claim, step: StepRow, first: int = 0) -> int:
    """Give items until the disk is said to be full; the number of the one that was refused."""
    for number in range(first, 1_000_000):
        try:
            journal.add_item(claim, step.id, number, None, {"n": number, "text": "x" * 500})
            if number % 100 == 0:
                await journal.flush()
        except DiskFull:
            return number
    raise AssertionError("the disk never became full")


def test_the_reserve_is_real_and_goes_in_pieces(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert not reserve.give()
    assert reserve.take()
    assert (tmp_path / "journal.reserve").stat().st_blocks * 512 >= SIZE == reserve.size()
    pieces = 0
    while reserve.give(keep=FOR_ENDS):
        pieces += 1
    assert (pieces, reserve.size()) == (4, FOR_ENDS)
    while reserve.give():
        pieces += 1
    assert (pieces, reserve.size()) == (8, 0)
    assert reserve.take()
    assert reserve.size() == SIZE


def test_the_reserve_is_not_taken_where_that_would_fill_the_disk(disk_of: DiskOf) -> None:
    disk = disk_of("12M")
    assert not Reserve(disk).take()
    assert Reserve(disk).size() == 0


@asynchronous
async def test_on_a_full_disk_items_are_refused_at_last_and_ends_are_written(disk_of: DiskOf) -> None:
    disk = disk_of("40M")
    async with await Journal.open(disk / "home", owner="me") as journal:
        greedy, greedy_step = await running(journal, "greedy")
        modest, modest_step = await running(journal, "modest")
        attempt = await journal.start_attempt(modest, modest_step.id, 1, 1, 1)
        assert Reserve(disk / "home").size() == SIZE
        fill(disk)

        await add(journal, modest, modest_step, range(100))  # others go on
        given = await items_until_full(journal, greedy, greedy_step)
        assert given > 1000
        assert Reserve(disk / "home").size() == FOR_ENDS

        error = DiskFull("no space", path=str(disk))
        await journal.end(greedy, "failed", error.to_json())
        await journal.end_attempt(attempt, "done", None, 1, 100, 1.0)
        await journal.finish_step(modest, modest_step.id, "result")
        await journal.end(modest, "done")
        assert (await journal.job(greedy.job_id)).state == "failed"
        kept = (await journal.job(greedy.job_id)).items
    assert sound(disk / "home")
    (disk / "foreign").unlink()
    async with await Journal.open(disk / "home", owner="me") as journal:
        assert (await journal.job(modest.job_id)).state == "done"
        assert await numbers(journal, modest.job_id) == list(range(100))
        assert [seq async for seq, _ in journal.items(greedy.job_id, "recognise")] == list(range(kept))
        await journal.requeue(greedy.job_id)
        await journal.flush()
        assert Reserve(disk / "home").size() == SIZE


@asynchronous
async def test_a_hundred_jobs_end_on_a_full_disk(disk_of: DiskOf) -> None:
    disk = disk_of("40M")
    async with await Journal.open(disk / "home", owner="me") as journal:
        claims = [(await running(journal, str(number)))[0] for number in range(100)]
        fill(disk)
        for claim in claims:
            await journal.end(claim, "failed", DiskFull("no space " * 50).to_json())
        assert (await journal.counts())["failed"] == 100
        assert Reserve(disk / "home").size() >= FOR_ENDS


@asynchronous
async def test_with_the_reserve_gone_too_nothing_breaks_and_the_job_goes_on_later(disk_of: DiskOf) -> None:
    disk = disk_of("40M")
    journal = await Journal.open(disk / "home", owner="me")
    claim, step = await running(journal)
    await add(journal, claim, step, range(10))
    while Reserve(disk / "home").give():
        pass
    fill(disk)
    await items_until_full(journal, claim, step, 10)
    with pytest.raises(DiskFull, match="its reserve included"):
        for _ in range(10_000):
            await journal.renew(claim, 60)
            await journal.own_scratch(claim, disk / ("x" * 3000 + str(_)))
    await journal.close()
    assert sound(disk / "home")

    (disk / "foreign").unlink()
    async with await Journal.open(disk / "home", owner="me") as journal:
        assert (await journal.job(claim.job_id)).state == "queued"
        claim = await journal.claim(claim.job_id, 60)
        step = await journal.begin_step(claim, "recognise", "m:f", "1", "hash")
        assert step.items >= 10
        await journal.end(claim, "done")


@asynchronous
async def test_a_full_disk_is_opened_with_the_reserve(disk_of: DiskOf) -> None:
    disk = disk_of("40M")
    journal = await Journal.open(disk / "home", owner="me")
    claim, _ = await running(journal)
    await journal.close()
    fill(disk)
    async with await Journal.open(disk / "home", owner="me") as journal:
        row = await journal.job(claim.job_id)
        assert row.state == "queued"  # that is written by opening
        again = await journal.claim(claim.job_id, 60)
        await journal.end(again, "done")
    assert sound(disk / "home")


@asynchronous
async def test_the_log_does_not_grow_with_what_is_written(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        largest = 0
        for number in range(20_000):
            journal.add_item(claim, step.id, number, None, {"n": number, "text": "x" * 500})
            if number % 500 == 0:
                await journal.flush()
                largest = max(largest, (tmp_path / "journal.db-wal").stat().st_size)
    assert (tmp_path / "journal.db").stat().st_size > 10 << 20
    assert largest < 8 << 20
