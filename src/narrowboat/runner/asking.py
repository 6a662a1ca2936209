"""The other end of the control socket: asking the supervisor that holds a home.

Covers: one request and its answer, over a plain blocking socket. Does not cover: answering (``control``).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from narrowboat.errors import from_json

SOCKET = "control.sock"


def ask(home: Path, request: dict[str, Any], *, timeout_s: float | None = None) -> dict[str, Any] | None:
    """Ask the supervisor of ``home``; None when there is none. Blocks until it answers.

    Raises:
        TimeoutError: it said nothing for ``timeout_s`` seconds.
        NarrowboatError: as the supervisor answered.
    """
    if not (home / SOCKET).exists():
        return None
    import socket  # only here: where there is no supervisor, nothing of it is needed

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            with short(home / SOCKET) as path:
                connection.connect(path)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except TimeoutError:
            raise
        except OSError:  # nobody is there any more
            return None
    if not line:
        return None
    reply = json.loads(line)
    if "error" in reply:
        raise from_json(reply["error"])
    answer: dict[str, Any] = reply["ok"]
    return answer


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for a socket path that may be longer than the 107 bytes that an address holds."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
