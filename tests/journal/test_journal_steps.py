"""Steps, items, attempts, and the records beside them."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from journal_harness import Clock, add, asynchronous, new_job, numbers, running

from narrowboat.errors import JournalError, LeaseLost, OutputError, UsageError
from narrowboat.journal import Claim, Journal, StepRow


@asynchronous
async def test_a_step_goes_on_where_it_was(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        assert (step.state, step.items, step.cursor, step.result) == ("running", 0, None, None)
        await add(journal, claim, step, range(3))
        same = await journal.begin_step(claim, "recognise", "m:f", "1", "hash")
        assert (same.id, same.items, same.cursor) == (step.id, 3, {"at": 2})
        await journal.finish_step(claim, step.id, {"language": "en"})
        done = await journal.step(claim.job_id, "recognise")
        assert done is not None
        assert (done.state, done.result, done.items) == ("done", {"language": "en"}, 3)
        assert await journal.step(claim.job_id, "nothing") is None


@asynchronous
@pytest.mark.parametrize("changed", [("m:g", "1", "hash"), ("m:f", "2", "hash"), ("m:f", "1", "other")])
async def test_a_changed_step_starts_over(tmp_path: Path, changed: tuple[str, str, str]) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        await add(journal, claim, step, range(3))
        attempt = await journal.start_attempt(claim, step.id, 1, 1, 1)
        await journal.end_attempt(attempt, "fault", None, None, None, None)
        await journal.finish_step(claim, step.id, 1)
        over = await journal.begin_step(claim, "recognise", *changed)
        assert (over.id, over.state, over.items, over.cursor, over.result) == (step.id, "running", 0, None, None)
        assert (over.name, over.version, over.input_hash) == changed
        assert await numbers(journal, claim.job_id) == []
        assert await journal.faults_in_a_row(claim.job_id, step.id) == 0
        await add(journal, claim, over, range(2))
        assert await numbers(journal, claim.job_id) == [0, 1]


@asynchronous
@pytest.mark.parametrize("wrong", [0, 1, 3, 7, -1])
async def test_a_gap_or_a_repeat_fails_the_step_and_commits_nothing_behind_it(tmp_path: Path, wrong: int) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        await add(journal, claim, step, range(2))
        other, other_step = await running(journal, "b")
        journal.add_item(claim, step.id, wrong, None, {"n": wrong})
        journal.add_item(other, other_step.id, 0, None, {"n": 0})
        with pytest.raises(JournalError, match="out of order"):
            await journal.finish_step(claim, step.id, None)
        with pytest.raises(JournalError, match="out of order"):
            journal.add_item(claim, step.id, 2, None, {"n": 2})
        with pytest.raises(JournalError, match="out of order"):
            await journal.end(claim, "done")
        assert await numbers(journal, claim.job_id) == [0, 1]
        assert await numbers(journal, other.job_id) == [0]  # who shared the commit is not hurt
        await journal.end(claim, "failed", {"code": "journal"})
        await journal.requeue(claim.job_id)
        claim = await journal.claim(claim.job_id, 60)
        await add(journal, claim, step, range(2, 4))
        assert await numbers(journal, claim.job_id) == [0, 1, 2, 3]


@asynchronous
async def test_items_of_an_old_claim_are_refused(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        old, step = await running(journal)
        await journal.release(old)
        new = await journal.claim(old.job_id, 60)
        forged = Claim(new.job_id, new.token, "somebody")
        for stale in (old, forged):
            journal.add_item(stale, step.id, 0, None, {"n": 0})
            with pytest.raises(LeaseLost):
                await journal.flush()
            with pytest.raises(LeaseLost):
                await journal.begin_step(stale, "recognise", "m:f", "1", "hash")
            with pytest.raises(LeaseLost):
                await journal.finish_step(stale, step.id, None)
            with pytest.raises(LeaseLost):
                await journal.start_attempt(stale, step.id, 1, 1, 1)
            with pytest.raises(LeaseLost):
                await journal.own_scratch(stale, tmp_path)
            with pytest.raises(LeaseLost):
                await journal.release(stale)
        await add(journal, new, step, range(1))
        assert await numbers(journal, new.job_id) == [0]


@asynchronous
@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", {"a": object()}, Path("x")])
async def test_what_is_not_json_is_refused_at_the_call(tmp_path: Path, value: object) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        with pytest.raises(UsageError, match="item 0 can't be kept"):
            journal.add_item(claim, step.id, 0, None, value)
        with pytest.raises(UsageError, match="item 0 can't be kept"):
            journal.add_item(claim, step.id, 0, value, {"n": 0})
        await add(journal, claim, step, range(1))


@asynchronous
async def test_values_come_back_exactly(tmp_path: Path) -> None:
    values = [
        None,
        True,
        0.1 + 0.2,
        1e-300,
        2**70,
        "a\x00b\n\u2028",
        "\U0001f6a2",
        "\ud83d",
        {"": [{}, []]},
        "Ünïcode 語",
    ]
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        for seq, value in enumerate(values):
            journal.add_item(claim, step.id, seq, value, value)
        await journal.finish_step(claim, step.id, values)
        found = [value async for _, value in journal.items(claim.job_id, "recognise")]
        assert list(map(repr, found)) == list(map(repr, values))
        done = await journal.step(claim.job_id, "recognise")
        assert done is not None
        assert done.result == values
        assert await journal.export_items(claim.job_id, "recognise", tmp_path / "x.jsonl") == len(values)
        lines = (tmp_path / "x.jsonl").read_bytes().split(b"\n")
        assert [json.loads(line) for line in lines[:-1]] == values


@asynchronous
async def test_many_items_are_read_and_exported_in_constant_memory(tmp_path: Path) -> None:
    count, text = 20_000, "x" * 200
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        for number in range(count):
            journal.add_item(claim, step.id, number, {"at": number}, {"n": number, "text": text})
        await journal.finish_step(claim, step.id, None)
        assert (await journal.job(claim.job_id)).items == count

        tracemalloc.start()
        try:
            assert await journal.export_items(claim.job_id, "recognise", tmp_path / "x.jsonl") == count
            exported = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            last = -1
            async for seq, value in journal.items(claim.job_id, "recognise", after_seq=count // 2):
                assert value["n"] == seq
                last = seq
            read = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert last == count - 1
    with (tmp_path / "x.jsonl").open() as file:
        assert [json.loads(line)["n"] for line in file] == list(range(count))
    assert exported < 1 << 20  # the values are 4.6 MiB
    assert read < 1 << 20


@asynchronous
async def test_an_export_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path / "home", owner="me") as journal:
        claim, _ = await running(journal)
        with pytest.raises(OutputError, match="can't be written"):
            await journal.export_items(claim.job_id, "recognise", tmp_path / "no" / "x.jsonl")
        (tmp_path / "folder.jsonl").mkdir()
        with pytest.raises(OutputError):
            await journal.export_items(claim.job_id, "recognise", tmp_path / "folder.jsonl")
        assert await journal.export_items(claim.job_id, "recognise", tmp_path / "empty.jsonl") == 0
        assert (tmp_path / "empty.jsonl").read_bytes() == b""
    assert sorted(os.listdir(tmp_path)) == ["empty.jsonl", "folder.jsonl", "home"]  # noqa: PTH208


async def _attempt(journal: Journal, claim: Claim, step: StepRow, outcome: str) -> None:
    attempt = await journal.start_attempt(claim, step.id, 1, 1, 1)
    await journal.end_attempt(attempt, outcome, None, 1, 0, 0.1)


@asynchronous
async def test_faults_are_counted_since_the_last_new_item(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, step = await running(journal)
        for outcome, expected in [("fault", 1), ("overrun", 1), ("stopped", 1), ("interrupted", 2), ("fault", 3)]:
            await _attempt(journal, claim, step, outcome)
            assert await journal.faults_in_a_row(claim.job_id, step.id) == expected
        await add(journal, claim, step, range(1))
        assert await journal.faults_in_a_row(claim.job_id, step.id) == 0
        attempt = await journal.start_attempt(claim, step.id, 1, 1, 1)
        journal.add_item(claim, step.id, 1, None, {"n": 1})
        await journal.end_attempt(attempt, "fault", {"code": "worker_died"}, 5, 1, 0.5)
        assert await journal.faults_in_a_row(claim.job_id, step.id) == 0  # it did bring an item
        await _attempt(journal, claim, step, "fault")
        assert await journal.faults_in_a_row(claim.job_id, step.id) == 1
        job = await journal.job(claim.job_id)
        assert (job.attempts, job.overruns, job.items, job.items_resumed) == (7, 1, 2, 2)
        await journal.end(claim, "failed")
        await journal.requeue(claim.job_id)
        assert await journal.faults_in_a_row(claim.job_id, step.id) == 0


@asynchronous
async def test_an_attempt_is_told_in_full(tmp_path: Path) -> None:
    clock = Clock()
    async with await Journal.open(tmp_path, owner="me", clock=clock) as journal:
        claim, step = await running(journal)
        attempt = await journal.start_attempt(claim, step.id, reserved_bytes=200, cores=2, declared_bytes=100)
        journal.attempt_pid(attempt, 4242, 99, 4242)
        await journal.flush()
        (found,) = await journal.attempts(claim.job_id)
        assert (found.outcome, found.ended, found.step_key) == (None, None, "recognise")
        assert (found.reserved_bytes, found.declared_bytes, found.cores) == (200, 100, 2)
        assert (found.pid, found.start_ticks, found.pgid) == (4242, 99, 4242)
        clock.now += 3
        await journal.end_attempt(attempt, "overrun", {"code": "overrun"}, 250, 4, 2.5)
        await journal.end_attempt(attempt, "done", None, 0, 0, 0)  # once is enough
        (found,) = await journal.attempts(claim.job_id)
        assert (found.outcome, found.error, found.peak_bytes) == ("overrun", {"code": "overrun"}, 250)
        assert (found.items, found.seconds, found.ended) == (4, 2.5, clock.now)
        with pytest.raises(JournalError, match="can't end 'exploded'"):
            await journal.end_attempt(attempt, "exploded", None, 0, 0, 0)


@asynchronous
async def test_peaks_outlive_their_job_newest_first_and_are_bounded(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        for number in range(1100):
            journal.add_peak("recognise", "1", "base", {"duration": number}, 1, 2, number, number == 1099)
        journal.add_peak("recognise", "2", "base", {}, 1, 2, 3, False)
        await journal.flush()
        found = await journal.peaks("recognise", "1", "base", limit=2)
        assert [(p.peak_bytes, p.censored, p.features) for p in found] == [
            (1099, True, {"duration": 1099}),
            (1098, False, {"duration": 1098}),
        ]
        assert len(await journal.peaks("recognise", "1", "base", limit=5000)) == 1000
        assert len(await journal.peaks("recognise", "2", "base")) == 1
        assert await journal.peaks("recognise", "1", "tiny") == []


@asynchronous
async def test_scratch_is_orphaned_when_its_job_ends(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        claim, _ = await running(journal)
        await journal.own_scratch(claim, tmp_path / "one")
        await journal.own_scratch(claim.job_id, tmp_path / "two")
        await journal.own_scratch("j0999", tmp_path / "stray")
        assert await journal.scratch_of(claim.job_id) == [tmp_path / "one", tmp_path / "two"]
        assert await journal.orphaned_scratch() == [tmp_path / "stray"]
        await journal.end(claim, "done")
        await journal.disown_scratch(tmp_path / "one")
        assert await journal.orphaned_scratch() == [tmp_path / "stray", tmp_path / "two"]


@asynchronous
async def test_an_output_path_belongs_to_one_job(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path, owner="me") as journal:
        first, _ = await journal.submit(new_job("a"))
        second, _ = await journal.submit(new_job("b"))
        path = tmp_path / "talk.vtt"
        assert await journal.output_owner(path) is None
        assert await journal.want_output(first.id, "vtt", path)
        assert await journal.want_output(first.id, "vtt", path)  # asked again: it is still its own
        assert not await journal.want_output(second.id, "vtt", path)
        assert await journal.want_output(second.id, "vtt", tmp_path / "talk-2.vtt")
        assert await journal.output_owner(path) == first.id
        (row,) = await journal.outputs(first.id)
        assert (row.format, row.path, row.bytes, row.written) == ("vtt", path, None, False)
        await journal.mark_output(first.id, path, 123)
        (row,) = await journal.outputs(first.id)
        assert (row.bytes, row.written) == (123, True)
        with pytest.raises(JournalError, match="is not an output"):
            await journal.mark_output(second.id, path, 1)
        await journal.forget(first.id)
        assert await journal.want_output(second.id, "srt", path)


@asynchronous
async def test_history_keeps_the_last_lines_in_order(tmp_path: Path) -> None:
    clock = Clock()
    async with await Journal.open(tmp_path, owner="me", clock=clock) as journal:
        job, _ = await journal.submit(new_job())
        for number in range(5):
            clock.now += 1
            journal.log(job.id, f"line {number}")
        await journal.flush()
        found = await journal.history(job.id, limit=2)
        assert [(line.at, line.message) for line in found] == [(clock.now - 1, "line 3"), (clock.now, "line 4")]
