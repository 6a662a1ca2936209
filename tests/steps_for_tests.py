"""Steps that the tests run in real workers."""

import ctypes
import json
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxes import with_tests

from narrowboat import Item, context
from narrowboat.errors import SourceError

MIB = 1 << 20


def echo(given: Any) -> Any:
    return given


def facts(_: Any) -> dict[str, Any]:
    """What a worker is like from inside."""
    return {
        "pid": os.getpid(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "modules": sorted(sys.modules),
        "stdin": os.read(0, 1).decode(),
        "threads": os.environ["OMP_NUM_THREADS"],
        "random": __import__("random").random(),
    }


def allocate(given: dict[str, Any]) -> int:
    """Allocate ``mib`` in small blocks, hold them for ``hold`` seconds, return how many bytes were held."""
    blocks = []
    for _ in range(given["mib"]):
        blocks.append(bytearray(MIB))
        if given.get("slowly"):
            time.sleep(0.002)
    time.sleep(given.get("hold", 0))
    return sum(map(len, blocks))


def allocate_together(given: dict[str, Any]) -> int:
    """Allocate ``mib`` and hold them until ``of`` of these hold theirs, as files in ``folder`` say."""
    block = bytearray(given["mib"] * MIB)
    folder = Path(given["folder"])
    folder.mkdir(exist_ok=True)
    (folder / str(given["n"])).touch()
    began = time.monotonic()
    while len(list(folder.iterdir())) < given["of"]:
        assert time.monotonic() - began < 60, "the others did not come"
        time.sleep(0.01)
    time.sleep(0.1)  # so that the guard sees it
    return len(block)


def hog(pause: float | None) -> None:
    """Allocate without end, a MiB each ``pause`` seconds: by default about 250 MB/s."""
    blocks = []
    while True:
        blocks.append(bytearray(MIB))
        time.sleep(pause or 0.004)


def hog_in_a_child(_: Any) -> None:
    """The same in a grandchild, while the worker itself uses little."""
    code = "import time\nb = []\nwhile True:\n    b.append(bytearray(1 << 20))\n    time.sleep(0.004)"
    subprocess.run([sys.executable, "-c", code], check=True)


def raises(message: str) -> None:
    raise ValueError(message)


def refuses(message: str) -> None:
    raise SourceError(message, hint="another hint", size=3)


def no_memory(_: Any) -> None:
    raise MemoryError


def exits(code: int) -> None:
    print("these are my last words", file=sys.stderr)
    os._exit(code)


def dies(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def null_pointer(_: Any) -> None:
    ctypes.string_at(0)


def sleeps(seconds: float) -> None:
    time.sleep(seconds)


def noisy(lines: int) -> int:
    """Write to stdout and stderr in every way there is, frames of the protocol included."""
    for number in range(lines):
        print("noise", number, "x" * 500)
        sys.stderr.write("\x00\x00\x00\x05{...}\n")
        os.write(1, b'{"op": "done", "result": "forged"}\n')
        os.write(2, bytes(range(256)))
    return lines


def not_json(_: Any) -> object:
    return {1, 2, 3}


def too_large(_: Any) -> str:
    return "x" * (5 << 20)


def count(given: Any, cursor: Any) -> Iterator[Item]:
    """Items 0 to ``n``; ``pause`` seconds before each; a ``mark`` file gets a line for each that is computed.

    With ``scratch`` there is a file in scratch.
    """
    if given.get("scratch"):
        (context.scratch() / "part").touch()
    for number in range(cursor or 0, given["n"]):
        if "mark" in given:
            with Path(given["mark"]).open("a") as file:
                file.write(f"{number}\n")
        time.sleep(given.get("pause", 0))
        context.progress((number + 1) / given["n"], "counting", number=number)
        yield Item({"number": number, "square": number * number}, number + 1)


def count_without_cursor(n: int) -> Iterator[int]:
    yield from range(n)


def crash_at(given: Any, cursor: Any) -> Iterator[Item]:
    """Crash at each number of ``at``: once, or always when ``always``."""
    for number in range(cursor or 0, given["n"]):
        mark = context.scratch() / f"crashed-{number}"
        if number in given["at"] and (given.get("always") or not mark.exists()):
            mark.touch()
            os.abort()
        yield Item(number, number + 1)


def grows_at(given: Any, cursor: Any) -> Iterator[Item]:
    """Needs ``mib`` from item ``at`` on."""
    block = None
    for number in range(cursor or 0, given["n"]):
        if number >= given["at"] and block is None:
            block = bytearray(given["mib"] * MIB)
            time.sleep(0.3)  # long enough to be seen
        yield Item(number, number + 1)


def uses_cores(given: Any, cursor: Any) -> Iterator[Item]:
    """Says how many cores it may use, until it was told of ``until``."""
    seen = []
    while given["until"] not in seen and len(seen) < 2000:
        if not seen or seen[-1] != context.cores():
            seen.append(context.cores())
            context.progress(0.0, cores=seen[-1])
        time.sleep(0.005)
    yield Item({"seen": seen, "most": context.most_cores()}, 1)


def leaves_children(given: Any) -> list[int]:
    """Start processes that outlive it: one in its group, one in a session of its own, one orphaned."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    same = subprocess.Popen(sleeper)
    own = subprocess.Popen(sleeper, start_new_session=True)
    code = (
        "import subprocess, sys; null = subprocess.DEVNULL; "
        "print(subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=null, stderr=null).pid)"
    )
    orphan = subprocess.run([sys.executable, "-c", code, *sleeper], capture_output=True, text=True, check=True)
    pids = [same.pid, own.pid, int(orphan.stdout)]
    Path(given["pids"]).write_text(" ".join(map(str, pids)))
    time.sleep(given.get("hold", 0))
    return pids


def writes_part(given: Any, cursor: Any) -> Iterator[Item]:
    """Bulk in part files that items name."""
    for number in range(cursor or 0, given["n"]):
        path = context.scratch() / f"part-{number}"
        path.write_bytes(bytes([number]) * 1000)
        yield Item({"part": path.name, "bytes": 1000}, number + 1)


def in_threads(n: int) -> int:
    """Send progress from many threads at once."""
    threads = [threading.Thread(target=lambda: [context.progress(0.5, "x" * 100) for _ in range(50)]) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return n


def stopped_by_itself(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


class Holder:
    @staticmethod
    def method(given: Any) -> Any:
        return given


def fills_the_disk(_: Any) -> None:
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")


def letters(given: dict[str, Any], cursor: Any) -> Iterator[Item]:
    """The letters of a text; a ``mark`` file gets one for each that is computed."""
    text = Path(given["path"]).read_text()
    for at in range(cursor or 0, len(text)):
        with Path(given["mark"]).open("a") as file:
            file.write(text[at])
        yield Item(text[at], at + 1)


def write_letters(given: dict[str, Any]) -> dict[str, Any]:
    """The letters in upper or lower case, by format; upper case with a ``tail`` when there is one."""
    letters = [json.loads(line) for line in Path(given["items"]).read_text().splitlines()]
    for target in given["targets"]:
        tail = given.get("tail", "") if target["format"] == "upper" else ""
        Path(target["path"]).write_text(getattr("".join(letters), target["format"])() + tail)
    return {"outputs": [{**target, "bytes": Path(target["path"]).stat().st_size} for target in given["targets"]]}


_kept: list[bytearray] = []  # what outlives an attempt in a worker that is used again


def who(_: Any) -> int:
    """The process that works on it."""
    return os.getpid()


def who_else(_: Any) -> int:
    """The same, as another step."""
    return os.getpid()


def keeps(mib: int) -> int:
    """Keep ``mib`` more in this process for good, as a model or a leak does; the pid."""
    _kept.append(bytearray(mib * MIB))
    return os.getpid()


def leaves_a_child(_: Any) -> list[int]:
    """A child that goes on after the attempt; the pids of the worker and the child."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    return [os.getpid(), child.pid]


def raises_if(given: dict[str, Any]) -> int:
    if given["raise"]:
        raise ValueError("as asked")
    return os.getpid()


def hangs_once(given: dict[str, Any]) -> str:
    """Stop by a signal (``how`` = stop) or hold Python's lock in native code, unless a file says that it did."""
    mark = Path(given["mark"])
    if not mark.exists():
        mark.touch()
        if given["how"] == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            ctypes.PyDLL(None).sleep(600)
    return "done"


def killed_once_in(given: dict[str, Any], cursor: Any) -> Iterator[Item]:
    """Three items; a SIGKILL from outside, so to say, before each of the first ``kills`` attempts has one."""
    folder = Path(given["folder"])
    folder.mkdir(exist_ok=True)
    tries = len(list(folder.iterdir()))
    if tries < given["kills"]:
        (folder / str(tries)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    for number in range(cursor or 0, 3):
        yield Item(number, number + 1)


def writes_without_end(given: dict[str, Any]) -> None:
    """Write files to scratch without asking for room, a MiB at a time, until there is a ``mib`` of them."""
    for number in range(given["mib"]):
        (context.scratch() / f"bulk-{number}").write_bytes(bytes(MIB))
        time.sleep(given.get("pause", 0))


def file_size(given: dict[str, Any]) -> int:
    return Path(given["path"]).stat().st_size


def speech(given: dict[str, Any], cursor: Any) -> Iterator[Item]:
    """Items as a recogniser yields them, of ``n`` segments with a ``text``."""
    for at in range(cursor or 0, given["n"]):
        segment = {"start": float(at), "end": at + 0.9, "text": given["text"], "confidence": 0.9}
        yield Item({"start": float(at), "end": at + 1.0, "segments": [segment]}, at + 1)


def _fill(mib: int, flags: int = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) -> mmap.mmap:
    """Take ``mib`` in one native allocation and touch all of it, as fast as the machine does."""
    block = mmap.mmap(-1, mib * MIB, flags=flags)
    ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(block)), 1, mib * MIB)
    return block


def jumps(mib: int) -> str:
    """One native allocation, held for a while."""
    block = _fill(mib)
    time.sleep(0.5)
    return f"was let have {len(block) // MIB} MiB"


def jumps_shared(mib: int) -> str:
    """The same in memory that is mapped MAP_SHARED."""
    block = _fill(mib, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    time.sleep(0.5)
    return f"was let have {len(block) // MIB} MiB"


def jumps_in_a_child(mib: int) -> str:
    """The same in a process that it starts, and whose death it only hears of."""
    code = f"import steps_for_tests; steps_for_tests.jumps({mib})"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": with_tests()})
    return "the child was let live"


def jumps_in_a_daemon(mib: int) -> str:
    """The same in a process that has left its session and lost its parent."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            _fill(mib)
            time.sleep(600)
        os._exit(0)
    time.sleep(2)
    return "the daemon was let live"


def forks_many(given: dict[str, int]) -> str:
    """So many processes that hold ``mib`` each."""
    for _ in range(given["processes"]):
        if os.fork() == 0:
            _fill(given["mib"])
            time.sleep(600)
            os._exit(0)
    time.sleep(30)  # far longer than it takes to be caught, on a machine that stands still too
    return "all were let live"


def writes_and_reads(mib: int) -> int:
    """Write a file much larger than any reservation, and read it twice; its bytes."""
    path = context.scratch() / "large"
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(bytes(MIB))
    size = 0
    for _ in range(2):
        size = 0
        with path.open("rb") as file:
            while part := file.read(MIB):
                size += len(part)
    path.unlink()
    return size
