"""Jobs: the life of one, ids, and what is listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from journal_harness import Clock, add, asynchronous, new_job, numbers, running

from narrowboat.errors import JournalError, LeaseLost, NotFound, UsageError
from narrowboat.journal import Journal
from narrowboat.journal.ids import job_id
from narrowboat.journal.listing import newest
from narrowboat.journal.rows import STATES


@asynchronous
async def test_a_job_from_submission_to_its_end(tmp_path: Path) -> None:
    clock = Clock()
    async with await Journal.open(tmp_path / "home", owner="me", clock=clock) as journal:
        job, created = await journal.submit(new_job(options={"language": "en"}, label="episode"))
        assert created
        assert (job.id, job.state, job.label, job.created) == ("j0001", "queued", "episode", clock.now)
        assert (job.options, job.started, job.attempts) == ({"language": "en"}, None, 0)
        clock.now += 5
        claim = await journal.claim(job.id, 60)
        assert (claim.job_id, claim.token, claim.owner) == (job.id, 1, "me")
        assert (await journal.job(job.id)).started == clock.now
        clock.now += 5
        await journal.end(claim, "failed", {"code": "overrun", "message": "m"})
        ended = await journal.job(job.id)
        assert (ended.state, ended.ended) == ("failed", clock.now)
        assert ended.reason == {"code": "overrun", "message": "m"}
        with pytest.raises(LeaseLost, match="it is failed"):
            await journal.end(claim, "done")
        assert await journal.counts() == {"queued": 0, "running": 0, "done": 0, "failed": 1, "cancelled": 0}


@asynchronous
async def test_one_job_per_identity(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        first, _ = await journal.submit(new_job("a"))
        await journal.end(await journal.claim(first.id, 60), "done")
        again, created = await journal.submit(new_job("a", source="elsewhere.mp3"))
        assert (again.id, again.state, again.source, created) == (first.id, "done", "a.mp3", False)
        assert (await journal.submit(new_job("b")))[1]


@asynchronous
async def test_jobs_are_listed_by_state_and_pipeline_and_the_newest_first(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        for name in "abcd":
            await journal.submit(new_job(name, pipeline="pose" if name == "c" else "transcribe"))
        await journal.claim("j0002", 60)
        assert [j.identity for j in await journal.jobs()] == ["a", "b", "c", "d"]
        listed, total = newest(tmp_path, STATES, 2)
        assert ([j.identity for j in listed], total) == (["d", "c"], 4)
        assert [j.identity for j in newest(tmp_path, ["queued"], None)[0]] == ["d", "c", "a"]
        assert newest(tmp_path, ["done"], None) == ([], 0)
        assert [j.identity for j in await journal.jobs(states=["running"])] == ["b"]
        found = await journal.jobs(states=("queued", "done"), pipeline="transcribe")
        assert [j.identity for j in found] == ["a", "d"]


@asynchronous
async def test_an_id_is_found_by_what_a_person_types(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        for number in range(40):
            await journal.submit(new_job(str(number)))
        for typed in ("j0002", "J0002", " j0002 ", "j2"):
            assert (await journal.job(typed)).id == "j0002"
        assert (await journal.job("j18")).identity == "39"  # 1 * 32 + 8 = 40th
        assert (await journal.job("j001")).id == "j0001"  # its zeros come before what it begins
        with pytest.raises(NotFound, match="fits more than one job: j0001, j0002"):
            await journal.job("j00")
        for typed in ("", "j", "x", "j0zzz", "'; DROP TABLE jobs; --", "j0001\udcff", "j" * 5000):
            with pytest.raises(NotFound):
                await journal.job(typed)


def test_ids_sort_as_they_were_given() -> None:
    numbers_ = [1, 31, 32, 1000, 32**4 - 1, 32**4, 32**4 + 1, 32**5 - 1, 32**5, 32**8]
    ids = [job_id(n) for n in numbers_]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert ids[0] == "j0001"


@asynchronous
async def test_an_id_is_never_used_twice(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        await journal.submit(new_job("a"))
        assert await journal.forget("j0001") == []
        assert (await journal.submit(new_job("a")))[0].id == "j0002"


@asynchronous
async def test_cancel(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        for name in "abc":
            await journal.submit(new_job(name))
        gone = await journal.request_cancel("j0001")
        assert gone.state == "cancelled"
        assert gone.reason is not None
        assert gone.reason["code"] == "cancelled"
        with pytest.raises(LeaseLost, match="it is cancelled"):
            await journal.claim("j0001", 60)

        claim = await journal.claim("j0002", 60)
        asked = await journal.request_cancel("j0002")
        assert (asked.state, asked.cancel_requested) == ("running", True)
        await journal.release(claim)  # a stop came between
        assert (await journal.job("j0002")).state == "cancelled"

        await journal.end(await journal.claim("j0003", 60), "done")
        assert (await journal.request_cancel("j0003")).state == "done"
        with pytest.raises(NotFound):
            await journal.request_cancel("j0009")


@asynchronous
async def test_retry_keeps_items_and_again_forgets_them(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        await add(journal, claim, step, range(3))
        with pytest.raises(UsageError, match="is running"):
            await journal.requeue(claim.job_id)
        await journal.end(claim, "failed", {"code": "fetch"})

        retried = await journal.requeue(claim.job_id, options={"formats": ["vtt"]})
        assert (retried.state, retried.reason, retried.ended) == ("queued", None, None)
        assert (retried.items, retried.options) == (3, {"formats": ["vtt"]})
        second = await journal.claim(claim.job_id, 60)
        step = await journal.begin_step(second, "recognise", "m:f", "1", "hash")
        assert (step.items, step.cursor) == (3, {"at": 2})
        await journal.finish_step(second, step.id, {"language": "en"})
        await journal.end(second, "done")

        again = await journal.restart(claim.job_id)
        assert (again.state, again.items, again.attempts, again.started) == ("queued", 0, 0, None)
        assert await numbers(journal, claim.job_id) == []


@asynchronous
async def test_released_jobs_wait_again_and_are_no_deaths(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        attempt = await journal.start_attempt(claim, step.id, 1 << 20, 1, 1 << 20)
        await journal.release(claim)
        (found,) = await journal.attempts(claim.job_id)
        assert (found.id, found.outcome) == (attempt, "stopped")
    async with await Journal.open(tmp_path, owner="me") as journal:
        job = await journal.job(claim.job_id)
        assert (job.state, job.supervisor_deaths) == ("queued", 0)


@asynchronous
async def test_a_lease_that_ran_out_can_be_taken_over(tmp_path: Path) -> None:
    clock = Clock()
    async with await Journal.open(tmp_path, owner="me", clock=clock) as journal:
        claim, step = await running(journal)
        await journal.start_attempt(claim, step.id, 1, 1, 1)
        clock.now += 59
        with pytest.raises(LeaseLost, match="me has it for 1 s more"):
            await journal.claim(claim.job_id, 60)
        await journal.renew(claim, 60)
        clock.now += 59
        with pytest.raises(LeaseLost):
            await journal.claim(claim.job_id, 60)
        clock.now += 1
        late = await journal.claim(claim.job_id, 60)
        assert late.token == claim.token + 1
        with pytest.raises(LeaseLost, match="by token 2"):
            await journal.renew(claim, 60)
        assert [a.outcome for a in await journal.attempts(claim.job_id)] == ["interrupted"]


@asynchronous
async def test_a_forgotten_job_leaves_no_rows_and_gives_its_space_back(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        for number in range(3000):
            journal.add_item(claim, step.id, number, None, "x" * 500)
        journal.log(claim.job_id, "a line")
        await journal.own_scratch(claim, tmp_path / "scratch" / "j0001")
        with pytest.raises(UsageError, match="is running"):
            await journal.forget(claim.job_id)
        await journal.end(claim, "failed")
        assert await journal.forget(claim.job_id) == [tmp_path / "scratch" / "j0001"]
        assert await journal.jobs() == []
        assert await journal.history(claim.job_id) == []
        assert await journal.orphaned_scratch() == [tmp_path / "scratch" / "j0001"]
        with pytest.raises(LeaseLost, match="it is gone"):
            await journal.renew(claim, 60)
    assert (tmp_path / "journal.db").stat().st_size < 300_000


@asynchronous
async def test_names_that_are_not_utf8_come_back_as_they_were(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        odd = "caf\udce9 \U0001f6a2.mp3"  # a Latin-1 file name, as Python gives it
        job, _ = await journal.submit(new_job(source=odd, label=odd, options={"out": odd}))
        assert (job.source, job.label, job.options) == (odd, odd, {"out": odd})
        await journal.own_scratch(job.id, tmp_path / odd)
        assert await journal.scratch_of(job.id) == [tmp_path / odd]
        journal.log(job.id, "half a pair: \ud83d")
        await journal.flush()
        assert [line.message for line in await journal.history(job.id)] == ["half a pair: ?"]


@asynchronous
async def test_what_is_no_text_is_refused_and_hurts_nobody_else(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        journal.add_item(claim, step.id, 0, None, {"n": 0})
        with pytest.raises(JournalError):
            await journal.submit(new_job("b", pipeline=tmp_path))
        await journal.flush()
        assert await numbers(journal, claim.job_id) == [0]
        assert len(await journal.jobs()) == 1
