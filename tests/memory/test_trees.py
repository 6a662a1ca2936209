"""What a tree of real processes uses, as the guard reads it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from narrowboat.memory import trees
from narrowboat.memory.processes import tree_used
from narrowboat.memory.trees import Process, Tree
from narrowboat.sizes import MIB

#: Takes a line "what mib" and says when it is done.
CODE = """
import ctypes, mmap, os, subprocess, sys, threading
kept = []
def fill(mib, flags):
    block = mmap.mmap(-1, mib << 20, flags=flags)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(block)), 1, mib << 20)
    kept.append(block)
def child(mib):
    code = f"b = bytearray({mib} << 20); b[::4096] = bytes(len(b[::4096])); print(flush=True); input()"
    kept.append(subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    kept[-1].stdout.readline()
print(flush=True)
for line in sys.stdin:
    what, mib = line.split()
    if what == "anon": fill(int(mib), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if what == "shared": fill(int(mib), mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    if what == "thread":
        threads = [threading.Thread(target=child, args=(int(mib),)) for _ in range(2)]
        [thread.start() for thread in threads]; [thread.join() for thread in threads]
    if what == "kill": kept[-1].kill()
    print(flush=True)
"""


class Grower:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def does(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@contextmanager
def grower() -> Iterator[Grower]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Grower(process)
        finally:
            process.kill()


def test_every_kind_of_memory_is_seen_at_the_next_reading() -> None:
    with grower() as grown:
        tree = Tree(grown.pid)
        before = tree.used()
        for what, mib in (("anon", 30), ("shared", 20), ("thread", 10)):
            grown.does(f"{what} {mib}")
            after = tree.used()
            more = 2 * mib if what == "thread" else mib
            assert after - before >= more * MIB, what
            assert abs(after - tree_used(grown.pid)) < 2 * MIB
            before = after
        assert len(tree.members) == 3
        tree.close()


def test_little_shared_memory_is_seen_within_some_readings() -> None:
    with grower() as grown:
        tree = Tree(grown.pid)
        before = tree.used()
        for _ in range(40):
            grown.does("shared 1")
            tree.used()
        assert tree.used() - before >= 39 * MIB
        tree.close()


def test_what_a_killed_child_held_is_on_its_way_back_until_it_is_reaped() -> None:
    with grower() as grown:
        tree = Tree(grown.pid)
        grown.does("thread 30")
        both = tree.used()
        grown.does("kill 0")
        used = tree.used()
        while used > both - 30 * MIB:
            used = tree.used()
        assert tree.leaving >= 30 * MIB
        assert len(tree.members) == 3
        tree.close()


def test_what_has_ended_uses_nothing() -> None:
    with grower() as grown:
        process = Process(grown.pid)
        tree = Tree(grown.pid)
    assert process.used() == 0
    assert process.children() is None
    assert tree.used() == 0
    assert tree.members == []
    assert Tree(grown.pid).used() == 0
    process.close()


def test_descriptors_are_bounded() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with grower() as grown:
        before, kept = open_files(), trees.MOST_KEPT
        many = [Tree(grown.pid) for _ in range(kept)]
        used = {tree.used() for tree in many}
        assert open_files() - before <= kept
        assert max(used) - min(used) < MIB  # those without kept files read the same
        for tree in many:
            tree.close()
        assert open_files() <= before  # what other tests have left may be closed meanwhile
