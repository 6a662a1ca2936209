"""Many calls at once in one worker.

Covers: sending a call, giving each the frames that are its own, telling all of them when the worker is gone.
Does not cover: when a worker is started and ended, or what a call is for (``runner/clients``, ``runner/calls``).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from narrowboat.workers.protocol import Call
from narrowboat.workers.start import Worker


class Calls:
    """The calls of one worker, which serves nothing else. One event loop, no locks.

    Attributes:
        worker: the worker; whoever started it buries it.
    """

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._numbers = itertools.count(1)
        self._open: dict[int, Conversation] = {}
        worker.begin()
        self._reading = asyncio.create_task(self._read(), name="narrowboat-calls")

    @property
    def alive(self) -> bool:
        """False once the worker is gone."""
        return not self._reading.done() and self.worker.alive

    def send(self, call: Call) -> Conversation:
        """Begin one call. Its frames are to be read to their end."""
        number = next(self._numbers)
        made = self._open[number] = Conversation(self, number)
        if self.alive:
            self.worker.send(replace(call, call=number))
        else:
            made.hear(None)
        return made

    def ended(self, number: int) -> None:
        """A call has sent its last frame."""
        self._open.pop(number, None)
        if not self._open:
            self.worker.rest()

    async def close(self) -> None:
        """Read no more; the worker may serve something else."""
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            async for frame in self.worker.frames():
                conversation = self._open.get(frame.get("call", 0))
                if conversation is not None:
                    conversation.hear(frame)
        finally:
            for conversation in self._open.values():
                conversation.hear(None)


class Conversation:
    """One call as the supervisor has it."""

    def __init__(self, calls: Calls, number: int) -> None:
        self._calls = calls
        self._number = number
        self._heard: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def frames(self) -> AsyncGenerator[dict[str, Any]]:
        """Its frames as they come, and last ``done``, ``stopped`` or ``error``; without one the worker is gone."""
        try:
            while (frame := await self._heard.get()) is not None:
                yield frame
                if frame["op"] in ("done", "stopped", "error"):
                    return
        finally:
            self._calls.ended(self._number)

    def answer(self, error: dict[str, Any] | None) -> None:
        """Tell the step that what it asked for is done: None, or the JSON of why not."""
        self._calls.worker.answer(error, self._number)

    def stop(self) -> None:
        """Ask the step to stop."""
        self._calls.worker.stop(self._number)

    def hear(self, frame: dict[str, Any] | None) -> None:
        """The next frame; None when the worker is gone."""
        self._heard.put_nowait(frame)
