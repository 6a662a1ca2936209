"""``kill -9`` of a supervisor: what is left at once, and what the next one makes of it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import steps_for_tests as steps
from boxes import beside, with_tests

from narrowboat import Runner, Step
from narrowboat.journal.journal import Journal
from narrowboat.memory.processes import tree

SUPERVISOR = """
import asyncio, json, sys
import steps_for_tests as steps
from narrowboat import Runner, Step

async def main():
    home, function, given = sys.argv[1:]
    async with Runner("512M", home=home) as runner:
        async for result in runner.map(Step(getattr(steps, function), memory="40M"), [json.loads(given)]):
            print(result.ok, result.error, flush=True)

asyncio.run(main())
"""


@contextmanager
def start(home: Path, function: str, given: Any) -> "Iterator[subprocess.Popen[str]]":
    where = {"PYTHONPATH": with_tests()}
    command = [sys.executable, "-c", SUPERVISOR, str(home), function, json.dumps(given)]
    with subprocess.Popen(command, env={**os.environ, **where}) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.kill()


def wait_for(condition: Any, seconds: float) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come true in time"
        time.sleep(0.01)
    return time.monotonic() - began


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def ended(pids: list[int]) -> bool:
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "gone"

    return all(state(pid) in ("gone", "Z", "X") for pid in pids)


def finish(home: Path, function: Any, given: Any) -> tuple[list[Any], Any, list[Any]]:
    async def main() -> tuple[list[Any], Any, list[Any]]:
        async with Runner(beside("512M"), home=home) as runner:
            async for result in runner.map(Step(function, memory="40M"), [given]):
                assert result.error is None
                items = [item async for item in result.items()]
                return items, await runner.journal.job(result.job_id), await runner.journal.attempts(result.job_id)
        raise AssertionError("there was no result")

    return asyncio.run(main())


def test_nothing_is_left_within_two_seconds_and_no_committed_item_is_computed_again(tmp_path: Path) -> None:
    home, mark = tmp_path / "home", tmp_path / "mark"
    given = {"n": 60, "pause": 0.05, "mark": str(mark)}
    with start(home, "count", given) as supervisor:
        wait_for(lambda: len(lines(mark)) >= 25, 30)
        below = tree(supervisor.pid)[1:]
        assert len(below) >= 2  # fork server and worker
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
        assert wait_for(lambda: ended(below), 2) < 2
    before = len(lines(mark))
    items, job, attempts = finish(home, steps.count, given)
    assert [item["number"] for item in items] == list(range(60))
    assert [attempt.outcome for attempt in attempts] == ["interrupted", "done"]
    again = lines(mark)[before:]
    # At most a second of items was in flight when it was killed: 20 of them, and what the machine was late.
    assert before - int(again[0]) <= 30
    assert again == [str(number) for number in range(int(again[0]), 60)]
    assert job.supervisor_deaths == 0
    assert not list(home.glob("scratch/*"))


def test_grandchildren_go_with_the_supervisor(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with start(tmp_path / "home", "leaves_children", {"pids": str(pids), "hold": 600}) as supervisor:
        wait_for(lambda: lines(pids), 30)
        below = [*tree(supervisor.pid)[1:], *map(int, pids.read_text().split())]
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
        wait_for(lambda: ended(below), 2)


def test_when_all_are_killed_the_next_start_cleans_up(tmp_path: Path) -> None:
    home, mark = tmp_path / "home", tmp_path / "mark"
    given = {"n": 1000, "pause": 0.01, "mark": str(mark), "scratch": True}
    with start(home, "count", given) as supervisor:
        wait_for(lambda: len(lines(mark)) >= 100, 30)
        below = tree(supervisor.pid)[1:]
        for pid in (supervisor.pid, *below):
            with suppress(ProcessLookupError):  # the fork server is quick to end what was its own
                os.kill(pid, signal.SIGKILL)
        supervisor.wait()
    assert list(home.glob("scratch/*"))

    async def tidy() -> tuple[str, int]:
        async with Runner(beside("512M"), home=home) as runner:
            (job,) = await runner.journal.jobs()
            await runner.cancel(job.id)
            return (await runner.journal.job(job.id)).state, job.supervisor_deaths

    assert asyncio.run(tidy()) == ("cancelled", 1)
    assert not list(home.glob("scratch/*"))


def test_a_second_supervisor_is_refused_and_told_who_holds_the_home(tmp_path: Path) -> None:
    home, mark = tmp_path / "home", tmp_path / "mark"
    with start(home, "count", {"n": 1000, "pause": 0.01, "mark": str(mark)}) as first:
        wait_for(lambda: lines(mark), 30)
        second = subprocess.run(
            [sys.executable, "-c", SUPERVISOR, str(home), "echo", "1"],
            env={**os.environ, "PYTHONPATH": with_tests()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode != 0
        assert "HomeHeld" in second.stderr
        assert str(first.pid) in second.stderr


def test_five_deaths_in_a_row_make_the_job_run_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    given = {"n": 3, "pause": 600}
    for _ in range(5):
        with start(home, "count", given) as supervisor:

            def has_started() -> bool:
                return any(len(tree(pid)) > 1 for pid in tree(supervisor.pid)[1:2])

            wait_for(has_started, 30)
            wait_for(lambda: asyncio.run(open_attempt(home)), 30)
            supervisor.send_signal(signal.SIGKILL)
            supervisor.wait()

    async def look() -> tuple[int, int, int]:
        async with Runner(beside("512M"), home=home) as runner:
            (job,) = await runner.journal.jobs()
            task = asyncio.ensure_future(anext(runner.map(Step(steps.count, memory="40M"), [given])))
            while not runner.status().jobs or runner.status().jobs[0].used_bytes == 0:
                await asyncio.sleep(0.01)
            reserved, budget = runner.status().jobs[0].reserved_bytes, runner.budget.bytes
            await runner.abort()
            await asyncio.gather(task, return_exceptions=True)
            return job.supervisor_deaths, reserved, budget

    deaths, reserved, budget = asyncio.run(look())
    assert deaths == 5
    assert reserved > 0.9 * budget


async def open_attempt(home: Path) -> bool:
    """True when the journal knows of a running attempt."""
    journal = Journal.read_only(home)
    try:
        jobs = await journal.jobs()
        attempts = [attempt for job in jobs for attempt in await journal.attempts(job.id)]
        return any(attempt.outcome is None for attempt in attempts)
    finally:
        await journal.close()
