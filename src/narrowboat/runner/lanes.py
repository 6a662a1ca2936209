"""Lanes: how many of a kind may be at it at the same time, where somebody has set a cap.

Covers: counting who is in a lane, and letting those that wait in, first come first served.
Does not cover: bytes and cores (``memory/``: a cap only ever lets fewer in than fit), which jobs start
(``queue``), what the caps are called outside (``narrowboat.config``). One event loop, no locks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from narrowboat.errors import UsageError
from narrowboat.values import Caps

#: Steps that fetch a source, of all jobs.
DOWNLOADS = "downloads"
#: Jobs that transcribe.
TRANSCRIPTIONS = "transcriptions"
#: Jobs of one batch; there is a lane for each label.
BATCH = "batch"
#: Remote calls of one job; there is a lane for each job.
CALLS = "calls"
#: Remote calls to Gemini, of all jobs and keys.
GEMINI = "gemini"

#: A lane: the name that the limit is for, and which one of that name (a label, a job's id); "" where there is but one.
Lane: TypeAlias = tuple[str, str]

_OPEN = contextlib.nullcontext()  # holds nothing, so that one will do for all


@dataclass(slots=True)
class _State:
    held: int = 0
    waiters: deque[asyncio.Future[None]] = field(default_factory=deque)


def limits_of(caps: Caps) -> dict[str, int | None]:
    """The limits of lanes that users' caps mean."""
    return {
        DOWNLOADS: caps.downloads,
        TRANSCRIPTIONS: caps.transcriptions,
        BATCH: caps.batch,
        CALLS: caps.chunks,
        GEMINI: caps.gemini,
    }


class Lanes:
    """Lanes with a limit each; a name without a limit lets everybody in, and costs nothing.

    Args:
        limits: name -> how many at most; None for any number.

    Raises:
        UsageError: a limit below 1 would let nobody in, ever.
    """

    def __init__(self, limits: Mapping[str, int | None] | None = None) -> None:
        self._limits = {name: limit for name, limit in (limits or {}).items() if limit is not None}
        for name, limit in self._limits.items():
            if limit < 1:
                raise UsageError(f"the limit of {name} is {limit}, which lets nothing start", hint="use 1 or more")
        self._states: dict[Lane, _State] = {}  # only of lanes that somebody is in or waits for

    def limit(self, name: str) -> int | None:
        """How many may be in a lane of this name; None for any number."""
        return self._limits.get(name)

    def enter(self, name: str, of: str = "") -> contextlib.AbstractAsyncContextManager[None]:
        """Be in a lane while the context is entered; entering waits for its turn. A cancelled wait leaves no trace."""
        return self._entered((name, of)) if name in self._limits else _OPEN

    def has_room(self, name: str, of: str = "") -> bool:
        """Whether :meth:`enter` would not wait."""
        limit = self._limits.get(name)
        state = self._states.get((name, of))
        return limit is None or state is None or (state.held < limit and not state.waiters)

    def waiting(self, name: str, of: str = "") -> int:
        """How many wait for their turn."""
        state = self._states.get((name, of))
        return 0 if state is None else len(state.waiters)

    def take(self, name: str, of: str = "") -> None:
        """Be in a lane that :meth:`has_room`, until :meth:`leave`: for who can't wait."""
        if name in self._limits:
            self._states.setdefault((name, of), _State()).held += 1

    def leave(self, name: str, of: str = "") -> None:
        """Give back what :meth:`take` took: to the one who waits longest, if there is one."""
        if name not in self._limits:
            return
        state = self._states[name, of]
        while state.waiters:
            waiter = state.waiters.popleft()
            if not waiter.done():  # else it was cancelled, and has not run since
                waiter.set_result(None)  # who is let in holds the place from now on, run or not
                return
        state.held -= 1
        if not state.held:
            del self._states[name, of]

    @contextlib.asynccontextmanager
    async def _entered(self, lane: Lane) -> AsyncIterator[None]:
        if self.has_room(*lane):
            self.take(*lane)
        else:
            await self._turn(lane)
        try:
            yield
        finally:
            self.leave(*lane)

    async def _turn(self, lane: Lane) -> None:
        state = self._states[lane]
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        state.waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # let in and cancelled in the same moment
                self.leave(*lane)
            elif waiter in state.waiters:
                state.waiters.remove(waiter)
            raise
