"""Standard input as a source: ``-``.

Covers: what can't be read from, reading it in pieces without holding up the run.
Does not cover: what becomes of the pieces (``Runner.receive``).
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import AsyncGenerator

from narrowboat.errors import SourceError, UsageError

#: What names standard input among the sources.
DASH = "-"
_PIECE = 1 << 16  # bytes
_LOOK_S = 0.2  # seconds after which a thread that waits for more sees whether anybody still does


def check_standard_input() -> None:
    """See that something can come from standard input.

    Raises:
        UsageError: it is closed, or a terminal.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise UsageError("standard input is closed, so that - names nothing", hint="give a file, or pipe into it")
    if sys.stdin.isatty():
        raise UsageError(
            "standard input is a terminal, so that - names nothing", hint="pipe into it: … | narrowboat transcribe -"
        )


async def standard_input() -> AsyncGenerator[bytes]:
    """What comes, in pieces, until its end.

    Raises:
        SourceError: it can't be read.
    """
    descriptor = sys.stdin.fileno()
    while True:
        piece = await asyncio.to_thread(_read, descriptor)
        if piece is None:
            continue
        if not piece:
            return
        yield piece


def _read(descriptor: int) -> bytes | None:
    """The next piece; empty at the end, None when there is none yet."""
    try:
        if not select.select([descriptor], [], [], _LOOK_S)[0]:
            return None
        return os.read(descriptor, _PIECE)
    except BlockingIOError:
        return None
    except OSError as error:
        raise SourceError(f"standard input can't be read: {error.strerror or error}") from error
