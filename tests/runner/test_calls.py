"""Calls of remote engines: one worker for all of a client, tries by rule, nothing left in the remote store."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import steps_of_calls as steps
from boxes import beside

from narrowboat import Pipeline, Result, Runner, Step
from narrowboat.errors import CannotFit, EngineError, Overrun, RemoteError, UsageError, WorkerDied
from narrowboat.journal.journal import Journal
from narrowboat.memory import admission
from narrowboat.runner import calls
from narrowboat.runner.job import Job
from narrowboat.sizes import MIB
from narrowboat.values import Client

CLIENT = Client("shop", 64 * MIB, at_once=32)


def call(function: Callable[..., Any], *, client: Client = CLIENT, **more: Any) -> Step:
    return Step(function, memory="1M", client=client, **more)


def with_runner(work: Callable[[Runner], Awaitable[Any]], memory: str = "512M", **more: Any) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(120), Runner(beside(memory), **more) as runner:
            return await work(runner)

    return asyncio.run(main())


def made(step: Step, inputs: Any, memory: str = "512M", **more: Any) -> list[Result]:
    async def work(runner: Runner) -> list[Result]:
        return [result async for result in runner.map(step, inputs)]

    return with_runner(work, memory, **more)  # type: ignore[no-any-return]


def journaled(home: Path) -> list[str]:
    async def read() -> list[str]:
        journal = Journal.read_only(home)
        try:
            return [row.name for row in await journal.remote_files()]
        finally:
            await journal.close()

    return asyncio.run(read())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


# -- one worker for all -----------------------------------------------------------------------------------------------


def test_calls_of_a_client_run_at_once_in_one_worker() -> None:
    results = made(call(steps.meet), [{"of": 12, "n": n} for n in range(12)])
    assert len({result.unwrap() for result in results}) == 1
    assert results[0].value != os.getpid()


def test_a_call_takes_only_its_own_bytes() -> None:
    async def work(runner: Runner, calls: int) -> int:
        async for result in runner.map(call(steps.meet), [{"of": calls, "n": n} for n in range(calls)]):
            result.unwrap()
        return runner.budget.peak_reserved

    assert with_runner(lambda runner: work(runner, 12)) - with_runner(lambda runner: work(runner, 2)) in near(10 * MIB)


def test_the_client_comes_on_top_of_what_every_worker_begins_with() -> None:
    async def work(runner: Runner) -> tuple[int, int]:
        async for result in runner.map(call(steps.meet), [{"of": 1, "n": 0}]):
            result.unwrap()
        return runner.budget.peak_reserved, runner.guard.helpers_used()

    reserved, begins_with = with_runner(work)
    assert reserved in near(begins_with + 65 * MIB)
    with_numpy, begins_with_numpy = with_runner(work, preload=["numpy"])
    assert with_numpy in near(begins_with_numpy + 65 * MIB)
    assert with_numpy > reserved + 2 * MIB


def near(size: int) -> range:
    """Two fork servers differ by some pages."""
    return range(size - MIB // 2, size + MIB // 2)


def test_no_more_calls_at_once_than_the_client_may_make() -> None:
    results = made(call(steps.crowd, client=Client("few", 64 * MIB, at_once=3)), [{"n": n} for n in range(24)])
    assert max(result.unwrap() for result in results) == 3


def test_calls_wait_for_room() -> None:
    step = Step(steps.crowd, memory="60M", client=CLIENT)
    results = made(step, [{"n": n} for n in range(8)], "320M")
    assert max(result.unwrap() for result in results) < 4


def test_clients_do_not_share() -> None:
    async def work(runner: Runner) -> set[int]:
        first = [runner.call(call(steps.meet), {"of": 3}) for _ in range(3)]
        other = Client("other shop", 64 * MIB)
        second = [runner.call(call(steps.meet, client=other), {"of": 3}) for _ in range(3)]
        return set(await asyncio.gather(*first, *second))

    assert len(with_runner(work)) == 2


def test_the_worker_is_used_again() -> None:
    async def work(runner: Runner) -> set[int]:
        return {await runner.call(call(steps.meet), {"of": 1}) for _ in range(5)}

    assert len(with_runner(work)) == 1


def test_an_idle_client_makes_room_for_others() -> None:
    async def work(runner: Runner) -> Any:
        await runner.call(call(steps.meet, client=Client("large", 200 * MIB)), {"of": 1})
        return await runner.call(Step("steps_for_tests:echo", memory="200M"), 5)

    assert with_runner(work, "384M") == 5


def test_a_client_that_can_not_fit_is_refused() -> None:
    (result,) = made(call(steps.meet, client=Client("huge", 900 * MIB)), [{"of": 1}])
    assert isinstance(result.error, CannotFit)
    assert "client of huge" in str(result.error)


def test_a_call_speaks_for_its_own_job() -> None:
    results = made(call(steps.speaks), [{"n": n, "scratch": None} for n in range(6)])
    assert all(result.unwrap() for result in results)


def test_a_call_is_no_stream() -> None:
    async def work(runner: Runner) -> Any:
        async def flow(job: Job) -> None:
            async for _ in job.stream(call(steps.meet), {"of": 1}):
                pass

        source = runner.home / "source"
        source.write_text("x")
        job_id = await runner.submit(Pipeline("p", flow), str(source))
        await runner.wait()
        return next(entry.error for entry in runner.entries if entry.id == job_id)

    assert isinstance(with_runner(work), UsageError)


# -- tries ------------------------------------------------------------------------------------------------------------


def test_what_fails_for_now_is_tried_again(tmp_path: Path) -> None:
    given = {"folder": str(tmp_path / "n"), "times": 3, "facts": {"wait_s": 0.01, "status": 503}}
    (result,) = made(call(steps.fails), [given])
    assert result.unwrap() == 4


def test_after_five_tries_it_has_failed(tmp_path: Path) -> None:
    given = {"folder": str(tmp_path / "n"), "times": 99, "facts": {"wait_s": 0.01, "status": 503}}
    (result,) = made(call(steps.fails), [given])
    assert isinstance(result.error, RemoteError)
    assert "5 times in a row" in str(result.error)
    assert result.error.facts["status"] == 503
    assert len(list((tmp_path / "n").iterdir())) == 5


def test_what_will_not_be_done_is_not_tried_again(tmp_path: Path) -> None:
    (result,) = made(call(steps.refuses), [{"folder": str(tmp_path / "n")}])
    assert isinstance(result.error, EngineError)
    assert len(list((tmp_path / "n").iterdir())) == 1


def test_quota_refusals_do_not_count_while_others_get_through(tmp_path: Path) -> None:
    """Eight refusals, where five tries would be the end."""
    refused = {"folder": str(tmp_path / "n"), "times": 8, "facts": {"wait_s": 0.05, "quota": True}}
    others = [{"of": 1, "n": n} for n in range(400)]
    client = Client("quota", 64 * MIB, at_once=2)

    async def work(runner: Runner) -> Any:
        going = asyncio.create_task(runner.call(call(steps.fails, client=client), refused))

        async def others_get_through() -> None:
            for given in others:
                await runner.call(call(steps.meet, client=client), given)
                if going.done():
                    return

        await asyncio.gather(going, others_get_through())
        return going.result()

    assert with_runner(work) == 9


def test_a_quota_that_lets_nothing_through_is_the_end(tmp_path: Path) -> None:
    given = {"folder": str(tmp_path / "n"), "times": 99, "facts": {"wait_s": 0.01, "quota": True}}
    (result,) = made(call(steps.fails), [given])
    assert isinstance(result.error, RemoteError)
    assert len(list((tmp_path / "n").iterdir())) == 5


def test_no_committed_call_is_made_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    given = {"folder": str(tmp_path / "n"), "times": 0, "facts": {}}
    for _ in range(2):
        (result,) = made(call(steps.fails), [given], home=home)
        assert result.unwrap() == 1


# -- the worker's end -------------------------------------------------------------------------------------------------


def test_when_the_worker_dies_its_calls_are_made_again(tmp_path: Path) -> None:
    async def work(runner: Runner) -> list[int]:
        meeting = [runner.call(call(steps.meet), {"of": 4}) for _ in range(3)]
        dying = runner.call(call(steps.dies), {"folder": str(tmp_path / "n"), "times": 2})
        waiting = asyncio.gather(*meeting, dying)
        await until(lambda: (tmp_path / "n").exists() and len(list((tmp_path / "n").iterdir())) == 3)
        last = await runner.call(call(steps.meet), {"of": 4})
        return [last, *await waiting]

    assert len(set(with_runner(work))) == 1


def test_a_worker_that_dies_each_time_fails_its_calls(tmp_path: Path) -> None:
    (result,) = made(call(steps.dies), [{"folder": str(tmp_path / "n"), "times": 99}])
    assert isinstance(result.error, WorkerDied)
    assert "code 9" in str(result.error)
    assert "5 times in a row" in str(result.error)


def test_a_client_that_is_larger_than_was_said_gets_more() -> None:
    (result,) = made(call(steps.hoards, client=Client("small", 48 * MIB)), [{"mib": 90}])
    assert result.unwrap() == 90 * MIB


def test_a_client_that_wants_more_than_the_budget_fails() -> None:
    (result,) = made(call(steps.hoards, client=Client("small", 48 * MIB)), [{"mib": 900}], "256M")
    assert isinstance(result.error, Overrun)


@pytest.mark.parametrize("whose", ["step", "run"])
def test_a_call_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    monkeypatch.setattr(calls, "BACKOFF_S", 0.01)
    store = tmp_path / "store"
    store.mkdir()
    given = {"name": "a", "store": str(store), "folder": str(tmp_path / "n"), "then": "wait"}

    async def work(runner: Runner) -> None:
        with pytest.raises(RemoteError, match="no answer in time"):
            await runner.call(call(steps.uploads, time_limit=0.2 if whose == "step" else None), given)

    with_runner(work, time_limit=0.2 if whose == "run" else None)
    assert list(store.iterdir()) == []


def test_a_step_and_calls_that_want_the_same_room_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "AGED_AFTER_S", 0.05)

    async def work(runner: Runner) -> None:
        room = runner.budget.bytes
        ask = call(steps.crowd, client=Client("shop", int(0.7 * room)))
        large = Step(steps.alone, memory=int(0.5 * room))
        await asyncio.gather(*(runner.call(ask, {}) for _ in range(60)), *(runner.call(large, n) for n in range(6)))

    with_runner(work)


# -- remote files -----------------------------------------------------------------------------------------------------


def upload(tmp_path: Path, name: str, then: str) -> dict[str, Any]:
    store = tmp_path / "store"
    store.mkdir(exist_ok=True)
    return {"name": name, "store": str(store), "folder": str(tmp_path / name), "then": then}


@pytest.mark.parametrize("then", ["end well", "die", "fail"])
def test_nothing_is_left_in_the_remote_store(tmp_path: Path, then: str) -> None:
    home = tmp_path / "home"
    made(call(steps.uploads), [upload(tmp_path, f"{then}-{n}", then) for n in range(3)], home=home)
    assert list((tmp_path / "store").iterdir()) == []
    assert journaled(home) == []


def test_what_can_not_be_removed_stays_written_down(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made(call(steps.uploads), [upload(tmp_path, "stubborn", "fail")], home=home)
    assert journaled(home) == ["stubborn"]


def test_a_cancelled_job_leaves_nothing(tmp_path: Path) -> None:
    async def work(runner: Runner) -> None:
        async def flow(job: Job) -> None:
            await job.run(call(steps.uploads), upload(tmp_path, "c", "wait"))

        source = tmp_path / "source"
        source.write_text("x")
        job_id = await runner.submit(Pipeline("p", flow), str(source))
        await until((tmp_path / "c" / "here").exists)
        await runner.cancel(job_id)
        await until(lambda: list((tmp_path / "store").iterdir()) == [])

    with_runner(work, home=tmp_path / "home")
    assert journaled(tmp_path / "home") == []


def test_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    async def work(runner: Runner) -> None:
        async def flow(job: Job) -> None:
            await job.run(call(steps.uploads), upload(tmp_path, "c", "wait"))

        source = tmp_path / "source"
        source.write_text("x")
        await runner.submit(Pipeline("p", flow), str(source))
        await until((tmp_path / "c" / "here").exists)
        await runner.stop()
        assert [entry.state for entry in runner.entries] == ["queued"]

    with_runner(work, home=tmp_path / "home")
    assert list((tmp_path / "store").iterdir()) == []
    assert journaled(tmp_path / "home") == []


def test_an_aborted_run_leaves_nothing(tmp_path: Path) -> None:
    async def work(runner: Runner) -> None:
        going = asyncio.create_task(runner.call(call(steps.uploads), upload(tmp_path, "c", "hang")))
        await until((tmp_path / "c" / "here").exists)
        going.cancel()
        await runner.abort()

    with_runner(work, home=tmp_path / "home")
    assert list((tmp_path / "store").iterdir()) == []
    assert journaled(tmp_path / "home") == []


KILLED = """
import asyncio, sys
sys.path[:0] = [sys.argv[3]]
import steps_of_calls as steps
from narrowboat import Runner, Step
from narrowboat.values import Client
async def main():
    async with Runner("512M", home=sys.argv[1]) as runner:
        given = {"name": "k", "store": sys.argv[2], "folder": sys.argv[2] + "-k", "then": "hang"}
        await runner.call(Step(steps.uploads, memory="1M", client=Client("shop", 64 << 20)), given)
asyncio.run(main())
"""


def test_the_next_start_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    home, store = tmp_path / "home", tmp_path / "store"
    store.mkdir()
    running = subprocess.Popen([sys.executable, "-c", KILLED, str(home), str(store), str(Path(__file__).parents[1])])
    try:
        asyncio.run(until((tmp_path / "store-k" / "here").exists))
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert [path.name for path in store.iterdir()] == ["k"]
    assert journaled(home) == ["k"]

    async def work(runner: Runner) -> None:
        await until(lambda: list(store.iterdir()) == [])

    with_runner(work, home=home)
    assert journaled(home) == []
