"""Real workers: what they answer, how they end, and what is left of them."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from narrowboat.errors import WorkerDied
from narrowboat.memory.budget import GRACE, Budget
from narrowboat.memory.processes import start_ticks
from narrowboat.sizes import MIB
from narrowboat.workers.ending import Ending
from narrowboat.workers.guard import Guard
from narrowboat.workers.protocol import Call
from narrowboat.workers.server import ForkServer
from narrowboat.workers.start import Worker

Frames = list[dict[str, Any]]


class Yard:
    """A fork server and a guard, as the runner has them."""

    def __init__(self, tmp_path: Path, preload: tuple[str, ...] = ()) -> None:
        self.budget = Budget("4G")
        self.server = ForkServer(preload)
        self.guard = Guard(self.budget, lambda: self.server.pid)
        self.scratch = tmp_path

    async def start(self, reserved: int = 128 * MIB) -> Worker:
        return await Worker.start(self.server, self.guard, lambda: reserved)

    def call(self, name: str, given: Any, **more: Any) -> Call:
        path = [str(Path(__file__).parents[1])]
        return Call(f"steps_for_tests:{name}", given, str(self.scratch), path=path, **more)

    async def run(
        self, name: str, given: Any, *, reserved: int = 128 * MIB, **more: Any
    ) -> tuple[Frames, Ending | None]:
        """All frames of one attempt by a worker of its own; the ending when it died without an answer."""
        worker = await self.start(reserved)
        frames = [frame async for frame in worker.attempt(self.call(name, given, **more))]
        answer = frames[-1] if frames else {"op": None}
        memory_error = answer["op"] == "error" and answer["memory"]
        if answer["op"] in ("done", "stopped", "error") and not memory_error:
            await worker.end()
            return frames, None
        if memory_error:
            worker.kill()
        return frames, await worker.ending(name, memory_error=memory_error, kernel_kills=0)


@asynccontextmanager
async def yard(tmp_path: Path, preload: tuple[str, ...] = ()) -> AsyncGenerator[Yard]:
    made = Yard(tmp_path, preload)
    made.guard.start()
    try:
        yield made
    finally:
        await made.server.close()
        made.guard.stop()


def run(tmp_path: Path, work: Callable[[Yard], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with yard(tmp_path) as made, asyncio.timeout(60):
            return await work(made)

    return asyncio.run(main())


def attempt(tmp_path: Path, name: str, given: Any, **more: Any) -> tuple[Frames, Ending | None]:
    return run(tmp_path, lambda made: made.run(name, given, **more))


def gone(pid: int) -> bool:
    """True when the process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_result_comes_back(tmp_path: Path) -> None:
    frames, ending = attempt(tmp_path, "echo", {"a": [1, None, "ü\udcff"]})
    assert frames == [{"op": "done", "result": {"a": [1, None, "ü\udcff"]}}]
    assert ending is None


def test_items_and_progress_come_in_order(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "count", {"n": 3})
    assert [frame["op"] for frame in frames] == ["progress", "item"] * 3 + ["done"]
    assert [frame["seq"] for frame in frames if frame["op"] == "item"] == [0, 1, 2]
    assert frames[1] == {"op": "item", "seq": 0, "cursor": 1, "value": {"number": 0, "square": 0}}


def test_a_stream_goes_on_from_its_cursor(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "count", {"n": 5}, cursor=3, sequence=3)
    assert [frame["value"]["number"] for frame in frames if frame["op"] == "item"] == [3, 4]


def test_a_generator_without_cursor_passes_over_what_was_committed(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "count_without_cursor", 4, cursor=2, sequence=2)
    assert [(frame["seq"], frame["value"]) for frame in frames if frame["op"] == "item"] == [(2, 2), (3, 3)]


def test_a_worker_has_its_own_session_and_is_the_kernels_first_choice(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "facts", None)
    found = frames[0]["result"]
    assert found["pid"] == found["session"] == found["group"]
    assert found["oom_score_adj"] == 1000
    assert found["stdin"] == ""
    assert found["threads"] == "1"
    assert "asyncio" not in found["modules"]
    assert "rich" not in found["modules"]


def test_one_worker_serves_several_attempts_with_peaks_of_their_own(tmp_path: Path) -> None:
    async def work(made: Yard) -> tuple[list[int], set[int]]:
        worker = await made.start(512 * MIB)
        peaks, pids = [], set()
        for mib in (200, 20):
            frames = [f async for f in worker.attempt(made.call("allocate", {"mib": mib, "hold": 0.2}))]
            assert frames[-1]["result"] == mib * MIB
            peaks.append(worker.watch.peak)
            pids.add(worker.pid)
        await worker.end()
        return peaks, pids

    peaks, pids = run(tmp_path, work)
    assert len(pids) == 1
    assert peaks[0] > 200 * MIB
    assert peaks[1] < 120 * MIB


def test_random_numbers_differ_between_workers(tmp_path: Path) -> None:
    async def work(made: Yard) -> set[float]:
        return {(await made.run("facts", None))[0][0]["result"]["random"] for _ in range(3)}

    assert len(run(tmp_path, work)) == 3


def test_noise_on_every_stream_breaks_nothing(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "noisy", 2000)
    assert frames == [{"op": "done", "result": 2000}]


def test_frames_from_many_threads_stay_whole(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "in_threads", 8)
    assert [frame["op"] for frame in frames] == ["progress"] * 400 + ["done"]


def test_what_a_step_raises_is_told_with_the_end_of_its_traceback(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "raises", "out of cheese")
    error = frames[-1]["error"]
    assert error["code"] == "step_failed"
    assert error["message"] == "steps_for_tests:raises raised ValueError: out of cheese"
    assert "raise ValueError(message)" in error["facts"]["traceback"]


def test_our_own_errors_keep_their_kind(tmp_path: Path) -> None:
    frames, _ = attempt(tmp_path, "refuses", "no such thing")
    expected = {"code": "source", "message": "no such thing", "hint": "another hint", "facts": {"size": 3}}
    assert frames[-1]["error"] == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [("not_json", "not JSON"), ("too_large", "write bulk to a file")],
)
def test_results_that_are_no_small_json_are_refused(tmp_path: Path, name: str, words: str) -> None:
    frames, _ = attempt(tmp_path, name, None)
    assert words in f"{frames[-1]['error']['message']} {frames[-1]['error']['hint']}"


@pytest.mark.parametrize("name", ["nothing_of_that_name", "Holder.nothing"])
def test_a_step_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    frames, _ = attempt(tmp_path, name, None)
    assert frames[-1]["error"]["code"] == "usage"
    assert name in frames[-1]["error"]["message"]


def test_a_static_method_is_a_step(tmp_path: Path) -> None:
    assert attempt(tmp_path, "Holder.method", 7)[0][-1]["result"] == 7


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("exits", 0, "exited with code 0 and gave no result; its last words: these are my last words"),
        ("exits", 3, "exited with code 3"),
        ("dies", int(signal.SIGABRT), "crashed with SIGABRT"),
        ("null_pointer", None, "crashed with SIGSEGV"),
        ("dies", int(signal.SIGKILL), "was killed (SIGKILL) by somebody else"),
    ],
)
def test_a_death_without_a_result_says_what_is_known(tmp_path: Path, name: str, given: Any, words: str) -> None:
    _, ending = attempt(tmp_path, name, given)
    assert ending is not None
    assert ending.outcome == ("killed" if given == signal.SIGKILL else "fault")
    assert words in str(ending.error)


def test_a_refused_allocation_is_an_overrun(tmp_path: Path) -> None:
    _, ending = attempt(tmp_path, "no_memory", None)
    assert ending is not None
    assert (ending.outcome, "MemoryError" in str(ending.error)) == ("overrun", True)


@pytest.mark.parametrize("name", ["hog", "hog_in_a_child"])
def test_who_takes_more_than_reserved_is_stopped_within_the_grace(tmp_path: Path, name: str) -> None:
    reserved = 60 * MIB
    _, ending = attempt(tmp_path, name, None, reserved=reserved)
    assert ending is not None
    assert ending.outcome == "overrun"
    assert ending.error is not None
    peak = ending.error.facts["peak_bytes"]
    assert reserved + GRACE < peak < reserved + 2 * GRACE
    assert ending.error.facts["reserved_bytes"] == reserved


def test_stop_takes_effect_at_the_next_item(tmp_path: Path) -> None:
    async def work(made: Yard) -> Frames:
        worker = await made.start()
        frames = []
        async for frame in worker.attempt(made.call("count", {"n": 1000, "pause": 0.01})):
            frames.append(frame)
            if frame["op"] == "item" and frame["seq"] == 2:
                worker.stop()
        await worker.end()
        return frames

    frames = run(tmp_path, work)
    assert frames[-1] == {"op": "stopped"}
    assert 3 <= sum(frame["op"] == "item" for frame in frames) < 100


def test_a_step_hears_of_more_and_fewer_cores(tmp_path: Path) -> None:
    async def work(made: Yard) -> Frames:
        worker = await made.start()
        frames = []
        answers = {1: 4, 4: 2}
        async for frame in worker.attempt(made.call("uses_cores", {"until": 2}, cores=1, most_cores=4)):
            if frame["op"] == "progress" and frame["cores"] in answers:
                worker.set_cores(answers[frame["cores"]])
            elif frame["op"] == "item":
                frames.append(frame)
        await worker.end()
        return frames

    assert run(tmp_path, work)[0]["value"] == {"seen": [1, 4, 2], "most": 4}


def test_nothing_outlives_a_worker_that_is_done(tmp_path: Path) -> None:
    async def work(made: Yard) -> list[int]:
        frames, _ = await made.run("leaves_children", {"pids": str(tmp_path / "pids")})
        pids: list[int] = frames[-1]["result"]
        await until(lambda: all(map(gone, pids)))
        return pids

    assert len(run(tmp_path, work)) == 3


def test_nothing_outlives_a_worker_that_is_killed(tmp_path: Path) -> None:
    async def work(made: Yard) -> None:
        worker = await made.start()
        frames = worker.attempt(made.call("leaves_children", {"pids": str(tmp_path / "pids"), "hold": 600}))
        reading = asyncio.ensure_future(anext(frames))
        await until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text() != "")
        pids = list(map(int, (tmp_path / "pids").read_text().split()))
        worker.kill()
        with pytest.raises(StopAsyncIteration):
            await reading
        await worker.bury()
        await until(lambda: all(map(gone, pids)))

    run(tmp_path, work)


def test_when_the_fork_server_is_killed_its_workers_go_and_the_next_worker_starts_another(tmp_path: Path) -> None:
    async def work(made: Yard) -> None:
        worker = await made.start()
        frames = worker.attempt(made.call("sleeps", 600))
        reading = asyncio.ensure_future(anext(frames))
        first = made.server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        with pytest.raises(StopAsyncIteration):
            await reading
        ending = await worker.ending("sleeps", memory_error=False, kernel_kills=0)
        assert (ending.outcome, "fork server" in str(ending.error)) == ("killed", True)
        await until(lambda: gone(worker.pid))
        assert (await made.run("echo", 1))[0][-1]["result"] == 1
        assert made.server.pid != first

    run(tmp_path, work)


def test_a_fork_server_that_owes_an_answer_for_too_long_is_replaced(tmp_path: Path) -> None:
    async def work(made: Yard) -> None:
        assert (await made.run("echo", 1))[0][-1]["result"] == 1
        first = made.server.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        made.server.look(1000)  # it owes nothing yet
        starting = asyncio.ensure_future(made.start())
        await asyncio.sleep(0)
        made.server.look(1000)
        with pytest.raises(WorkerDied):
            await starting
        await until(lambda: gone(first))
        assert (await made.run("echo", 2))[0][-1]["result"] == 2

    run(tmp_path, work)


def test_a_worker_is_known_by_pid_and_start_time(tmp_path: Path) -> None:
    async def work(made: Yard) -> None:
        worker = await made.start()
        assert worker.ticks == start_ticks(worker.pid) is not None
        began = time.monotonic()
        await worker.end()
        assert gone(worker.pid)
        assert time.monotonic() - began < 10

    run(tmp_path, work)


def test_preloaded_modules_are_there_from_the_start(tmp_path: Path) -> None:
    async def main() -> list[str]:
        async with yard(tmp_path, ("wave", "no_such_module_at_all")) as made:
            frames, _ = await made.run("facts", None)
            modules: list[str] = frames[0]["result"]["modules"]
            return modules

    assert "wave" in asyncio.run(main())
