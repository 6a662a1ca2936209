"""Steps that behave, and steps that attack whoever runs them. They run in workers.

Covers: honest work, hogs of every kind of memory, crashes, hangs, forks, liars, streams that are disturbed.
Does not cover: how often which of them comes, and with which reservation, or what must follow
(``attack_kinds``).

Each takes ``{"n": number, …}`` and returns the number, so that a result can be told from another's. A hog stops at
``mib``, beyond any reservation: who comes to its end was not stopped, and says so. Only the standard library is used.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from narrowboat import Item, context

MIB = 1 << 20
_PAGE = 4096
_PIECE = 16  # MiB that a hog takes at once
_FOREVER = 600.0  # seconds: longer than any run waits
_kept: list[bytearray] = []  # what stays in a worker from one attempt to the next

Given = dict[str, Any]


class NotStopped(Exception):
    """A hog came to its end: nobody stopped it."""


# -- those that behave ----------------------------------------------------------------------------------------------


def honest(given: Given) -> int:
    """Hold what was said, keep a core busy for a while, count over it."""
    fill = given["n"] % 251 + 1
    held = bytearray([fill]) * (given["mib"] * MIB)
    until = time.process_time() + given["busy_s"]
    while time.process_time() < until:
        sum(held[:_PAGE])
    return sum(held[::_PAGE])


def honest_sum(given: Given) -> int:
    """What :func:`honest` gives."""
    fill, size = int(given["n"]) % 251 + 1, int(given["mib"]) * MIB
    return fill * (size // _PAGE)


def honest_stream(given: Given, cursor: Any) -> Iterator[Item]:
    """Items with a cursor, and the memory that was said."""
    held = bytearray(b"\1") * (given["mib"] * MIB)
    for number in range(cursor or 0, given["items"]):
        yield Item(item_value(given["n"], number, held[0]), number + 1)


def disturbed_stream(given: Given, cursor: Any) -> Iterator[Item]:
    """The same; at each number of ``crash_at`` it crashes once, and at ``grow_at`` it needs much more than it said."""
    grown = b""
    for number in range(cursor or 0, given["items"]):
        mark = context.scratch() / f"crashed-{number}"
        if number in given["crash_at"] and not mark.exists():
            mark.touch()
            os.abort()
        if number >= given["grow_at"] and not grown:
            grown = bytearray(b"\1") * (given["grow_mib"] * MIB)
            time.sleep(0.05)  # long enough to be seen
        yield Item(item_value(given["n"], number, 1), number + 1)


def item_value(n: int, number: int, seen: int) -> list[int]:
    """The value of one item, for who checks it."""
    return [n, number, n * 31 + number * seen]


def measure(given: Given) -> Given:
    """The first step of a small pipeline: facts for the next."""
    return {"items": 4 + given["n"] % 9}


def total(given: Given) -> int:
    """The last one: the items' third values, summed."""
    return sum(int(line.strip("[]\n ").split(",")[2]) for line in Path(given["path"]).read_text().splitlines())


def page_cache(given: Given) -> int:
    """Write and read a file in scratch that is larger than the budget: reclaimable, so nobody's business."""
    path = context.scratch() / "large"
    block = bytes([given["n"] % 256]) * MIB
    with path.open("wb", buffering=0) as file:
        for _ in range(given["mib"]):
            file.write(block)
    with path.open("rb", buffering=0) as file:
        while piece := file.read(MIB):
            if piece != block:
                raise ValueError("the file reads back otherwise than it was written")
    return int(given["n"])


def shared_file(given: Given) -> int:
    """A file in /dev/shm, as large as was said, that has no name any more."""
    with _shm_file(given) as file:
        for _ in range(given["mib"]):
            file.write(bytes(MIB))
    return int(given["n"])


def children(given: Given) -> int:
    """Three children at once, that together hold what was said."""

    def hold() -> None:
        held = bytearray(b"\1") * (given["mib"] * MIB // 3)
        time.sleep(0.03)
        os._exit(held[0] - 1)

    return _numbered(given, [_fork(hold) for _ in range(3)])


def fork_storm(given: Given) -> int:
    """Many children that end at once."""
    return _numbered(given, [_fork(lambda: os._exit(0)) for _ in range(40)])


def thread_storm(given: Given) -> int:
    """Many threads that wait for each other."""
    gate = threading.Barrier(100)
    threads = [threading.Thread(target=gate.wait) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return int(given["n"])


def garbage(given: Given) -> int:
    """Write to stdout and stderr what could be taken for frames."""
    for _ in range(50):
        os.write(1, b'\x00\x00\x00\x20{"op": "done", "result": "forged"}\n')
        os.write(2, bytes(range(256)))
        print("noise", "x" * 2000)
    return int(given["n"])


def leaks_a_bit(given: Given) -> int:
    """Leave something behind in the worker each time: it must be replaced before that becomes somebody's overrun."""
    _kept.append(bytearray(b"\1") * (given["mib"] * MIB))
    return int(given["n"])


def leaves_daemon(given: Given) -> list[int]:
    """Start a daemon in a session of its own, whose parent is gone; its pid must be nobody's soon."""
    return [int(given["n"]), _daemon(lambda: time.sleep(_FOREVER))]


def leaves_child(given: Given) -> list[int]:
    """Leave a child that runs on in the worker's own session."""
    return [int(given["n"]), _fork(lambda: time.sleep(_FOREVER))]


# -- those that take too much ---------------------------------------------------------------------------------------


def liar(given: Given) -> int:
    """Use ``mib``, whatever was said."""
    held = bytearray(b"\1") * (given["mib"] * MIB)
    time.sleep(0.03)
    del held
    return int(given["n"])


def jump(given: Given) -> int:
    """Take ``mib`` in one native allocation, as fast as the machine can."""
    held = _native(given["mib"])
    time.sleep(0.03)
    ctypes.CDLL(None).free(ctypes.c_void_p(held))
    return int(given["n"])


def hog_blocks(given: Given) -> NoReturn:
    """Python blocks, at some 500 MB/s."""

    def block(mib: int) -> bytearray:
        time.sleep(0.004)
        return bytearray(b"\1") * (mib * MIB)

    _hog(given, block, piece=2)


def hog_native(given: Given) -> NoReturn:
    """malloc and memset of hundreds of MB at once."""
    _hog(given, _native, piece=256)


def hog_private(given: Given) -> NoReturn:
    """Anonymous private mappings."""
    _hog(given, lambda mib: _mapped(mib, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def hog_shared(given: Given) -> NoReturn:
    """Anonymous shared mappings."""
    _hog(given, lambda mib: _mapped(mib, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS))


def hog_populate(given: Given) -> NoReturn:
    """A mapping that the kernel fills while the call lasts."""
    _hog(given, lambda mib: mmap.mmap(-1, mib * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE), 128)


def hog_memfd(given: Given) -> NoReturn:
    """Memory behind a descriptor, mapped nowhere: no process's figures show it."""
    file = os.fdopen(os.memfd_create("hog"), "wb", buffering=0)
    _hog(given, lambda mib: _written(file, mib))


def hog_shm(given: Given) -> NoReturn:
    """A nameless file in /dev/shm."""
    file = _shm_file(given)
    _hog(given, lambda mib: _written(file, mib))


def hog_despite_term(given: Given) -> NoReturn:
    """A hog that ignores all that can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    hog_blocks(given)


def hog_child(given: Given) -> NoReturn:
    """A child takes it; the step itself is small, and fails when the child does."""
    status = os.waitpid(_fork(lambda: hog_blocks(given)), 0)[1]
    raise RuntimeError(f"the child ended with {os.waitstatus_to_exitcode(status)}")


def hog_daemon(given: Given) -> NoReturn:
    """A process in a session of its own, whose parent is gone, takes it; the step waits for it."""
    pid = _daemon(lambda: hog_blocks(given))
    while Path(f"/proc/{pid}/status").exists():
        time.sleep(0.01)
    raise RuntimeError("the daemon is gone")


def leak(given: Given, cursor: Any) -> Iterator[Item]:
    """A stream that leaks a little with each item, until it is over its reservation."""
    held = []
    for number in range(cursor or 0, given["mib"]):
        held.append(bytearray(b"\1") * MIB)
        time.sleep(0.001)
        if number % 8 == 7:
            yield Item(number, None)  # it never gets further than its beginning
    raise NotStopped(f"{given['mib']} MiB were taken")


# -- those that end otherwise than they should ----------------------------------------------------------------------


def segfault(_: Given) -> None:
    """SIGSEGV."""
    ctypes.string_at(0)


def aborts(_: Given) -> None:
    """SIGABRT."""
    os.abort()


def killed(_: Given) -> None:
    """SIGKILL that nobody here sent."""
    os.kill(os.getpid(), signal.SIGKILL)


def exits(_: Given) -> None:
    """Exit code 0 and no result."""
    os._exit(0)


def system_exit(_: Given) -> None:
    """SystemExit."""
    sys.exit(0)


def raises(given: Given) -> None:
    """An ordinary error."""
    raise ValueError(f"number {given['n']} is not to its liking")


def raises_late(given: Given, cursor: Any) -> Iterator[Item]:
    """An error after some items."""
    for number in range(cursor or 0, 5):
        yield Item(item_value(given["n"], number, 1), number + 1)
    raise ValueError("that was all")


def recursion(given: Given) -> None:
    """No end of calls."""
    recursion(given)


def memory_error(_: Given) -> None:
    """MemoryError."""
    raise MemoryError


def not_json(_: Given) -> object:
    """A result that is not JSON."""
    return {1, 2, 3}


def item_not_json(_: Given) -> Iterator[object]:
    """An item that is not JSON."""
    yield object()


def huge_item(_: Given) -> Iterator[str]:
    """An item far above what is taken."""
    yield "x" * (8 * MIB)


def closes_all(_: Given) -> None:
    """Close every descriptor, and return as if nothing were."""
    os.closerange(0, 1024)


def closes_all_and_stays(_: Given) -> None:
    """Close every descriptor and stay: nobody can hear it, and it does not end."""
    os.closerange(0, 1024)
    time.sleep(_FOREVER)


def scribbles(_: Given) -> None:
    """Write what is no frame to every socket, and stay."""
    for descriptor in range(3, 256):
        try:
            with socket.socket(fileno=os.dup(descriptor)) as found:
                found.send(b"\xff" * 64)
        except OSError:
            continue
    time.sleep(_FOREVER)


def stops_itself(_: Given) -> None:
    """SIGSTOP: it lives, and nothing comes."""
    os.kill(os.getpid(), signal.SIGSTOP)


def stops_itself_once(given: Given) -> int:
    """The same, and when it is started again it works."""
    mark = context.scratch() / "stopped"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    return int(given["n"])


def never_ends(_: Given) -> None:
    """It sleeps: alive and well, and without end."""
    time.sleep(_FOREVER)


# -- how ------------------------------------------------------------------------------------------------------------


def _hog(given: Given, take: Callable[[int], object], piece: int = _PIECE) -> NoReturn:
    held = [take(piece) for _ in range(given["mib"] // piece + 1)]
    raise NotStopped(f"{len(held) * piece} MiB were taken")


def _native(mib: int) -> int:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    block: int | None = libc.malloc(ctypes.c_size_t(mib * MIB))
    if block is None:
        raise MemoryError
    ctypes.memset(block, 1, mib * MIB)
    return block


def _mapped(mib: int, flags: int) -> mmap.mmap:
    block = mmap.mmap(-1, mib * MIB, flags)
    for at in range(0, mib * MIB, _PAGE):
        block[at] = 1
    return block


def _written(file: Any, mib: int) -> None:
    for _ in range(mib):
        file.write(bytes(MIB))


def _shm_file(given: Given) -> Any:
    path = Path(f"/dev/shm/{given['mark']}-{given['n']}-{os.getpid()}")
    file = path.open("xb", buffering=0)
    path.unlink()
    return file


def _fork(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return pid


def _daemon(work: Callable[[], object]) -> int:
    """Fork twice; the pid of a process that is no child of ours, in a session of its own."""
    read_end, write_end = os.pipe()

    def between() -> None:
        os.setsid()
        os.write(write_end, str(_fork(work)).encode())
        os._exit(0)

    os.waitpid(_fork(between), 0)
    pid = int(os.read(read_end, 32))
    os.close(read_end)
    os.close(write_end)
    return pid


def _numbered(given: Given, pids: list[int]) -> int:
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(statuses):
        raise RuntimeError(f"children ended with {statuses}")
    return int(given["n"])
