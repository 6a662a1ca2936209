"""Whole addresses beside the journal: kept before their jobs, gone with them, moved out of journals of before."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from journal_harness import asynchronous, child, new_job

from narrowboat.errors import JournalError, SourceError
from narrowboat.journal import Journal
from narrowboat.journal.addresses import connect
from narrowboat.journal.database import FILE, migrate
from narrowboat.journal.queries import schema_scripts

SECRET = "https://me:hush@example.org/a.mp3?token=hush"
SHOWN = "https://example.org/a.mp3?…"

SUBMIT = """
import asyncio, sys
from pathlib import Path
from journal_harness import new_job
from narrowboat.journal import Journal
async def main():
    journal = await Journal.open(Path(sys.argv[1]), owner="child")
    for number in range(10**6):
        await journal.submit(new_job(str(number), source="shown", address={"url": str(number)}))
        print(number, flush=True)
asyncio.run(main())
"""


def files_with(text: str, folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes())


@asynchronous
async def test_an_address_is_apart_from_the_journal_and_goes_with_its_job(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        job, _ = await journal.submit(new_job(source=SHOWN, address={"url": SECRET}))
        other, _ = await journal.submit(new_job("b", source=SHOWN, address={"url": SECRET + "2"}))
        plain, _ = await journal.submit(new_job("c"))
        assert await journal.address(job) == {"url": SECRET}
        assert await journal.address(plain) is None
        assert all("addresses" in name for name in files_with("hush", tmp_path))
        await journal.set_address(job.identity, {"url": SECRET + "1"})
    assert files_with("hush", tmp_path) == ["addresses.db"]
    folder = tmp_path / "addresses"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "addresses.db").stat().st_mode & 0o777 == 0o600
    async with await Journal.open(tmp_path, owner="me") as journal:
        assert await journal.address(job) == {"url": SECRET + "1"}
        await journal.forget(job.id)
        assert await journal.address(other) == {"url": SECRET + "2"}
        await journal.forget(other.id)
    assert files_with("hush", tmp_path) == []


@asynchronous
async def test_a_home_without_such_addresses_has_no_file_of_them(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        job, _ = await journal.submit(new_job())
        assert await journal.address(job) is None
        await journal.forget(job.id)
    assert not (tmp_path / "addresses").exists()


@asynchronous
async def test_an_address_that_was_deleted_is_told(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        job, _ = await journal.submit(new_job(source=SHOWN, address={"url": SECRET}))
    for path in (tmp_path / "addresses").iterdir():
        path.unlink()
    async with await Journal.open(tmp_path, owner="me") as journal:
        with pytest.raises(SourceError, match=r"is not in .*addresses.db any more") as told:
            await journal.address(job)
        assert told.value.hint == "submit it again with its address"
        await journal.submit(new_job(source=SHOWN, address={"url": SECRET}))
        assert await journal.address(job) == {"url": SECRET}


@asynchronous
async def test_killed_while_submitting_every_job_has_its_address(tmp_path: Path) -> None:
    process = child(SUBMIT, tmp_path)
    assert process.stdout is not None
    for _ in range(20):
        await asyncio.to_thread(process.stdout.readline)
    process.kill()
    process.communicate()
    db = connect(tmp_path / "addresses" / "addresses.db")
    db.execute("INSERT INTO addresses VALUES ('of a job that never came', '1')")
    db.close()
    async with await Journal.open(tmp_path, owner="me") as journal:
        jobs = await journal.jobs()
        assert len(jobs) >= 20
        assert [await journal.address(job) for job in jobs] == [{"url": job.identity} for job in jobs]
    kept = sqlite3.connect(tmp_path / "addresses" / "addresses.db")
    assert kept.execute("SELECT count(*) FROM addresses").fetchone()[0] == len(jobs)
    kept.close()


def _journal_of_before(home: Path) -> None:
    """With jobs whose rows were written again and again, and one that is forgotten."""
    db = sqlite3.connect(home / FILE, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    migrate(db, home / FILE, [script for script in schema_scripts() if script[0] <= 5])
    sources = [SECRET, SECRET + "2", "https://example.org/plain.mp3", "/home/me/a.mp3", "ftp://me:hush@x/"]
    for number, source in enumerate([*sources, SECRET + "3"], 1):
        values = (number, f"j{number:04}", f"identity {number}", source)
        db.execute(
            "INSERT INTO jobs (number, id, pipeline, identity, source, options, created)"
            " VALUES (?, ?, 'transcribe', ?, ?, '{}', 1)",
            values,
        )
        for state in ("running", "done"):
            db.execute("UPDATE jobs SET state = ?, reason = ? WHERE number = ?", (state, f'"{state}"', number))
    db.execute("DELETE FROM jobs WHERE number = 6")
    db.close()


@asynchronous
async def test_addresses_in_a_journal_of_before_are_moved_out_of_it(tmp_path: Path) -> None:
    _journal_of_before(tmp_path)
    assert files_with("hush", tmp_path) == [FILE]
    async with await Journal.open(tmp_path, owner="me") as journal:
        jobs = await journal.jobs()
        shown = [SHOWN, SHOWN, "https://example.org/plain.mp3", "/home/me/a.mp3", "ftp://x/"]
        assert [job.source for job in jobs] == shown
        kept = [SECRET, SECRET + "2", None, None, "ftp://me:hush@x/"]
        assert [await journal.address(job) for job in jobs] == [url and {"url": url} for url in kept]
        assert [job.reason for job in jobs] == ["done"] * 5
        assert files_with("hush", tmp_path) == ["addresses.db"]


@asynchronous
async def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "addresses").touch()
    async with await Journal.open(tmp_path, owner="me") as journal:
        with pytest.raises(JournalError, match=r"addresses.db can't be opened"):
            await journal.submit(new_job(source=SHOWN, address={"url": SECRET}))
        assert await journal.jobs() == []
