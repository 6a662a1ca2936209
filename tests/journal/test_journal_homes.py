"""Homes: who may open one, what is found after a death, what can be wrong with the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from journal_harness import add, asynchronous, child, new_job, numbers, running

from narrowboat.errors import DiskFull, HomeHeld, JournalError, UsageError
from narrowboat.journal import Journal
from narrowboat.journal.database import migrate
from narrowboat.journal.queries import schema_scripts

HOLD = """
import asyncio, sys
from pathlib import Path
from narrowboat.journal import Journal
async def main():
    journal = await Journal.open(Path(sys.argv[1]), owner="child")
    print("open", flush=True)
    sys.stdin.read()
asyncio.run(main())
"""

WRITE = """
import asyncio, sys
from pathlib import Path
from journal_harness import running
from narrowboat.journal import Journal
async def main():
    home, flushed, group_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    journal = await Journal.open(home, owner="child", group_s=group_s)
    claim, step = await running(journal)
    attempt = await journal.start_attempt(claim, step.id, 1, 1, 1)
    journal.attempt_pid(attempt, 4242, 99, 4242)
    seq = 0
    while True:
        journal.add_item(claim, step.id, seq, {"at": seq}, {"n": seq})
        if seq == flushed - 1:
            await journal.flush()
        print(seq, flush=True)
        seq += 1
        if seq % 50 == 0:
            await asyncio.sleep(0)
asyncio.run(main())
"""

FORK = """
import asyncio, os, sys
from pathlib import Path
from narrowboat.journal import Journal
async def main():
    journal = await Journal.open(Path(sys.argv[1]), owner="child")
    if os.fork() == 0:
        print("open", flush=True)
        sys.stdin.read()
        os._exit(0)
    await asyncio.sleep(3600)
asyncio.run(main())
"""

READ = """
import asyncio, sys
from pathlib import Path
from narrowboat.errors import JournalError
from narrowboat.journal import Journal
async def main():
    journal = Journal.read_only(Path(sys.argv[1]))
    seen = 0
    while seen < int(sys.argv[2]):
        (job,) = await journal.jobs()
        assert job.items >= seen, (job.items, seen)
        seen = job.items
        found = [seq async for seq, _ in journal.items(job.id, "recognise")]
        assert found == list(range(len(found))) and len(found) >= seen
        print("reading", flush=True)
    try:
        await journal.request_cancel(job.id)
    except JournalError as error:
        print(error)
    await journal.close()
asyncio.run(main())
"""


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@asynchronous
async def test_a_second_supervisor_is_refused_and_told_who_holds_the_home(tmp_path: Path) -> None:
    holder = child(HOLD, tmp_path)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(HomeHeld, match=f"held by process {holder.pid} .* since 20") as told:
            await Journal.open(tmp_path, owner="me")
        assert told.value.facts == {"home": str(tmp_path), "pid": holder.pid}
    finally:
        kill(holder)
    async with await Journal.open(tmp_path, owner="me"):  # free as soon as it is dead
        with pytest.raises(HomeHeld, match=str(os.getpid())):
            await Journal.open(tmp_path, owner="also me")
    await (await Journal.open(tmp_path, owner="me")).close()


@asynchronous
async def test_a_forked_child_does_not_keep_the_home(tmp_path: Path) -> None:
    parent = child(FORK, tmp_path)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "open\n"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        await (await Journal.open(tmp_path, owner="me")).close()  # the grandchild is alive
    finally:
        kill(parent)  # closes the pipe that the grandchild reads


@asynchronous
@pytest.mark.parametrize(("flushed", "group_s", "kill_at"), [(400, 3600.0, 700), (100, 0.01, 3000)])
async def test_kill_9_leaves_a_prefix_without_gaps(tmp_path: Path, flushed: int, group_s: float, kill_at: int) -> None:
    writer = child(WRITE, tmp_path, str(flushed), str(group_s))
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) == kill_at:
            break
    writer.send_signal(signal.SIGKILL)
    queued = max([kill_at, *(int(line) for line in writer.stdout if line.endswith("\n"))]) + 1
    kill(writer)

    async with await Journal.open(tmp_path, owner="me") as journal:
        (job,) = await journal.jobs()
        found = await numbers(journal, job.id)
        assert found == list(range(len(found)))
        assert flushed <= len(found) <= queued + 1
        assert (job.state, job.supervisor_deaths, job.items) == ("queued", 1, len(found))
        (attempt,) = await journal.attempts(job.id)
        assert (attempt.outcome, attempt.supervisor_died) == ("interrupted", True)
        assert [(a.pid, a.start_ticks, a.pgid) for a in await journal.open_attempts()] == [(4242, 99, 4242)]
        await journal.reaped(attempt.id)
        assert await journal.open_attempts() == []

        claim = await journal.claim(job.id, 60)
        step = await journal.begin_step(claim, "recognise", "m:f", "1", "hash")
        assert step.items == len(found)
        assert step.cursor == {"at": len(found) - 1}
        assert await journal.faults_in_a_row(job.id, step.id) == 0  # the supervisor's death is not its fault
        await add(journal, claim, step, range(step.items, step.items + 5))
        assert len(await numbers(journal, job.id)) == len(found) + 5
        assert (await journal.job(job.id)).supervisor_deaths == 0


@asynchronous
async def test_deaths_of_the_supervisor_add_up_until_there_is_an_item(tmp_path: Path) -> None:
    for deaths in range(3):
        await _die(tmp_path)
        async with await Journal.open(tmp_path, owner="me") as journal:
            assert [j.supervisor_deaths for j in await journal.jobs()] == [deaths + 1, 0]


async def _die(home: Path) -> None:
    """A supervisor dies with an attempt of the first job open, and the second job claimed only."""
    script = HOLD.replace(
        '    print("open", flush=True)',
        """
    from journal_harness import new_job
    for name in "ab":
        job, _ = await journal.submit(new_job(name))
        claim = await journal.claim(job.id, 60)
        if name == "a":
            step = await journal.begin_step(claim, "s", "m:f", "1", "h")
            await journal.start_attempt(claim, step.id, 1, 1, 1)
    print("open", flush=True)""",
    )
    process = child(script, home)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
    finally:
        kill(process)


@asynchronous
async def test_a_job_that_was_being_cancelled_is_cancelled_after_a_death(tmp_path: Path) -> None:
    await _die(tmp_path)
    journal = await Journal.open(tmp_path, owner="me")
    await journal.claim("j0001", 60)
    await journal.request_cancel("j0001")
    await journal.close()  # with the job running: as a death, for the journal
    async with await Journal.open(tmp_path, owner="me") as journal:
        job = await journal.job("j0001")
        assert (job.state, job.cancel_requested) == ("cancelled", False)


@asynchronous
async def test_queued_writes_are_committed_by_their_timer(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me", group_s=0.05) as journal:
        claim, step = await running(journal)
        other = Journal.read_only(tmp_path)
        journal.add_item(claim, step.id, 0, None, {"n": 0})
        deadline = time.monotonic() + 20
        while await numbers(other, claim.job_id) == []:
            assert time.monotonic() < deadline
        await other.close()


@asynchronous
async def test_queued_writes_wait_for_company_and_go_with_the_next_urgent_one(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me", group_s=3600) as journal:
        claim, step = await running(journal)
        journal.add_item(claim, step.id, 0, None, {"n": 0})
        assert await numbers(journal, claim.job_id) == []
        await journal.renew(claim, 60)
        assert await numbers(journal, claim.job_id) == [0]
        for number in range(1, 1500):  # a full group does not wait either
            journal.add_item(claim, step.id, number, None, {"n": number})
        while len(await numbers(journal, claim.job_id)) < 1000:
            pass
        journal.log(claim.job_id, "last words")
        await journal.flush()
        assert journal.backlog() == 0
        journal.log(claim.job_id, "the very last")
    async with await Journal.open(tmp_path, owner="me") as journal:
        assert len(await numbers(journal, claim.job_id)) == 1500  # closing commits
        assert [line.message for line in await journal.history(claim.job_id)] == ["last words", "the very last"]


@asynchronous
async def test_another_process_reads_while_one_writes(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me", group_s=0.001) as journal:
        claim, step = await running(journal)
        reader = child(READ, tmp_path, "3000")
        try:
            assert reader.stdout is not None
            assert await asyncio.to_thread(reader.stdout.readline) == "reading\n"
            for number in range(3000):
                journal.add_item(claim, step.id, number, None, {"n": number})
                if number % 20 == 0:
                    await journal.renew(claim, 60)
            await journal.flush()
            said = await asyncio.to_thread(reader.stdout.read)
            assert "opened for reading only" in said
            assert await asyncio.to_thread(reader.wait) == 0
        finally:
            kill(reader)


@asynchronous
async def test_reading_where_there_is_nothing_yet(tmp_path: Path) -> None:
    reader = Journal.read_only(tmp_path / "home")
    assert await reader.jobs() == []
    assert (await reader.counts())["queued"] == 0
    assert not (tmp_path / "home").exists()
    async with await Journal.open(tmp_path / "home", owner="me") as journal:
        await journal.submit(new_job())
        assert len(await reader.jobs()) == 1
    assert len(await reader.jobs()) == 1  # closed by the other, still read
    await reader.close()
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


@asynchronous
async def test_a_home_of_the_first_schema_learns_the_new_ends_of_an_attempt(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, path, schema_scripts()[:1])
    db.close()
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        for outcome in ("fault", "killed", "squeezed", "killed"):
            number = await journal.start_attempt(claim, step.id, reserved_bytes=1, cores=1, declared_bytes=1)
            await journal.end_attempt(number, outcome, error=None, peak_bytes=1, items=0, seconds=0.1)
        assert [attempt.outcome for attempt in await journal.attempts(claim.job_id)] == [
            *("fault", "killed", "squeezed", "killed")
        ]
        assert await journal.faults_in_a_row(claim.job_id, step.id) == 1
        assert await journal.kills_in_a_row(claim.job_id, step.id) == 2


@asynchronous
async def test_a_newer_journal_is_refused_and_an_older_one_is_brought_up_to_date(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        await journal.submit(new_job())
    path, latest = tmp_path / "journal.db", schema_scripts()[-1][0]
    db = sqlite3.connect(path, isolation_level=None)
    later = [
        *schema_scripts(),
        (latest + 1, "ALTER TABLE jobs ADD COLUMN mood TEXT DEFAULT 'calm';"),
        (latest + 2, "CREATE TABLE extra (a INTEGER); INSERT INTO nowhere VALUES (1);"),
    ]
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, path, later)
    columns = [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
    assert "mood" not in columns  # all or nothing
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'").fetchone() == (0,)
    assert db.execute("PRAGMA user_version").fetchone() == (latest,)
    migrate(db, path, later[:-1])
    assert db.execute("SELECT mood FROM jobs").fetchall() == [("calm",)]
    assert db.execute("PRAGMA user_version").fetchone() == (latest + 1,)
    db.close()
    with pytest.raises(JournalError, match=f"is of version {latest + 1}, .* up to {latest}"):
        await Journal.open(tmp_path, owner="me")
    reader = Journal.read_only(tmp_path)
    with pytest.raises(JournalError, match="upgrade narrowboat"):
        await reader.jobs()
    await reader.close()


@asynchronous
async def test_a_damaged_journal_is_reported_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is not a journal " * 500)
    with pytest.raises(JournalError, match=r"is damaged.*move journal.db"):
        await Journal.open(tmp_path, owner="me")
    reader = Journal.read_only(tmp_path)
    with pytest.raises(JournalError, match="is damaged"):
        await reader.jobs()
    await reader.close()
    assert (tmp_path / "journal.db").read_bytes().startswith(b"this is not")  # left for a person to look at


@asynchronous
async def test_damage_inside_is_reported_where_it_is_met(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        for number in range(2000):
            journal.add_item(claim, step.id, number, None, {"n": number, "text": "x" * 300})
        await journal.release(claim)
    path = tmp_path / "journal.db"
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = b"\xa5" * (len(data) - half)
    path.write_bytes(data)
    journal = await Journal.open(tmp_path, owner="me")
    try:
        with pytest.raises(JournalError, match="is damaged"):
            [item async for item in journal.items(claim.job_id, "recognise")]
    finally:
        await journal.close()


@asynchronous
async def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        with pytest.raises(UsageError, match="can't be used as home"):
            await Journal.open(home, owner="me")
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(JournalError, match="can't be opened"):
        await Journal.open(tmp_path, owner="me")
    (tmp_path / "journal.db").rmdir()
    await (await Journal.open(tmp_path, owner="me")).close()  # the failure let go of the lock


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@asynchronous
async def test_a_full_disk_is_named_and_what_was_committed_stays(small_disk: Path) -> None:
    journal = await Journal.open(small_disk, owner="me")
    claim, step = await running(journal)
    await add(journal, claim, step, range(10))

    async def fill() -> None:
        for number in range(10, 100_000):
            journal.add_item(claim, step.id, number, None, {"n": number, "text": "x" * 1000})
            if number % 100 == 0:
                await journal.renew(claim, 60)

    with pytest.raises(DiskFull, match="no space left for the journal") as told:
        await fill()
    assert told.value.facts["path"] == str(small_disk / "journal.db")
    with pytest.raises(DiskFull):  # items are missing: this is no success
        await journal.finish_step(claim, step.id, None)
    count = (await journal.job(claim.job_id)).items
    assert count >= 10
    await journal.close()

    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=8M", str(small_disk)], check=True)
    async with await Journal.open(small_disk, owner="me") as journal:
        claim = await journal.claim(claim.job_id, 60)
        step = await journal.begin_step(claim, "recognise", "m:f", "1", "hash")
        assert step.items == count
        found = [seq async for seq, _ in journal.items(claim.job_id, "recognise")]
        assert found == list(range(count))


@asynchronous
async def test_a_read_only_file_system(small_disk: Path) -> None:
    async with await Journal.open(small_disk, owner="me") as journal:
        await journal.submit(new_job())
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UsageError, match="can't be used as home"):
        await Journal.open(small_disk, owner="me")
    reader = Journal.read_only(small_disk)
    assert len(await reader.jobs()) == 1
    await reader.close()


@asynchronous
async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = await Journal.open(tmp_path, owner="me")
    await journal.close()
    await journal.close()
    for refused in (journal.submit(new_job()), journal.jobs()):
        with pytest.raises(JournalError, match="is closed"):
            await refused


@asynchronous
async def test_a_write_whose_caller_went_away_is_still_made(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        task = asyncio.create_task(journal.submit(new_job()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await journal.flush()
        assert len(await journal.jobs()) == 1
