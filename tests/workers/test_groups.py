"""Slots: groups of workers in made-up v2 trees and, where there is one, in a real v1 group."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from narrowboat.memory.cgroups import Group, own_groups
from narrowboat.sizes import MIB
from narrowboat.workers.groups import LEFTOVER, Groups, Slot, own_name
from narrowboat.workers.leaf import Unavailable

# -- v2, made up ------------------------------------------------------------------------------------------------------


def slot_v2(folder: Path, **files: str) -> Slot:
    folder.mkdir()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return Slot(Group(folder, 2, "/a", top=False))


def test_a_v2_slot_has_a_hard_limit_no_swap_and_dies_as_one(tmp_path: Path) -> None:
    slot = slot_v2(tmp_path / "slot", memory_current="0")
    slot.fit(100 * MIB)
    read = {name: (slot.group.folder / name).read_text() for name in ("memory.max", "memory.swap.max")}
    assert read == {"memory.max": str(100 * MIB), "memory.swap.max": "0"}
    assert (slot.group.folder / "memory.oom.group").read_text() == "1"
    assert not (slot.group.folder / "memory.high").exists()


def test_a_v2_limit_is_not_set_below_what_is_in_use(tmp_path: Path) -> None:
    """The kernel would kill at once."""
    slot = slot_v2(tmp_path / "slot", memory_current=str(90 * MIB), memory_stat=f"anon {80 * MIB}\nshmem 0\n")
    slot.fit(100 * MIB)
    slot.fit(70 * MIB)
    assert slot.limit == 100 * MIB
    slot.fit(85 * MIB)  # the page cache beside it can go
    assert (slot.group.folder / "memory.max").read_text() == str(85 * MIB)


def test_a_v2_kill_is_told_apart_by_whose_limit_it_was_for(tmp_path: Path) -> None:
    slot = slot_v2(tmp_path / "slot", memory_events="oom 3\noom_kill 2\n")
    slot.fit(100 * MIB)
    events = slot.group.folder / "memory.events"
    events.write_text("oom 3\noom_kill 3\n")
    slot.count()
    assert (slot.own_kills, slot.outer_kills) == (0, 1)
    events.write_text("oom 4\noom_kill 5\n")
    slot.count()
    assert (slot.own_kills, slot.outer_kills) == (2, 1)


def test_without_any_group_the_reason_is_said() -> None:
    with pytest.raises(Unavailable, match="no memory cgroup is mounted"):
        Groups.open([])


# -- v1, real ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def groups() -> Groups:
    found = own_groups()
    if not found or found[0].version != 1:
        pytest.skip("needs a memory cgroup v1")
    try:
        made = Groups.open(found)
    except Unavailable as error:
        pytest.skip(str(error))
    return made


def folders() -> list[Path]:
    return sorted(own_groups()[0].folder.glob(own_name("*")))


def test_a_slot_is_used_again_and_all_are_removed_at_the_end(groups: Groups) -> None:
    first = groups.take(64 * MIB)
    second = groups.take(32 * MIB)
    assert first is not second
    assert first.group.limit() == 64 * MIB
    groups.give_back(first)
    again = groups.take(48 * MIB)
    assert again is first
    assert again.group.limit() == 48 * MIB
    groups.close()
    assert folders() == []


def test_a_slot_with_a_process_or_a_file_in_memory_left_is_not_free(groups: Groups) -> None:
    slot = groups.take(64 * MIB)
    left = Path("/dev/shm/narrowboat-test-left")
    code = f"import os, time; open({str(left)!r}, 'wb').write(bytes({8 * MIB})); print(flush=True); time.sleep(600)"
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(slot.door), sys.executable, "-c", code],
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert not slot.is_free()
        process.kill()
        process.wait()
        process.stdout.close()
        assert not slot.is_free()
        groups.give_back(slot)
        other = groups.take(32 * MIB)
        assert other is not slot
        left.unlink()
        assert slot.is_free()
    finally:
        process.kill()
        process.wait()
        left.unlink(missing_ok=True)
        groups.close()
    assert folders() == []


def test_a_kill_at_the_limit_is_counted_once(groups: Groups) -> None:
    slot = groups.take(32 * MIB)
    code = f"block = bytearray({200 * MIB})"
    enter = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(slot.door), sys.executable, "-c", code]
    assert subprocess.run(enter, check=False).returncode == -9
    slot.count()
    assert (slot.own_kills, slot.outer_kills) == (1, 0)
    slot.count()
    assert groups.own_kills() == 1
    groups.give_back(slot)
    groups.close()


def test_what_a_dead_supervisor_left_is_removed_and_what_a_living_one_has_is_not(groups: Groups) -> None:
    parent = own_groups()[0].folder
    dead = [parent / f"narrowboat-{os.getpid()}-1-0", parent / "narrowboat-999999999-5-supervisor"]
    foreign = parent / "narrowboat-of-somebody"
    for folder in (*dead, foreign):
        folder.mkdir()
    try:
        second = Groups.open(own_groups())
        assert [folder.exists() for folder in dead] == [False, False]
        assert foreign.exists()
        assert len(folders()) == 2
        second.close()
    finally:
        for folder in (*dead, foreign):
            if folder.exists():
                folder.rmdir()
        groups.close()


def test_a_slot_that_somebody_removed_is_made_again(groups: Groups) -> None:
    slot = groups.take(32 * MIB)
    groups.give_back(slot)
    slot.group.folder.rmdir()
    again = groups.take(32 * MIB)
    assert again.group.limit() == 32 * MIB
    groups.give_back(again)
    groups.close()
    assert folders() == []


def test_leftovers_of_kernel_memory_do_not_keep_a_slot() -> None:
    assert LEFTOVER < 8 * MIB  # what the test above leaves must count
