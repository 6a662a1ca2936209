"""Memory behind descriptors, and processes that end, as the guard reads them; with real processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from narrowboat.disk import file_system
from narrowboat.memory.nameless import NamelessFiles
from narrowboat.memory.processes import is_ending
from narrowboat.memory.trees import Tree

MIB = 1 << 20
SHM = Path("/dev/shm")

HOLD = """
import mmap, os, sys
file = os.memfd_create("held")
os.write(file, bytes(8 << 20))
mapped = mmap.mmap(file, 8 << 20) if "mapped" in sys.argv else None
if mapped is not None:
    mapped[::4096]
if "forked" in sys.argv and os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def grown() -> Callable[[], int]:
    """Bytes of our own nameless files, less those that the test runner has."""
    files = NamelessFiles(os.getpid())
    before = sum(files.read().values())
    return lambda: sum(files.read().values()) - before


def test_a_memfd_counts_as_it_grows_and_no_more_when_it_is_closed(grown: Callable[[], int]) -> None:
    descriptor = os.memfd_create("one")
    os.write(descriptor, bytes(3 * MIB))
    assert grown() == 3 * MIB
    os.write(descriptor, bytes(2 * MIB))
    assert grown() == 5 * MIB
    os.close(descriptor)
    assert grown() == 0


@pytest.mark.skipif(not os.access(SHM, os.W_OK), reason="needs a /dev/shm that may be written")
def test_a_file_in_memory_counts_from_when_it_has_lost_its_name(grown: Callable[[], int]) -> None:
    path = SHM / f"narrowboat-test-{os.getpid()}"
    with path.open("xb", buffering=0) as file:
        try:
            file.write(bytes(MIB))
            assert grown() == 0
        finally:
            path.unlink()
        assert grown() == MIB


def test_a_file_on_disk_counts_for_nothing(grown: Callable[[], int], tmp_path: Path) -> None:
    if file_system(tmp_path) == "tmpfs":
        pytest.skip("the temporary folder lies in memory")
    path = tmp_path / "file"
    with path.open("xb", buffering=0) as file:
        file.write(bytes(MIB))
        path.unlink()
        assert grown() == 0


@pytest.mark.parametrize("how", [[], ["mapped"], ["forked"], ["mapped", "forked"]])
def test_a_tree_counts_a_nameless_file_once(how: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        tree, plain = Tree(process.pid), 0
        try:
            used = tree.used()
            for pid in tree.members:
                fields = Path(f"/proc/{pid}/statm").read_text().split()
                plain += (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
        finally:
            tree.close()
            process.kill()
    behind = 8 * MIB * (2 if "mapped" in how and "forked" in how else 1)  # mapped twice: each counts its own
    assert plain + 8 * MIB - MIB < used < plain + behind + MIB


def test_a_living_process_is_not_at_its_end_and_a_zombie_gives_nothing_back() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    assert is_ending(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_ending(process.pid)
    process.wait()
    assert not is_ending(process.pid)
