"""Calls of a remote engine that the tests make: functions that share one real worker."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from narrowboat import context
from narrowboat.errors import EngineError, Interrupted, RemoteError

_MEETING: dict[int, threading.Barrier] = {}
_LOCK = threading.Lock()
_NOW = 0
MIB = 1 << 20
_KEPT: list[bytearray] = []


def _tally(folder: str) -> int:
    """How often it was called before, as files in a folder say: they outlive the worker."""
    with _LOCK:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        count = len(list(place.iterdir()))
        (place / str(count)).touch()
        return count


def meet(given: dict[str, Any]) -> int:
    """Wait until ``of`` calls are here at once; the pid."""
    with _LOCK:
        barrier = _MEETING.setdefault(given["of"], threading.Barrier(given["of"]))
    barrier.wait(60)
    return os.getpid()


def crowd(given: dict[str, Any]) -> int:
    """How many calls were at work while this one was."""
    global _NOW
    with _LOCK:
        _NOW += 1
    time.sleep(0.02)
    with _LOCK:
        seen, _NOW = _NOW, _NOW - 1
    return seen


def fails(given: dict[str, Any]) -> int:
    """Fail for now ``times`` times, as ``facts`` tell; then how often it was called."""
    before = _tally(given["folder"])
    if before < given["times"]:
        raise RemoteError("come back later", **given["facts"])
    return before + 1


def refuses(given: dict[str, Any]) -> None:
    _tally(given["folder"])
    raise EngineError("no such model", hint="choose another")


def dies(given: dict[str, Any]) -> int:
    """End the whole worker, ``times`` times in all."""
    if _tally(given["folder"]) < given["times"]:
        os._exit(9)
    return os.getpid()


def hoards(given: dict[str, Any]) -> int:
    """Take far more than the client was said to need."""
    _KEPT.append(bytearray(given["mib"] * MIB))
    time.sleep(0.2)
    size = len(_KEPT.pop())
    return size


def uploads(given: dict[str, Any]) -> str:
    """Put a file into a store (a folder), then do as told: end well, die, fail, or wait until asked to stop."""
    name = given["name"]
    context.uploading(name, "steps_of_calls:remove", {"store": given["store"], "name": name})
    place = Path(given["store"]) / name
    place.touch()
    if given["then"] == "die" and _tally(given["folder"]) == 0:
        os._exit(9)
    if given["then"] == "fail":
        raise EngineError("blocked")
    if given["then"] == "wait":
        Path(given["folder"]).mkdir(parents=True, exist_ok=True)
        (Path(given["folder"]) / "here").touch()
        while not context.stopping():
            time.sleep(0.005)
    if given["then"] == "hang":
        Path(given["folder"]).mkdir(parents=True, exist_ok=True)
        (Path(given["folder"]) / "here").touch()
        threading.Event().wait(600)
    place.unlink()
    context.removed(name)
    if context.stopping():
        raise Interrupted("stopped")
    return name


def remove(given: dict[str, Any]) -> None:
    if given["name"].startswith("stubborn"):
        raise EngineError("a bad key")
    (Path(given["store"]) / given["name"]).unlink(missing_ok=True)


def alone(given: int) -> int:
    """A step that shares its worker with nobody."""
    time.sleep(0.1)
    return given


def speaks(given: dict[str, Any]) -> bool:
    """Say things, ask for room, and tell whether the thread has a context of its own."""
    context.log(f"hello from {given['n']}")
    path = context.scratch() / f"{given['n']}.bin"
    context.make_room(path, 1000, "a file")
    path.write_bytes(bytes(1000))
    return context.scratch().name == given["scratch"] if given["scratch"] else path.exists()
