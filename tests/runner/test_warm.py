"""Workers that are used again, and those that hang, with real processes."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Runner, Step
from narrowboat.errors import StepFailed, TimeLimit, WorkerDied
from narrowboat.memory.processes import process_state, process_used, tree
from narrowboat.workers.pool import MOST_GROWTH


def with_runner(work: Callable[[Runner], Awaitable[Any]], memory: str | int = "512M") -> Any:
    async def main() -> Any:
        async with asyncio.timeout(120), Runner(beside(memory), cores=2) as runner:
            return await work(runner)

    return asyncio.run(main())


def gone(pid: int) -> bool:
    return process_state(pid) in (None, "Z", "X")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_one_step_after_another_of_a_kind_runs_in_the_same_process() -> None:
    async def work(runner: Runner) -> set[int]:
        return {await runner.call(Step(steps.who, memory="40M"), number) for number in range(5)}

    assert len(with_runner(work)) == 1


def test_steps_and_engines_have_workers_of_their_own() -> None:
    async def work(runner: Runner) -> list[int]:
        step = Step(steps.who, memory="40M")
        kinds = [step, Step(steps.who_else, memory="40M"), step.with_engine("a"), step.with_engine("b")]
        return [await runner.call(kind, None) for kind in kinds for _ in range(2)]

    pids = with_runner(work)
    assert len(set(pids)) == 4
    assert pids[0::2] == pids[1::2]


def test_a_step_may_ask_for_a_new_process_each_time() -> None:
    async def work(runner: Runner) -> set[int]:
        return {await runner.call(Step(steps.who, memory="40M", fresh=True), number) for number in range(3)}

    assert len(with_runner(work)) == 3


def test_a_worker_whose_step_raised_is_not_used_again() -> None:
    async def work(runner: Runner) -> tuple[int, int]:
        step = Step(steps.raises_if, memory="40M")
        first = await runner.call(step, {"raise": False})
        with pytest.raises(StepFailed):
            await runner.call(step, {"raise": True})
        return first, await runner.call(step, {"raise": False})

    first, second = with_runner(work)
    assert first != second


def test_a_worker_with_a_child_left_is_not_used_again_and_the_child_goes() -> None:
    async def work(runner: Runner) -> None:
        step = Step(steps.leaves_a_child, memory="100M")
        first, child = await runner.call(step, None)
        assert gone(first)
        await until(lambda: gone(child))
        assert (await runner.call(step, None))[0] != first

    with_runner(work)


def test_a_worker_that_leaks_is_replaced_before_it_passes_for_an_overrun() -> None:
    async def work(runner: Runner) -> list[int]:
        return [await runner.call(Step(steps.keeps, memory="64M"), 6) for _ in range(12)]

    pids = with_runner(work)
    assert 2 <= len(set(pids)) <= 4
    longest = max(pids.count(pid) for pid in set(pids))
    assert 6 * (longest - 2) << 20 <= MOST_GROWTH


def test_idle_workers_hold_what_they_use_and_go_when_somebody_needs_the_room() -> None:
    async def work(runner: Runner) -> None:
        held = await runner.call(Step(steps.keeps, memory="150M"), 100)
        idle = runner.budget.snapshot()
        assert 100 << 20 <= idle.idle < 150 << 20
        assert idle.reserved == idle.idle
        small = await runner.call(Step(steps.keeps, memory="60M").with_engine("small"), 40)
        assert not gone(held)
        large = Step(steps.who_else, memory=runner.budget.bytes - (25 << 20))
        await runner.call(large, None)
        assert gone(held)
        assert gone(small)

    with_runner(work, process_used(os.getpid()) + (250 << 20))  # whatever the tests before have left in this process


def test_idle_workers_are_gone_when_the_runner_is() -> None:
    async def work(runner: Runner) -> list[int]:
        return [await runner.call(Step(steps.who, memory="40M").with_engine(str(n)), None) for n in range(3)]

    assert all(gone(pid) for pid in with_runner(work))


def test_an_idle_worker_that_somebody_kills_costs_nobody_anything() -> None:
    async def work(runner: Runner) -> None:
        step = Step(steps.who, memory="40M")
        first = await runner.call(step, None)
        os.kill(first, signal.SIGKILL)
        await until(lambda: gone(first) and runner.budget.snapshot().idle == 0)
        assert await runner.call(step, None) != first

    with_runner(work)


@pytest.mark.parametrize("how", ["stop", "lock"])
def test_a_worker_that_stops_giving_signs_of_life_is_replaced(tmp_path: Path, how: str) -> None:
    async def work(runner: Runner) -> str:
        step = Step(steps.hangs_once, memory="40M", heartbeat=1)
        return str(await runner.call(step, {"mark": str(tmp_path / "mark"), "how": how}))

    assert with_runner(work) == "done"


def test_one_that_hangs_each_time_fails_and_says_why() -> None:
    async def work(runner: Runner) -> None:
        with pytest.raises(WorkerDied, match=r"hung: no sign of life for 1 s: a signal has stopped it.*3 times"):
            await runner.call(Step(steps.stopped_by_itself, memory="40M", heartbeat=0.8), None)

    with_runner(work)


def test_a_worker_stopped_from_outside_is_replaced() -> None:
    async def work(runner: Runner) -> float:
        step, others = Step(steps.sleeps, memory="40M", heartbeat=1), len(tree(os.getpid()))
        running = asyncio.ensure_future(runner.call(step, 1))
        await until(lambda: len(tree(os.getpid())) > others)
        stopped = tree(os.getpid())[-1]  # the worker
        os.kill(stopped, signal.SIGSTOP)
        result = await running
        assert gone(stopped)
        return float(result or 0)

    with_runner(work)


def test_a_long_quiet_step_is_no_hang() -> None:
    async def work(runner: Runner) -> None:
        await runner.call(Step(steps.sleeps, memory="40M", heartbeat=0.5), 2)

    with_runner(work)


def test_a_step_that_takes_longer_than_it_may_fails_with_its_limit() -> None:
    async def work(runner: Runner) -> None:
        with pytest.raises(TimeLimit, match=r"sleeps took longer than its time limit of 0\.5 s") as raised:
            await runner.call(Step(steps.sleeps, memory="40M", time_limit=0.5), 60)
        assert raised.value.facts["time_limit_s"] == 0.5

    with_runner(work)


def test_kills_by_somebody_else_are_no_faults_but_do_not_go_on_for_ever(tmp_path: Path) -> None:
    async def work(runner: Runner) -> None:
        step = Step(steps.killed_once_in, memory="40M")
        given = [{"folder": str(tmp_path / str(kills)), "kills": kills} for kills in (5, 10)]
        results = {r.input["kills"]: r async for r in runner.map(step, given)}
        assert results[5].error is None
        assert isinstance(results[10].error, WorkerDied)
        assert "10 times in a row" in results[10].error.message

    with_runner(work)
