"""Waiting for room in scratch: every job that fits on the disk by itself is done in the end, whoever else wants some.

Jobs are simulated on a disk that is simulated; ``tests/faults/test_full_disk.py`` has real ones.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowboat.errors import DiskFull, Interrupted
from narrowboat.runner.shortage import Shortage
from narrowboat.runner.space import Disk, Space
from narrowboat.runner.stop import Stop

ROOT = Path("/nowhere/scratch")
SIZE = 100


class Numbers(Disk):
    """A disk that is a table of numbers."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.files: dict[Path, int] = {}

    def free(self, path: Path) -> int:
        return self.size - sum(list(self.files.values()))

    def floor(self, path: Path) -> int:
        return 0

    def used(self, path: Path) -> int:
        return sum(size for file, size in list(self.files.items()) if file.is_relative_to(path))

    def extend(self, path: Path, size: int) -> None:
        self.files[path] = size


class Hurried(Stop):
    """Naps are short here."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)


@dataclass
class Yard:
    """Jobs at work: each lets its file grow step by step, and its scratch is emptied when it ends."""

    disk: Numbers = field(default_factory=Numbers)
    running: dict[str, None] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    waited: list[str] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop = Hurried()
        self.space = Space(ROOT, readings=self.disk)
        self.shortage = Shortage(ROOT, self.space, running=self.running.keys, give_up=self.gives_up, stop=self.stop)

    def gives_up(self, name: str) -> None:
        self.gave_up.append(name)
        self.empty(name)

    def empty(self, name: str) -> None:
        self.disk.files.pop(ROOT / name / "source", None)
        self.space.forget(ROOT / name)

    async def job(self, name: str, sizes: list[int]) -> None:
        self.running[name] = None
        try:
            while True:
                try:
                    for size in sizes:
                        await self.space.make_room(ROOT / name / "source", size, name)
                        await asyncio.sleep(0)
                    self.ended[name] = "done"
                    return
                except DiskFull as error:
                    if not await self.shortage.over(name, error, lambda: self.waited.append(name)):
                        self.ended[name] = "disk_full"
                        return
        finally:
            self.empty(name)
            del self.running[name]
            self.shortage.forget(name)

    def run(self, jobs: dict[str, list[int]]) -> dict[str, str]:
        async def main() -> None:
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                for name, sizes in jobs.items():
                    group.create_task(self.job(name, sizes))

        asyncio.run(main())
        assert not self.shortage.there
        assert self.disk.free(ROOT) == self.disk.size
        return self.ended


def test_who_finds_no_room_waits_for_what_another_one_gives_back() -> None:
    yard = Yard()
    assert yard.run({"a": [60], "b": [60]}) == {"a": "done", "b": "done"}
    assert yard.waited == ["b"]
    assert yard.gave_up == []


def test_of_two_that_wait_for_each_other_the_last_gives_up_and_does_it_again() -> None:
    yard = Yard()
    assert yard.run({"a": [50, 60], "b": [50, 60]}) == {"a": "done", "b": "done"}
    assert len(yard.gave_up) == 1
    assert yard.gave_up[0] == yard.waited[-1]


def test_what_is_more_than_the_disk_fails_at_once() -> None:
    yard = Yard()
    assert yard.run({"a": [60], "large": [101], "b": [60]}) == {"a": "done", "large": "disk_full", "b": "done"}
    assert "large" not in yard.waited


def test_what_lies_elsewhere_is_not_waited_for() -> None:
    yard = Yard()
    yard.running["other"] = None
    yard.disk.files[ROOT / "other" / "source"] = 50

    async def over(error: DiskFull) -> bool:
        return await yard.shortage.over("a", error, lambda: None)

    elsewhere = DiskFull("an output", path="/elsewhere/a.txt", needed_bytes=60)
    assert asyncio.run(over(elsewhere)) is False
    assert asyncio.run(over(DiskFull("unasked", path=str(ROOT / "a" / "notes")))) is False


def test_room_that_is_only_told_of_is_not_tried_for_ever() -> None:
    class Liar(Numbers):
        def extend(self, path: Path, size: int) -> None:
            raise OSError(28, "No space left on device")

    yard = Yard(Liar())
    assert yard.run({"a": [10]}) == {"a": "disk_full"}


def test_who_waits_hears_that_the_run_ends() -> None:
    yard = Yard()
    yard.running["other"] = None
    yard.disk.files[ROOT / "other" / "source"] = 50
    error = DiskFull("a", path=str(ROOT / "a" / "source"), needed_bytes=60)

    async def main() -> None:
        waiting = asyncio.create_task(yard.shortage.over("a", error, lambda: yard.waited.append("a")))
        while not yard.waited:
            await asyncio.sleep(0)
        assert yard.shortage.there
        yard.stop.ask()
        with pytest.raises(Interrupted):
            await waiting

    asyncio.run(main())
    assert not yard.shortage.there


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, SIZE + 20), min_size=1, max_size=5), min_size=1, max_size=7),
)
def test_all_that_fit_by_themselves_are_done(sizes: list[list[int]]) -> None:
    jobs = {f"job {number}": sorted(grown) for number, grown in enumerate(sizes)}
    ended = Yard().run(jobs)
    assert ended == {name: "done" if grown[-1] <= SIZE else "disk_full" for name, grown in jobs.items()}
