"""The supervisor's side of the fork server.

Covers: starting it, asking it for workers, hearing of their ends, noticing that it hangs or has gone.
Does not cover: the process itself (``forkserver``), or the workers (``start``).
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
from collections.abc import Mapping, Sequence
from typing import Any

from narrowboat.errors import WorkerDied

#: Seconds in which a fork server that was asked something must answer; a start takes 10 ms.
_SERVER_SILENT_S = 20.0
#: Seconds that it may take to import what it preloads: 1 on a quiet machine, far more from a slow disk or on a tenth of
#: a core. Killed too soon, it would never get there.
_SERVER_LOADING_S = 300.0

#: Seconds that it gets to end its workers and itself, before it is killed: one that was stopped never would.
_CLOSE_S = 5.0


class ForkServer:
    """The supervisor's side of the fork server. Started with the first worker, and again if it was killed."""

    def __init__(self, preload: Sequence[str] = (), traces: Mapping[str, Any] | None = None) -> None:
        self._preload = list(preload)
        self._traces = traces  # what it is to clear away if we are killed; see ``groups.clear_traces``
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ids = itertools.count()
        self._started: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ended: dict[int, asyncio.Future[int | None]] = {}
        self._burying: set[int] = set()
        self._silent_s = 0.0
        self._loaded = False
        self._told = asyncio.Event()  # it has loaded, or ended before
        self._asked = 0  # how many wait for that
        self._begins_with = 0
        self._why = ""  # it was killed by us

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
                [
                    *(sys.executable, "-m", "narrowboat.workers.forkserver"),
                    *(str(theirs.fileno()), json.dumps(self._traces), *self._preload),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal is ours to answer
                env=worker_environment(),
            )
        ours.setblocking(False)
        self._control, self._loaded, self._why, self._silent_s = ours, False, "", 0.0
        self._told.clear()
        asyncio.get_running_loop().add_reader(ours, self._hear)

    async def begins_with(self) -> int:
        """Bytes (anonymous + shared) that a worker begins with: those of the fork server when it has imported all that
        it preloads. Waits for that; 0 when it never got there.
        """
        self.start()
        self._asked += 1
        try:
            await self._told.wait()
        finally:
            self._asked -= 1
        return self._begins_with

    async def fork(self, channel: socket.socket, output: int, beginning: Mapping[str, Any]) -> dict[str, Any]:
        """Start a worker on the given descriptors.

        Args:
            beginning: what the worker begins with; see ``forkserver``.

        Returns:
            ``pid``, ``ticks`` (its start time in clock ticks), ``outside`` (why it is not in the cgroup that was meant
            for it, or None).

        Raises:
            WorkerDied: the fork server ended before it answered.
        """
        self.start()
        assert self._control is not None
        number = next(self._ids)
        answer = asyncio.get_running_loop().create_future()
        self._started[number] = answer
        request = json.dumps({"op": "start", "id": number, **beginning}).encode()
        try:
            socket.send_fds(self._control, [request], [channel.fileno(), output])
            report: dict[str, Any] = await answer
        except OSError as error:
            self._lost()
            raise WorkerDied(f"the fork server could not be reached: {error}") from error
        finally:
            self._started.pop(number, None)
        return report

    def look(self, passed_s: float) -> None:
        """Kill it when it owes an answer for too long; ``passed_s`` seconds have passed since the last look."""
        owes = bool(self._started or self._burying or (self._asked and not self._loaded))
        self._silent_s = self._silent_s + passed_s if owes else 0.0
        if self._silent_s > (_SERVER_SILENT_S if self._loaded else _SERVER_LOADING_S) and self._process is not None:
            self._why = f": it gave no answer for {self._silent_s:.0f} s and was killed"
            self._process.kill()  # its workers go with it, and their attempts start again
            self._silent_s = 0.0

    async def burial(self, pid: int) -> int | None:
        """The wait status of a worker that is known to be ending."""
        self._burying.add(pid)
        try:
            return await self.ended(pid)
        finally:
            self._burying.discard(pid)

    def ended(self, pid: int) -> asyncio.Future[int | None]:
        """Done with the wait status of a worker when it has been buried; None when the fork server is gone."""
        return self._ended.setdefault(pid, asyncio.get_running_loop().create_future())

    def forget(self, pid: int) -> None:
        """The worker's end has been taken note of: its pid may come again."""
        self._ended.pop(pid, None)

    async def close(self) -> None:
        """End it, and with it every worker; returns when it is gone."""
        process = self._process
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps({"op": "close"}).encode())
        self._lost()
        if process is not None:
            try:
                await asyncio.to_thread(process.wait, _CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()  # its workers go with it
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
        self._silent_s = 0.0
        report = json.loads(data)
        if "loaded" in report:
            self._loaded, self._begins_with = True, report["used"]
            self._told.set()
        elif "ended" in report:
            future = self._ended.get(report["ended"])
            if future is not None and not future.done():
                future.set_result(report["status"])
        elif report["id"] in self._started:
            self.ended(report["pid"])
            self._started[report["id"]].set_result(report)

    def _lost(self) -> None:
        self._told.set()
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
        process, self._process, self._control = self._process, None, None
        for answer in self._started.values():
            if not answer.done():
                answer.set_exception(WorkerDied(f"the fork server ended{self._why}"))
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
