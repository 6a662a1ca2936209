"""``Runner.map`` and attempts, with real workers and a real journal."""

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Demand, Result, Runner, Step
from narrowboat.errors import CannotFit, DiskFull, Interrupted, Overrun, SourceError, StepFailed, WorkerDied
from narrowboat.memory.budget import GRACE
from narrowboat.sizes import MIB


def with_runner(work: Callable[[Runner], Awaitable[Any]], memory: str = "512M", **more: Any) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(120), Runner(beside(memory), **more) as runner:
            return await work(runner)

    return asyncio.run(main())


async def collect(results: AsyncGenerator[Result]) -> list[Result]:
    return [result async for result in results]


def mapped(step: Step, inputs: Any, memory: str = "512M", **more: Any) -> list[Result]:
    return with_runner(lambda runner: collect(runner.map(step, inputs)), memory, **more)  # type: ignore[no-any-return]


def test_results_come_for_every_input() -> None:
    results = mapped(Step(steps.echo, memory="20M"), range(20))
    assert sorted(result.unwrap() for result in results) == list(range(20))


def test_inputs_may_be_asynchronous_and_repeat() -> None:
    async def inputs() -> AsyncGenerator[int]:
        for number in (1, 2, 2, 1):
            await asyncio.sleep(0)
            yield number

    assert sorted(result.value for result in mapped(Step(steps.echo, memory="20M"), inputs())) == [1, 1, 2, 2]


def test_inputs_that_repeat_fail_each_as_the_first_did() -> None:
    """While one ends, the next of the same is asked for: neither is left behind, nor run twice at a time."""

    async def work(runner: Runner) -> list[Result]:
        step = Step(steps.raises, memory="20M")
        two = await asyncio.gather(*(collect(runner.map(step, ["it"] * 100)) for _ in range(2)))
        return [result for results in two for result in results]

    results = with_runner(work)
    assert {str(result.error) for result in results} == {"steps_for_tests:raises raised ValueError: it"}
    assert len(results) == 200


def test_inputs_are_taken_as_there_is_room() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def work(runner: Runner) -> None:
        results = runner.map(Step(steps.echo, memory="20M"), endless())
        async for _ in results:
            if taken > 5:
                break
        await results.aclose()

    with_runner(work)
    assert taken < 100


def test_a_stream_gives_its_items() -> None:
    async def work(runner: Runner) -> list[Any]:
        (result,) = await collect(runner.map(Step(steps.count, memory="20M"), [{"n": 4}]))
        assert result.value is None
        return [item["square"] async for item in result.items()]

    assert with_runner(work) == [0, 1, 4, 9]


def test_one_failure_is_told_and_the_others_go_on() -> None:
    results = mapped(Step(steps.raises, memory="20M"), ["out of cheese"])
    (error,) = [result.error for result in results]
    assert isinstance(error, StepFailed)
    with pytest.raises(StepFailed, match="out of cheese"):
        results[0].unwrap()


def test_errors_of_ours_arrive_as_themselves() -> None:
    (result,) = mapped(Step(steps.refuses, memory="20M"), ["not there"])
    assert isinstance(result.error, SourceError)
    assert (result.error.hint, result.error.facts) == ("another hint", {"size": 3})


def test_as_many_run_at_once_as_fit_and_never_more(tmp_path: Path) -> None:
    async def work(runner: Runner) -> tuple[int, int]:
        # Three fit and four do not.
        step = Step(steps.allocate_together, memory="250M", cores=0)
        inputs = ({"mib": 220, "n": n, "folder": str(tmp_path / str(n // 3)), "of": 3} for n in range(9))
        async for result in runner.map(step, inputs):
            assert result.unwrap() == 220 * MIB
        return runner.budget.peak_reserved, runner.guard.peak_used

    reserved, used = with_runner(work, "1G")
    assert reserved == 3 * 250 * MIB
    assert 600 * MIB < used < beside("1G")


def test_who_allocates_without_end_is_stopped_retried_larger_and_named() -> None:
    async def work(runner: Runner) -> tuple[dict[str, Result], list[Any], int]:
        hog = Step(steps.hog, memory="50M")
        fine = Step(steps.allocate, memory="30M")
        both = await asyncio.gather(
            collect(runner.map(hog, [None])),
            collect(runner.map(fine, [{"mib": 10, "hold": 0.1, "n": n} for n in range(12)])),
        )
        attempts = await runner.journal.attempts(both[0][0].job_id)
        return {"hog": both[0][0], **{str(n): r for n, r in enumerate(both[1])}}, attempts, runner.budget.bytes

    results, attempts, budget = with_runner(work, "600M")
    error = results.pop("hog").error
    assert all(result.ok for result in results.values())
    assert isinstance(error, Overrun)
    assert "whole budget" in error.message
    assert error.facts["peak_bytes"] > error.facts["reserved_bytes"] - MIB
    assert error.facts["needed_bytes"] >= error.facts["budget_bytes"] * 0.98
    reserved = [attempt.reserved_bytes // MIB for attempt in attempts]
    assert reserved[:3] == [50, 100, 200]
    assert [attempt.outcome for attempt in attempts] == ["overrun"] * len(reserved)
    assert all(attempt.peak_bytes < attempt.reserved_bytes + 2 * GRACE for attempt in attempts)
    assert reserved[-1] * MIB <= budget + 16 * MIB


def test_an_overrun_goes_on_from_its_cursor_with_twice_as_much() -> None:
    async def work(runner: Runner) -> tuple[list[Any], list[Any]]:
        step = Step(steps.grows_at, memory="60M")
        (result,) = await collect(runner.map(step, [{"n": 6, "at": 3, "mib": 100}]))
        assert result.ok
        return [item async for item in result.items()], await runner.journal.attempts(result.job_id)

    items, attempts = with_runner(work)
    assert items == list(range(6))
    assert [(a.outcome, a.reserved_bytes // MIB, a.items) for a in attempts] == [("overrun", 60, 3), ("done", 120, 3)]


def test_what_was_measured_is_reserved_next_time(tmp_path: Path) -> None:
    async def work(runner: Runner) -> list[int]:
        step = Step(steps.allocate, memory="60M")
        first = await collect(runner.map(step, [{"mib": 100, "hold": 0.2, "n": 0}]))
        second = await collect(runner.map(step, [{"mib": 100, "hold": 0.2, "n": 1}]))
        rows = [await runner.journal.attempts(result.job_id) for result in (*first, *second)]
        return [len(row) for row in rows]

    assert with_runner(work, home=tmp_path) == [2, 1]


def test_a_crash_is_a_fault_and_the_stream_goes_on() -> None:
    async def work(runner: Runner) -> tuple[list[Any], list[str]]:
        (result,) = await collect(runner.map(Step(steps.crash_at, memory="20M"), [{"n": 9, "at": [2, 3, 7, 8]}]))
        outcomes = [attempt.outcome or "" for attempt in await runner.journal.attempts(result.job_id)]
        return [item async for item in result.items()], outcomes

    items, outcomes = with_runner(work)
    assert items == list(range(9))
    assert outcomes == ["fault"] * 4 + ["done"]


def test_three_faults_in_a_row_without_a_new_item_fail_the_job() -> None:
    async def work(runner: Runner) -> tuple[Result, list[Any], list[Any]]:
        given = {"n": 9, "at": [4], "always": True}
        (result,) = await collect(runner.map(Step(steps.crash_at, memory="20M"), [given]))
        return result, [item async for item in result.items()], await runner.journal.attempts(result.job_id)

    result, items, attempts = with_runner(work)
    assert isinstance(result.error, WorkerDied)
    assert "SIGABRT" in result.error.message
    assert "3 times in a row" in result.error.message
    assert items == list(range(4))
    assert [attempt.items for attempt in attempts] == [4, 0, 0, 0]


def test_faults_are_counted_across_supervisors(tmp_path: Path) -> None:
    step = Step(steps.crash_at, memory="20M")
    given = {"n": 9, "at": [4], "always": True}

    def attempts() -> int:
        async def work(runner: Runner) -> int:
            (result,) = await collect(runner.map(step, [given]))
            return len(await runner.journal.attempts(result.job_id))

        return int(with_runner(work, home=tmp_path))

    assert attempts() == 4
    assert attempts() == 7  # asked for again by hand: its faults are forgiven


def test_a_declared_demand_above_the_budget_is_refused_at_once() -> None:
    (result,) = mapped(Step(steps.echo, memory="2G"), [1], "200M")
    assert isinstance(result.error, CannotFit)
    assert "echo" in result.error.message
    assert "2.0 GiB" in result.error.message


def test_a_step_that_asks_for_more_cores_than_there_are_gets_all() -> None:
    async def work(runner: Runner) -> Any:
        (result,) = await collect(runner.map(Step(steps.uses_cores, memory="20M", cores=64), [{"until": 2}]))
        return [item async for item in result.items()]

    assert with_runner(work, cores=2) == [{"seen": [2], "most": 2}]


def test_a_lone_step_is_lent_the_idle_cores() -> None:
    async def work(runner: Runner) -> Any:
        step = Step(steps.uses_cores, demand=lambda _: Demand(20 * MIB, 1, 8, MIB))
        (result,) = await collect(runner.map(step, [{"until": 3}]))
        return [item async for item in result.items()]

    assert with_runner(work, cores=3)[0]["seen"][-1] == 3


def test_a_home_remembers_what_is_done(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    step, given = Step(steps.count, memory="20M"), {"n": 3, "mark": str(mark)}
    for _ in range(2):
        (result,) = mapped(step, [given], home=tmp_path / "home")
        assert result.ok
    assert mark.read_text().splitlines() == ["0", "1", "2"]
    mapped(Step(steps.count, memory="20M", version="2"), [given], home=tmp_path / "home")
    assert len(mark.read_text().splitlines()) == 6


def test_stop_keeps_what_is_committed_and_goes_on_later(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    step, given = Step(steps.count, memory="20M"), {"n": 40, "pause": 0.02, "mark": str(mark)}

    async def stop_soon(runner: Runner) -> None:
        async def watch() -> None:
            while not mark.exists() or len(mark.read_text().splitlines()) < 5:
                await asyncio.sleep(0.005)
            await runner.stop()

        with pytest.raises(Interrupted):
            await asyncio.gather(collect(runner.map(step, [given])), watch())
        (job,) = await runner.journal.jobs()
        assert (job.state, job.supervisor_deaths) == ("queued", 0)

    with_runner(stop_soon, home=tmp_path / "home")
    (result,) = mapped(step, [given], home=tmp_path / "home")
    assert result.ok
    assert mark.read_text().splitlines() == [str(n) for n in range(40)]  # none computed twice


def test_abort_stops_at_once(tmp_path: Path) -> None:
    async def work(runner: Runner) -> str:
        task = asyncio.ensure_future(collect(runner.map(Step(steps.sleeps, memory="20M"), [600])))
        while not runner.status().jobs or runner.status().jobs[0].used_bytes == 0:
            await asyncio.sleep(0.01)
        await runner.abort()
        with pytest.raises(Interrupted):
            await task
        (job,) = await runner.journal.jobs()
        return job.state

    assert with_runner(work) == "queued"


def test_cancel_stops_the_worker_and_says_cancelled() -> None:
    async def work(runner: Runner) -> tuple[str, Any]:
        task = asyncio.ensure_future(collect(runner.map(Step(steps.sleeps, memory="20M"), [600])))
        while not runner.status().jobs or runner.status().jobs[0].used_bytes == 0:
            await asyncio.sleep(0.01)
        row = await runner.cancel(runner.status().jobs[0].id)
        (result,) = await task
        return row.state, result.error

    state, error = with_runner(work)
    assert state == "cancelled"
    assert error.code == "cancelled"


def test_scratch_goes_with_the_job_and_part_files_are_there_until_then(tmp_path: Path) -> None:
    async def work(runner: Runner) -> list[Any]:
        (result,) = await collect(runner.map(Step(steps.writes_part, memory="20M"), [{"n": 3}]))
        return [item["part"] async for item in result.items()]

    assert with_runner(work, home=tmp_path) == ["part-0", "part-1", "part-2"]
    assert not list(tmp_path.glob("scratch/*"))
    assert not (tmp_path / "control.sock").exists()


def test_nothing_of_a_temporary_home_is_left() -> None:
    async def work(runner: Runner) -> Path:
        await collect(runner.map(Step(steps.echo, memory="20M"), [1]))
        return runner.home

    assert not with_runner(work).exists()


def test_no_descriptor_or_task_is_left_per_job() -> None:
    async def work(runner: Runner) -> tuple[int, int]:
        step = Step(steps.echo, memory="20M")
        counts = []
        for start in (0, 100):
            await collect(runner.map(step, range(start, start + 30)))
            gc.collect()
            counts.append((len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())))
        return counts[1][0] - counts[0][0], counts[1][1] - counts[0][1]

    # What the last jobs had open may still be closing; thirty jobs that leave something would show.
    assert max(with_runner(work)) <= 5


def test_a_full_disk_fails_the_job_that_wanted_it(tmp_path: Path) -> None:
    results = mapped(Step(steps.fills_the_disk, memory="20M"), [None])
    assert isinstance(results[0].error, DiskFull)
