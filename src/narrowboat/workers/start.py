"""A worker as the supervisor has it, from start to burial.

Covers: starting one, attempts as a stream of frames, missing signs of life, the kept end of what it printed.
Does not cover: keeping workers for later attempts (``pool``), which step when (``runner/``), or the process's own side
(``child``).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Any

from narrowboat.memory.processes import process_state
from narrowboat.workers import protocol
from narrowboat.workers.ending import Ending, Facts, classify
from narrowboat.workers.groups import Slot
from narrowboat.workers.guard import Guard
from narrowboat.workers.places import Places
from narrowboat.workers.server import ForkServer
from narrowboat.workers.watch import Watch

_STDERR_TAIL = 4096  # bytes of a worker's output that are kept for the reason of a failure
#: Seconds after which a silent worker that a signal has stopped (SIGSTOP, a debugger) counts as hung.
STOPPED_S = 5.0
#: Seconds that a worker which can't be heard any more may take to end by itself.
LEAVE_S = 2.0


class Worker:
    """One worker process, from start to burial. Serves one attempt at a time.

    Attributes:
        watch: its figures, as the guard reads them.
        base: bytes that it used between its first two attempts; None before.
        silent: why it was killed for giving no sign of life; None while it was not.
        timed_out: it was killed since its attempt took longer than it may.
    """

    def __init__(
        self,
        pid: int,
        ticks: int | None,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        tail: _Tail,
        server: ForkServer,
        guard: Guard,
        reserved: Callable[[], int],
        slot: Slot | None,
    ) -> None:
        self.pid = pid
        self.ticks = ticks
        self._reader, self._writer = streams
        self._tail = tail
        self._server = server
        self._guard = guard
        self._buried = False
        self._burial: asyncio.Task[tuple[int | None, str]] | None = None
        self._reading = False
        self._frames = 0
        self._frames_seen = 0
        self._silent_s = 0.0
        self._call: protocol.Call | None = None
        self._ran_s = 0.0
        self._time_limit: float | None = None
        self._reserved = reserved
        self.base: int | None = None
        self.silent: str | None = None
        self.timed_out = False
        self.watch: Watch = guard.watch(pid, lambda: self._reserved(), slot)  # noqa: PLW0108 -- hold() changes it

    @classmethod
    async def start(cls, server: ForkServer, guard: Guard, reserved: Callable[[], int]) -> Worker:
        """Fork one; ``reserved`` tells the bytes of its reservation at any time."""
        slot = await _place(guard.places, reserved())
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        try:
            started = await server.fork(theirs, write_end, guard.places.begins_with(slot))
        except BaseException:
            guard.places.leave(slot)
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        if started["outside"] is not None:
            guard.places.failed(started["outside"], slot)
            slot = None
        tail = _Tail(read_end)
        streams = await asyncio.open_connection(sock=ours)
        return cls(started["pid"], started["ticks"], streams, tail, server, guard, reserved, slot)

    async def attempt(self, call: protocol.Call) -> AsyncGenerator[dict[str, Any]]:
        """Run one attempt: its frames as they come, and last ``done``, ``stopped`` or ``error``.

        The stream ends without one of the last three when the worker has died; :meth:`bury` tells how.
        """
        self.begin()
        await self._fit()
        self._call, self._ran_s, self._silent_s, self._time_limit = call, 0.0, 0.0, call.time_limit
        self._write(call.frame())
        try:
            async for frame in self.frames():
                yield frame
                if frame["op"] in ("done", "stopped", "error"):
                    return
        finally:
            self._call = None

    # -- many calls at once: what ``calls`` needs ---------------------------------------------------------------

    def begin(self) -> None:
        """What it uses, prints and is killed for is of a new attempt from now on."""
        self._guard.begin(self.watch)
        self._tail.clear()

    def send(self, call: protocol.Call) -> None:
        """Give it one call more. From its first to its last it owes signs of life."""
        self._guard.places.grow(self.watch)
        if self._call is None:
            self._call, self._silent_s, self._time_limit = replace(call, time_limit=None), 0.0, None
        self._write(call.frame())

    def rest(self) -> None:
        """It has no call any more."""
        self._call = None

    async def frames(self) -> AsyncGenerator[dict[str, Any]]:
        """What it sends, signs of life left out, until it is gone."""
        while (frame := await self._heard()) is not None:
            if frame["op"] not in ("ready", "beat"):
                yield frame

    async def _heard(self) -> dict[str, Any] | None:
        self._reading = True  # while nobody reads, frames that wait are no silence
        try:
            return await _read_frame(self._reader)
        finally:
            self._reading = False
            self._frames += 1

    def look(self, passed_s: float) -> None:
        """Kill it when its attempt has given no sign of life, or has run, for too long.

        Args:
            passed_s: seconds since the last look in which we ran ourselves: a supervisor that was stopped heard
                nothing, and can't tell.
        """
        call = self._call
        if call is None or self.silent is not None or self.timed_out:
            return
        quiet = self._reading and self._frames == self._frames_seen
        self._frames_seen = self._frames
        self._silent_s = self._silent_s + passed_s if quiet else 0.0
        self._ran_s += passed_s
        if call.time_limit is not None and self._ran_s > call.time_limit:
            self.timed_out = True
        elif self._silent_s >= min(STOPPED_S, call.heartbeat) and process_state(self.pid) in ("T", "t"):
            self.silent = f"no sign of life for {self._silent_s:.0f} s: a signal has stopped it"
        elif self._silent_s >= call.heartbeat:
            self.silent = f"no sign of life for {self._silent_s:.0f} s"
        else:
            return
        self.kill()

    @property
    def alive(self) -> bool:
        """False once its end has been heard of."""
        return not self._buried and self._burial is None and not self._server.ended(self.pid).done()

    def hold(self, reserved: Callable[[], int]) -> None:
        """From now on the worker is covered by another reservation."""
        self._reserved = reserved

    def stop(self, call: int | None = None) -> None:
        """Ask the step to stop at its next item; of many calls, the one of that number, or all."""
        self._write({"op": "stop", "call": call})

    async def _fit(self) -> None:
        """Give its cgroup the limit of the reservation that it has now, before it uses any of it."""
        places, watch = self._guard.places, self.watch
        places.grow(watch)
        if watch.slot is not None and watch.slot.limit > watch.limit:
            await asyncio.to_thread(places.shrink, watch)  # may have to wait for reclaiming

    def set_cores(self, cores: int) -> None:
        """Tell the step how many cores it may use from now on."""
        self._guard.places.grow(self.watch)  # a lent core brings its bytes along
        self._write({"op": "cores", "cores": cores})

    def answer(self, error: dict[str, Any] | None, call: int | None = None) -> None:
        """Tell the step that what it asked for is done: None, or the JSON of why not."""
        self._write({"op": "answer", "error": error, "call": call})

    def kill(self) -> None:
        """Kill the worker and all that it started; nothing when it has been buried, since its pid may be another's."""
        if not self._buried:
            self._guard.kill(self.watch)

    async def end(self, grace_s: float = 2.0) -> None:
        """End an idle worker: ask, wait, kill."""
        self._write({"op": "exit"})
        try:
            await asyncio.wait_for(asyncio.shield(self._server.ended(self.pid)), grace_s)
        except TimeoutError:
            self.kill()
        await self.bury()

    async def bury(self) -> tuple[int | None, str]:
        """Wait until it has ended; its wait status and the end of its output. The same answer each time."""
        if self._burial is None:
            self._burial = asyncio.create_task(self._bury())
        return await asyncio.shield(self._burial)

    async def _bury(self) -> tuple[int | None, str]:
        status = await self._server.burial(self.pid)
        if status is None:
            self.kill()  # the fork server died: whatever it had not taken along goes now
        self._buried = True
        self._guard.forget(self.watch)
        self._server.forget(self.pid)
        self._writer.close()
        return status, await self._tail.text()

    async def _leave(self) -> None:
        """Wait for its end. One that closed its channel, or wrote to it what is no frame, may live on: it is killed."""
        try:
            await asyncio.wait_for(asyncio.shield(self._server.ended(self.pid)), LEAVE_S)
        except TimeoutError:
            self.silent = self.silent or "it closed its channel, or wrote to it what is no frame, and stayed"
            self.kill()

    def met_limit(self) -> bool:
        """True when the kernel has killed a process of this attempt at the limit of the worker's own cgroup."""
        return self._guard.places.kills(self.watch)[0] > 0

    async def ending(self, step: str, *, memory_error: bool, kernel_kills: int) -> Ending:
        """Why it gave no answer, or one that its cgroup's limit explains, once it has ended."""
        if not memory_error:
            await self._leave()
        status, stderr = await self.bury()
        watch = self.watch
        at_own_limit, at_outer = self._guard.places.kills(watch)
        return classify(
            step,
            Facts(
                status=status,
                reserved=self._reserved(),
                peak=watch.peak,
                killed=watch.killed,
                overran=watch.overran,
                memory_error=memory_error,
                silent=self.silent,
                time_limit=self._time_limit if self.timed_out else None,
                kernel_kills=kernel_kills,
                outer_kills=at_outer,
                limit_kills=at_own_limit,
                limit=watch.limit,
                stderr=stderr,
            ),
        )

    def _write(self, frame: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(protocol.encode(frame))


async def _place(places: Places, reserved: int) -> Slot | None:
    """A group for a worker with so many bytes; given back when nobody waits for it any more."""
    if not places.given:
        return None
    taking = asyncio.ensure_future(asyncio.to_thread(places.take, reserved))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(lambda taken: places.leave(taken.result()))
        raise


async def _read_frame(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next frame; None when the worker is gone or sends what is no frame."""
    try:
        length = protocol.HEAD.unpack(await reader.readexactly(protocol.HEAD.size))[0]
        if length > protocol.MAX_FRAME:
            return None
        frame = json.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None
    return frame if isinstance(frame, dict) else None


class _Tail:
    """The end of what a worker prints, read until it ends."""

    def __init__(self, descriptor: int) -> None:
        self._kept: deque[bytes] = deque()
        self._reading = asyncio.create_task(self._read(descriptor))

    def clear(self) -> None:
        """Forget what came so far: it is of another attempt."""
        self._kept.clear()

    async def text(self) -> str:
        """The end of it, once the worker has ended."""
        await self._reading
        return b"".join(self._kept)[-_STDERR_TAIL:].decode(errors="replace")

    async def _read(self, descriptor: int) -> None:
        reader = asyncio.StreamReader(limit=_STDERR_TAIL)
        pipe = os.fdopen(descriptor, "rb", buffering=0)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            while part := await reader.read(_STDERR_TAIL):
                self._kept.append(part)
                while sum(map(len, self._kept)) - len(self._kept[0]) >= _STDERR_TAIL:
                    self._kept.popleft()
        finally:
            transport.close()
