"""The fork server: a small process that starts workers, buries them, and ends them when the supervisor dies.

Covers: the process itself, ``python -m narrowboat.workers.forkserver FD TRACES [MODULE …]``.
Does not cover: the supervisor's side of it (``start``) or what a worker does (``child``).

It imports what workers need and runs none of it: forking a process that is busy inside a native library can
hang the child. Requests and reports are single datagrams of JSON on a SOCK_SEQPACKET socket:

- request ``{"op": "start", "id": n, "group": …, "oom_first": …, "limit_data": …}`` with two descriptors (the worker's
  channel, its output): the ``cgroup.procs`` of the worker's own cgroup or null, and which limits it gives itself;
  answer ``{"id": n, "pid": …, "ticks": …, "outside": …}``: why it is not in that cgroup, or null
- request ``{"op": "close"}``: the supervisor ends, and clears its cgroups away itself
- report ``{"loaded": true, "used": bytes}``, once, when all that is to be preloaded has been imported
- report ``{"ended": pid, "status": wait status}``

It is the subreaper, so orphans of a worker come to it: it kills what remains of a worker's session when the worker
has ended, and everything below it when the supervisor's end of the socket closes. When that comes unannounced, the
supervisor was killed: its cgroups, ``TRACES``, are cleared away too.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from narrowboat.memory.processes import children, process_used, start_ticks, tree
from narrowboat.workers import child, sandbox
from narrowboat.workers.groups import clear_traces


class ForkServer:
    """The loop; one per supervisor."""

    def __init__(self, control: socket.socket, traces: dict[str, Any] | None) -> None:
        self._control = control
        self._traces = traces
        self._workers: set[int] = set()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)

    def run(self) -> None:
        """Serve until the supervisor is gone; then kill everything below and return."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._send({"loaded": True, "used": process_used(os.getpid())})
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                    self._bury()
                if self._control.fileno() in ready and not self._serve():
                    break
        self._end_all()
        if self._traces is not None:
            clear_traces(self._traces)

    def _serve(self) -> bool:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, 4096, 2)
        except ConnectionError:
            return False
        if not data:
            return False
        request = json.loads(data)
        if request["op"] == "close":
            self._traces = None
            return True
        pid = self._fork(fds, oom_first=request["oom_first"], limit_data=request["limit_data"])
        for fd in fds:
            os.close(fd)
        # Moved from here and before the answer: nobody has called it yet, and who asked for it hears of a failure.
        outside = _move(pid, request["group"]) if request["group"] is not None else None
        self._send({"id": request["id"], "pid": pid, "ticks": start_ticks(pid), "outside": outside})
        return True

    def _fork(self, fds: list[int], *, oom_first: bool, limit_data: bool) -> int:
        channel, output = fds
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._workers.add(pid)
            return pid
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            self._control.close()
            os.close(self._wake_read)
            os.close(self._wake_write)
            sandbox.enter(parent, output, oom_first=oom_first, limit_data=limit_data)
            code = child.serve(socket.socket(fileno=channel))
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _bury(self) -> None:
        """Collect the dead, kill what a dead worker left behind, and report it."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._workers:
                self._workers.discard(pid)
                _kill_group(pid)
                self._send({"ended": pid, "status": status})
        self._kill_orphans()

    def _kill_orphans(self) -> None:
        """Children that are not workers were handed to us: they go unless their session's worker lives."""
        for pid in children(os.getpid()):
            if pid in self._workers:
                continue
            try:
                owner = os.getsid(pid)
            except ProcessLookupError:
                continue
            if owner not in self._workers:
                for member in reversed(tree(pid)):
                    _kill(member)

    def _end_all(self) -> None:
        """Kill every worker, its group, and all that is below us, until nothing is left."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for _ in range(200):
            for pid in list(self._workers):
                _kill_group(pid)
            left = tree(os.getpid())[1:]
            for pid in left:
                _kill(pid)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not left:
                return
            time.sleep(0.01)  # killed processes take a moment to give back their memory

    def _send(self, report: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # the supervisor is gone: the loop sees it next
            self._control.send(json.dumps(report).encode())


def _move(pid: int, door: str) -> str | None:
    """Put a process into a cgroup; why it can't be done, or None."""
    try:
        Path(door).write_text(str(pid))
    except OSError as error:
        return error.strerror or str(error)
    return None


def _kill_group(pgid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signal.SIGKILL)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Import the modules named on the command line and serve."""
    sandbox.become_subreaper()
    sandbox.wake_without_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends when the supervisor does, not before
    for name in argv[2:]:
        with contextlib.suppress(ImportError):  # an extra that is not installed: the step that needs it will say so
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a worker must not touch, and so copy, the pages that it shares with us
    control = socket.socket(fileno=int(argv[0]))
    ForkServer(control, json.loads(argv[1])).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
