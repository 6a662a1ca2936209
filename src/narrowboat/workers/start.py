"""Starting workers and talking to them, from the supervisor.

Covers: the fork server's life, a worker's life, attempts as a stream of frames, the kept end of what it printed.
Does not cover: which step when (``runner/``), or the processes' own side (``forkserver``, ``child``).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from narrowboat.errors import WorkerDied
from narrowboat.workers import protocol
from narrowboat.workers.ending import Ending, Facts, classify
from narrowboat.workers.guard import Guard, Watch

_STDERR_TAIL = 4096  # bytes of a worker's output that are kept for the reason of a failure


class ForkServer:
    """The supervisor's side of the fork server. Started with the first worker, and again if it was killed."""

    def __init__(self, preload: Sequence[str] = ()) -> None:
        self._preload = list(preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ids = itertools.count()
        self._started: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ended: dict[int, asyncio.Future[int | None]] = {}

    @property
    def pid(self) -> int | None:
        """The pid; None when it does not run."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the process unless it runs."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "narrowboat.workers.forkserver", str(theirs.fileno()), *self._preload],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is ours to answer
                env=worker_environment(),
            )
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._hear)

    async def fork(self, channel: socket.socket, output: int) -> tuple[int, int | None]:
        """Start a worker on the given descriptors; its pid and start time in clock ticks.

        Raises:
            WorkerDied: the fork server ended before it answered.
        """
        self.start()
        assert self._control is not None
        number = next(self._ids)
        answer = asyncio.get_running_loop().create_future()
        self._started[number] = answer
        request = json.dumps({"op": "start", "id": number}).encode()
        try:
            socket.send_fds(self._control, [request], [channel.fileno(), output])
            report = await answer
        except OSError as error:
            self._lost()
            raise WorkerDied(f"the fork server could not be reached: {error}") from error
        finally:
            self._started.pop(number, None)
        return report["pid"], report["ticks"]

    def ended(self, pid: int) -> asyncio.Future[int | None]:
        """Done with the wait status of a worker when it has been buried; None when the fork server is gone."""
        return self._ended.setdefault(pid, asyncio.get_running_loop().create_future())

    def forget(self, pid: int) -> None:
        """The worker's end has been taken note of: its pid may come again."""
        self._ended.pop(pid, None)

    async def close(self) -> None:
        """End it, and with it every worker; returns when it is gone."""
        process = self._process
        self._lost()
        if process is not None:
            await asyncio.to_thread(process.wait)

    def _hear(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        report = json.loads(data)
        if "ended" in report:
            future = self._ended.get(report["ended"])
            if future is not None and not future.done():
                future.set_result(report["status"])
        elif report["id"] in self._started:
            self.ended(report["pid"])
            self._started[report["id"]].set_result(report)

    def _lost(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
        process, self._process, self._control = self._process, None, None
        for answer in self._started.values():
            if not answer.done():
                answer.set_exception(WorkerDied("the fork server ended"))
        for future in self._ended.values():
            if not future.done():
                future.set_result(None)
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0)


def worker_environment() -> dict[str, str]:
    """The workers' environment: ours, with one thread for each numeric library and two malloc arenas.

    Threads are what a step asks the budget for; a library that starts one per core would take them unasked.
    Arenas are memory that one thread freed and another can't use.
    """
    fixed = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return {**os.environ, **fixed, "PYTHONUNBUFFERED": "1"}


class Worker:
    """One worker process, from start to burial. Serves one attempt at a time."""

    def __init__(
        self,
        pid: int,
        ticks: int | None,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        tail: asyncio.Task[str],
        server: ForkServer,
        guard: Guard,
        reserved: Callable[[], int],
    ) -> None:
        self.pid = pid
        self.ticks = ticks
        self._reader, self._writer = streams
        self._tail = tail
        self._server = server
        self._guard = guard
        self._reserved = reserved
        self._buried = False
        self._burial: asyncio.Task[tuple[int | None, str]] | None = None
        self.watch: Watch = guard.watch(pid, reserved)

    @classmethod
    async def start(cls, server: ForkServer, guard: Guard, reserved: Callable[[], int]) -> Worker:
        """Fork one; ``reserved`` tells the bytes of its reservation at any time."""
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        try:
            pid, ticks = await server.fork(theirs, write_end)
        except BaseException:
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        tail = asyncio.create_task(_read_tail(read_end))
        streams = await asyncio.open_connection(sock=ours)
        return cls(pid, ticks, streams, tail, server, guard, reserved)

    async def attempt(self, call: protocol.Call) -> AsyncGenerator[dict[str, Any]]:
        """Run one attempt: its ``item``, ``progress`` and ``log`` frames, and last ``done``, ``stopped`` or ``error``.

        The stream ends without one of the last three when the worker has died; :meth:`bury` tells how.
        """
        self._guard.begin(self.watch)
        self._write(call.frame())
        while (frame := await _read_frame(self._reader)) is not None:
            if frame["op"] == "ready":
                continue
            yield frame
            if frame["op"] in ("done", "stopped", "error"):
                return

    def stop(self) -> None:
        """Ask the step to stop at its next item."""
        self._write({"op": "stop"})

    def set_cores(self, cores: int) -> None:
        """Tell the step how many cores it may use from now on."""
        self._write({"op": "cores", "cores": cores})

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
        status = await self._server.ended(self.pid)
        if status is None:
            self.kill()  # the fork server died: whatever it had not taken along goes now
        self._buried = True
        self._guard.forget(self.watch)
        self._server.forget(self.pid)
        self._writer.close()
        return status, await self._tail

    async def ending(self, step: str, *, memory_error: bool, kernel_kills: int) -> Ending:
        """Why it gave no answer, once it has ended."""
        status, stderr = await self.bury()
        watch = self.watch
        return classify(
            step,
            Facts(
                status=status,
                reserved=self._reserved(),
                peak=watch.peak,
                killed=watch.killed,
                overran=watch.overran,
                memory_error=memory_error,
                kernel_kills=kernel_kills,
                stderr=stderr,
            ),
        )

    def _write(self, frame: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(protocol.encode(frame))


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


async def _read_tail(descriptor: int) -> str:
    """Read what a worker prints until it ends, and keep the end of it."""
    reader = asyncio.StreamReader(limit=_STDERR_TAIL)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    kept: deque[bytes] = deque()
    size = 0
    try:
        while part := await reader.read(_STDERR_TAIL):
            kept.append(part)
            size += len(part)
            while size - len(kept[0]) >= _STDERR_TAIL:
                size -= len(kept.popleft())
    finally:
        transport.close()
    return b"".join(kept)[-_STDERR_TAIL:].decode(errors="replace")
