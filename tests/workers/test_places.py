"""Workers in cgroups of their own: the limit follows the reservation, whatever attempt they are at. Needs a real v1."""

import asyncio
import mmap
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from test_workers import Yard

from narrowboat.memory.budget import GRACE
from narrowboat.memory.cgroups import own_groups
from narrowboat.sizes import MIB, format_size
from narrowboat.workers.groups import own_name
from narrowboat.workers.guard import Guard
from narrowboat.workers.means import Means, choose
from narrowboat.workers.start import Worker


@pytest.fixture
def means() -> Means:
    """Worker groups and nothing else, so that nothing else helps."""
    made = choose("auto", own_groups())
    if made.groups is None:
        pytest.skip(f"needs cgroups for workers: {made.absent['cgroup']}")
    made.polling = False
    return made


@asynccontextmanager
async def yard(tmp_path: Path, means: Means) -> AsyncGenerator[Yard]:
    made = Yard(tmp_path)
    made.guard = Guard(made.budget, lambda: made.server.pid, means)
    made.guard.start()
    try:
        yield made
    finally:
        await made.server.close()
        made.guard.stop()
        means.close()
        assert list(own_groups()[0].folder.glob(own_name("*"))) == []


def run(tmp_path: Path, means: Means, work: Callable[[Yard], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with yard(tmp_path, means) as made, asyncio.timeout(60):
            return await work(made)

    return asyncio.run(main())


def limit_for(reserved: int, worker: Worker) -> int:
    """What a group may be charged: not the pages that are charged to the fork server, in whole pages."""
    limit = reserved + GRACE - min(worker.watch.baseline, GRACE // 2)
    assert reserved + GRACE // 2 <= limit < reserved + GRACE - 4 * MIB  # an interpreter has more than that
    return -(-limit // mmap.PAGESIZE) * mmap.PAGESIZE


async def attempt(made: Yard, worker: Worker, name: str, given: Any) -> dict[str, Any] | None:
    frames = [frame async for frame in worker.attempt(made.call(name, given))]
    return frames[-1] if frames else None


def test_a_worker_is_in_its_group_before_it_runs_anything(tmp_path: Path, means: Means) -> None:
    async def work(made: Yard) -> None:
        worker = await made.start(100 * MIB)
        slot = worker.watch.slot
        assert slot is not None
        assert slot.group.pids() == [worker.pid]
        assert slot.group.limit() == limit_for(100 * MIB, worker)
        await worker.end()
        assert worker.watch.slot is None

    run(tmp_path, means, work)


def test_the_limit_follows_the_reservation_from_attempt_to_attempt(tmp_path: Path, means: Means) -> None:
    async def work(made: Yard) -> None:
        worker = await made.start(40 * MIB)
        slot = worker.watch.slot
        assert slot is not None
        assert (await attempt(made, worker, "echo", 1)) == {"op": "done", "result": 1}
        worker.hold(lambda: 300 * MIB)
        assert (await attempt(made, worker, "allocate", {"mib": 200})) == {"op": "done", "result": 200 * MIB}
        worker.hold(lambda: 50 * MIB)
        assert (await attempt(made, worker, "jumps", 200)) is None
        ending = await worker.ending("jumps", memory_error=False, kernel_kills=0)
        limit = limit_for(50 * MIB, worker)
        assert slot.limit == limit
        assert ending.outcome == "overrun"
        text = f"of 50.0 MiB reserved: its own memory limit of {format_size(limit)} stopped it"
        assert str(ending.error).endswith(text)
        assert ending.error is not None
        assert ending.error.facts["peak_bytes"] >= limit

    run(tmp_path, means, work)


def test_a_lent_core_brings_its_bytes_along(tmp_path: Path, means: Means) -> None:
    async def work(made: Yard) -> None:
        reserved = [40 * MIB]
        worker = await Worker.start(made.server, made.guard, lambda: reserved[0])
        slot = worker.watch.slot
        assert slot is not None
        reserved[0] = 90 * MIB
        worker.set_cores(2)
        assert slot.group.limit() == limit_for(90 * MIB, worker)
        await worker.end()

    run(tmp_path, means, work)


def test_a_child_that_the_kernel_killed_makes_what_the_step_raised_an_overrun(tmp_path: Path, means: Means) -> None:
    async def work(made: Yard) -> None:
        worker = await made.start(50 * MIB)
        answer = await attempt(made, worker, "jumps_in_a_child", 200)
        assert answer is not None
        assert answer["op"] == "error"
        assert worker.met_limit()
        worker.kill()
        ending = await worker.ending("it", memory_error=False, kernel_kills=0)
        assert ending.outcome == "overrun"

    run(tmp_path, means, work)


def test_kills_of_another_attempt_or_worker_in_the_same_group_do_not_count(tmp_path: Path, means: Means) -> None:
    async def work(made: Yard) -> None:
        first = await made.start(50 * MIB)
        slot = first.watch.slot
        await attempt(made, first, "jumps", 200)
        await first.bury()
        second = await made.start(50 * MIB)
        assert second.watch.slot is slot
        assert not second.met_limit()
        await attempt(made, second, "exits", 3)
        ending = await second.ending("exits", memory_error=False, kernel_kills=0)
        assert (ending.outcome, "exited with code 3" in str(ending.error)) == ("fault", True)

    run(tmp_path, means, work)


def test_who_is_killed_in_its_group_takes_all_that_is_in_there_along(tmp_path: Path, means: Means) -> None:
    async def work(made: Yard) -> None:
        worker = await made.start(100 * MIB)
        slot = worker.watch.slot
        assert slot is not None
        reading = asyncio.ensure_future(attempt(made, worker, "forks_many", {"processes": 5, "mib": 2}))
        async with asyncio.timeout(20):
            while len(slot.group.pids()) < 6:
                await asyncio.sleep(0.01)
            worker.kill()
            await reading
            await worker.bury()
            while slot.group.pids():
                await asyncio.sleep(0.01)

    run(tmp_path, means, work)


def test_a_group_that_can_not_be_entered_leaves_polling_to_guard(
    tmp_path: Path, means: Means, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(made: Yard) -> None:
        assert means.groups is not None
        slot = means.groups.take(MIB)
        slot.group.folder.rmdir()
        made.guard.places.take = lambda reserved: slot  # type: ignore[method-assign]
        worker = await made.start(50 * MIB)
        assert worker.watch.slot is None
        assert means.polling
        assert "cgroup" in means.absent
        await attempt(made, worker, "hog", None)
        ending = await worker.ending("hog", memory_error=False, kernel_kills=0)
        assert ending.outcome == "overrun"

    run(tmp_path, means, work)
    assert "polling guards it" in caplog.text
