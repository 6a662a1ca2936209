"""One supervisor per home.

Covers: making the home, and the lock that a supervisor holds for life.
Does not cover: talking to the one that holds it (``runner/``).
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from narrowboat import disk
from narrowboat.errors import HomeHeld, NarrowboatError, UsageError
from narrowboat.shown import safe_text

FILE = "supervisor.lock"
_LONGEST = 4096  # bytes: 200 characters are at most 2400 when they are escaped
_held: set[int] = set()


class HomeLock:
    """An advisory lock on ``HOME/supervisor.lock``; the kernel frees it when the process is gone.

    The file holds ``pid``, ``started`` (epoch seconds) and ``command`` of the holder as JSON.

    Raises:
        HomeHeld: somebody has it; says who.
        UsageError: the home can't be made or written.
        DiskFull: no space for it.
    """

    def __init__(self, home: Path) -> None:
        path = home / FILE
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(home, error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._say_who()
        except BlockingIOError:
            os.close(self._fd)
            raise _is_held(home, path) from None
        except OSError as error:
            os.close(self._fd)
            raise _unusable(home, error) from error
        _held.add(self._fd)

    def _say_who(self) -> None:
        who = {"pid": os.getpid(), "started": time.time(), "command": safe_text(shlex.join(sys.argv))[:200]}
        # Always as long, and written in place: that works on a full disk too.
        os.pwrite(self._fd, json.dumps(who).encode().ljust(_LONGEST), 0)
        os.ftruncate(self._fd, _LONGEST)

    def release(self) -> None:
        """Let the next one have it. Harmless when done twice."""
        if self._fd in _held:
            _held.discard(self._fd)
            os.close(self._fd)
        self._fd = -1


def _forget_in_child() -> None:
    # A forked child shares the lock: it would hold the home for as long as it outlives the supervisor.
    for fd in _held:
        os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


def _is_held(home: Path, path: Path) -> HomeHeld:
    who = _read(path)
    pid, started = who.get("pid"), who.get("started")
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started)) if started else "just now"
    return HomeHeld(
        f"{home} is held by process {pid} ({who.get('command') or 'unknown'}), since {since}",
        hint="wait for it, stop it, or use another --home",
        home=str(home),
        pid=pid,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # its holder is just writing it
        return {}
    return found if isinstance(found, dict) else {}


def _unusable(home: Path, error: OSError) -> NarrowboatError:
    if error.errno in disk.FULL:
        return disk.full(home, "in the home")
    return UsageError(
        f"{home} can't be used as home: {error.strerror}",
        hint="choose a folder that can be written with --home",
        home=str(home),
    )
