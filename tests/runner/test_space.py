"""Room in scratch: given once, refused with numbers, and who takes it unasked."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from narrowboat import disk
from narrowboat.errors import DiskFull
from narrowboat.runner.space import SLACK, Disk, Space
from narrowboat.sizes import MIB

HOME = Path("/nowhere/scratch")


class FakeDisk(Disk):
    """A disk of a size; files are what they were extended to, where that is possible, and what is written."""

    def __init__(self, size: int, floor: int = 0, extends: bool = True) -> None:
        self.size, self.least, self.extends = size, floor, extends
        self.files: dict[Path, int] = {}

    def free(self, path: Path) -> int:
        return self.size - sum(self.files.values())

    def floor(self, path: Path) -> int:
        return self.least

    def used(self, path: Path) -> int:
        return sum(size for file, size in self.files.items() if file.is_relative_to(path))

    def extend(self, path: Path, size: int) -> None:
        if self.extends:
            if size - self.used(path) > self.free(path):
                raise OSError(errno.ENOSPC, "full")
            self.files[path] = size


def ask(space: Space, file: str, size: int) -> None:
    asyncio.run(space.make_room(HOME / file, size, file))


@pytest.mark.parametrize("extends", [True, False])
def test_two_never_get_the_same_room(extends: bool) -> None:
    space = Space(HOME, readings=FakeDisk(1000 * MIB, floor=64 * MIB, extends=extends))
    ask(space, "a/source", 600 * MIB)
    with pytest.raises(DiskFull, match=r"b/source needs 400 MiB in /nowhere/scratch/b.*64.0 MiB stay free") as told:
        ask(space, "b/source", 400 * MIB)
    facts = told.value.facts
    assert facts["needed_bytes"] == 400 * MIB
    assert facts["free_bytes"] - facts["promised_bytes"] == 400 * MIB
    ask(space, "b/source", 300 * MIB)


@pytest.mark.parametrize("extends", [True, False])
def test_room_comes_back_when_the_job_has_ended(extends: bool) -> None:
    readings = FakeDisk(100 * MIB, extends=extends)
    space = Space(HOME, readings=readings)
    ask(space, "a/source", 90 * MIB)
    readings.files.clear()
    space.forget(HOME / "a")
    ask(space, "b/source", 90 * MIB)


def test_asking_again_for_the_same_file_asks_for_the_rest_only() -> None:
    readings = FakeDisk(100 * MIB, extends=False)
    space = Space(HOME, readings=readings)
    for done in (0, 30, 60, 90):
        readings.files[HOME / "a/source"] = done * MIB
        ask(space, "a/source", 95 * MIB)
    assert space.promised() == 5 * MIB
    readings.files[Path("/nowhere/foreign")] = 8 * MIB  # somebody else has taken what was promised
    with pytest.raises(DiskFull, match=r"needs 5.0 MiB.*2.0 MiB are free"):
        ask(space, "a/source", 95 * MIB)


def test_what_the_disk_does_not_have_after_all_is_not_kept_promised() -> None:
    class Lying(FakeDisk):
        def extend(self, path: Path, size: int) -> None:
            raise OSError(errno.ENOSPC, "full")

    space = Space(HOME, readings=Lying(100 * MIB))
    with pytest.raises(DiskFull):
        ask(space, "a/source", 50 * MIB)
    assert space.promised() == 0


class FakeMemory:
    """A budget that is charged what scratch has, and ``held`` by others for so many looks."""

    def __init__(self, size: int, readings: Disk, held: int = 0, looks: int = 0) -> None:
        self.size, self.readings, self.held, self.looks = size, readings, held, looks

    def free(self) -> int:
        self.looks -= 1
        if not self.size:
            return -1
        return self.size - self.readings.used(HOME) - (self.held if self.looks >= 0 else 0)

    def whole(self) -> int:
        return self.size - self.readings.used(HOME)


@pytest.mark.parametrize("extends", [True, False])
def test_in_memory_room_comes_out_of_the_budget(extends: bool) -> None:
    readings = FakeDisk(1000 * MIB, extends=extends)
    space = Space(HOME, FakeMemory(300 * MIB, readings), readings, patience_s=0)
    ask(space, "a/source", 200 * MIB)
    with pytest.raises(DiskFull, match=r"lies in memory: 100 MiB of the budget are free .*--home on a disk"):
        ask(space, "b/source", 150 * MIB)
    ask(space, "b/source", 100 * MIB)
    ask(space, "a/source", 200 * MIB)  # nothing more than before


def test_memory_that_others_hold_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("narrowboat.runner.space._LOOK_S", 0.01)
    readings = FakeDisk(1000 * MIB)
    ask(Space(HOME, FakeMemory(300 * MIB, readings, held=200 * MIB, looks=3), readings), "a/source", 200 * MIB)
    for_good = FakeMemory(300 * MIB, readings, held=200 * MIB, looks=1000)
    with pytest.raises(DiskFull, match="lies in memory"):
        ask(Space(HOME, for_good, readings, patience_s=0.05), "b/source", 90 * MIB)
    assert for_good.looks > 900
    with pytest.raises(DiskFull, match="lies in memory"):  # never, so at once
        ask(Space(HOME, for_good, readings), "b/source", 400 * MIB)
    with pytest.raises(DiskFull, match="lies in memory"):  # what it holds itself does not become free
        asyncio.run(Space(HOME, for_good, readings).make_room(HOME / "b/source", 90 * MIB, "it", held=30 * MIB))


def test_who_grows_unasked_on_a_full_disk_is_found_and_nobody_else(tmp_path: Path) -> None:
    readings = FakeDisk(1000 * MIB, floor=64 * MIB)
    space = Space(tmp_path, readings=readings)
    for name in ("greedy", "modest", "asked"):
        (tmp_path / name).mkdir()
        readings.files[tmp_path / name / "part"] = 100 * MIB
    assert space.takers() == {}
    readings.files[tmp_path.parent / "foreign"] = 650 * MIB  # below the floor, by somebody else
    assert space.takers() == {}
    readings.files[tmp_path / "modest/part"] += SLACK
    readings.files[tmp_path / "greedy/part"] += SLACK + 1
    found = space.takers()
    assert list(found) == [tmp_path / "greedy"]
    assert "the disk is full: the files in" in str(found[tmp_path / "greedy"])
    assert found[tmp_path / "greedy"].facts["used_bytes"] == 100 * MIB + SLACK + 1
    readings.files[tmp_path.parent / "foreign"] = 0
    assert space.takers() == {}
    readings.files[tmp_path / "greedy/part"] += 50 * MIB  # there is room again
    assert space.takers() == {}


def test_who_grows_unasked_in_memory_is_found_at_the_first_look(tmp_path: Path) -> None:
    readings = FakeDisk(1000 * MIB)
    memory = FakeMemory(300 * MIB, readings)
    space = Space(tmp_path, memory, readings)
    for name in ("greedy", "modest"):
        (tmp_path / name).mkdir()
        readings.files[tmp_path / name / "part"] = 100 * MIB
    assert space.takers() == {}
    memory.size = 0  # nothing is free, and nobody has grown
    assert space.takers() == {}
    readings.files[tmp_path / "modest/part"] += SLACK
    readings.files[tmp_path / "greedy/part"] += SLACK + 1
    found = space.takers()
    assert list(found) == [tmp_path / "greedy"]
    assert "memory is full: the files in" in str(found[tmp_path / "greedy"])


def test_a_real_file_gets_real_blocks_and_keeps_its_length(tmp_path: Path) -> None:
    space = Space(tmp_path)
    file = tmp_path / "job" / "source.part"
    file.parent.mkdir()
    file.write_bytes(b"begun")
    asyncio.run(space.make_room(file, 3 * MIB, "it"))
    assert (file.stat().st_size, file.read_bytes()) == (5, b"begun")
    assert disk.used_bytes(file) + space.promised() >= 3 * MIB


def test_a_finished_part_that_is_renamed_takes_its_room_along(tmp_path: Path) -> None:
    space = Space(tmp_path)
    part = tmp_path / "job" / "source.part"
    part.parent.mkdir()
    asyncio.run(space.make_room(part, 3 * MIB, "it"))
    part.write_bytes(bytes(2 * MIB))
    left = space.promised()  # of the third, where the file system gives no blocks in advance
    part.rename(part.with_name("source.mp3"))
    assert (space.promised(), space.held(part.parent)) == (left, disk.used_bytes(part.parent) + left)
    space.settle(part.parent)
    assert space.promised() == 0


def test_what_a_file_was_given_is_over_with_it(tmp_path: Path) -> None:
    space = Space(tmp_path)
    for number in range(3):
        part = tmp_path / "job" / f"{number}.part"
        part.parent.mkdir(exist_ok=True)
        asyncio.run(space.make_room(part, MIB, "it"))
        part.unlink()
    assert space.promised() == 0
    asyncio.run(space.make_room(part, MIB, "it"))
    part.rename(tmp_path / "elsewhere")
    assert space.promised() == 0


def test_a_renamed_file_has_not_grown_unasked(tmp_path: Path) -> None:
    class Full(Disk):
        def free(self, path: Path) -> int:
            return 1 if full else super().free(path)

        def floor(self, path: Path) -> int:
            return 2

    full = False
    space = Space(tmp_path, readings=Full())
    part = tmp_path / "job" / "source.part"
    part.parent.mkdir()
    asyncio.run(space.make_room(part, 2 * SLACK, "it"))
    part.write_bytes(bytes(2 * SLACK))
    full = True
    assert space.takers() == {}
    part.rename(part.with_name("source.mp3"))
    assert space.takers() == {}


def test_outside_of_scratch_only_the_disk_is_looked_at(tmp_path: Path) -> None:
    space = Space(tmp_path / "scratch")
    with pytest.raises(DiskFull, match="needs 1048576 TiB"):
        asyncio.run(space.make_room(tmp_path / "elsewhere", 1 << 60, "it"))
    assert space.promised() == 0
