"""The life of the service: a runner, a socket, signals.

Covers: taking the address, going on with what was left, serving, ending in order.
Does not cover: what is served (``app``), the options (``cli/commands/serve``).

At the end nothing new is taken while what runs gets its time (``drain``); then work is stopped at an item boundary and
kept. The next start goes on with it before it takes anything in.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn

from narrowboat.disk import file_system
from narrowboat.errors import UsageError
from narrowboat.service.app import application
from narrowboat.service.connections import MOST, PatientProtocol
from narrowboat.service.service import Service

#: Bytes of a request's head.
_HEAD = 32 << 10
#: Seconds that running steps get to reach an item boundary after the drain, and that answers get to be sent.
_STOP_S, _ANSWERS_S = 4.0, 1
#: File systems of containers and of memory.
_NOT_KEPT = ("overlay", "aufs", "tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service listens. Port 0 takes any that is free."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def bind(address: Address) -> socket.socket:
    """The socket, which does not listen yet: a taken address is told before anything starts.

    Raises:
        UsageError: it can't be had.
    """
    try:
        family, kind, _, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(where)
    except OSError as error:
        raise UsageError(
            f"{address.host}:{address.port} can't be listened on: {error.strerror or error}",
            hint="choose another with --host and --port",
        ) from error
    return found


class _Server(uvicorn.Server):
    """uvicorn's, without its signals: they are ours to answer.

    Attributes:
        up: set when it takes connections.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    service: Service, bound: socket.socket, *, drain_s: float, beside: Sequence[Coroutine[Any, Any, None]] = ()
) -> None:
    """Serve until a signal ends it.

    Args:
        service: of a runner that was entered.
        bound: from :func:`bind`; closed at the end.
        drain_s: seconds that running jobs get to end.
        beside: what else goes on for as long as it is up.
    """
    runner, log = service.runner, service.log
    resumed = await runner.keeper.resume(runner.retry)
    server = _Server(_config(service))
    tasks = [asyncio.create_task(one) for one in (service.watch.run(), service.sweep(), *beside)]
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    ends = _ends()
    for task in tasks:
        task.add_done_callback(lambda done: _ended_by(done, ends, service))
    _say_where(service)
    try:
        await _first(server.up.wait(), serving)
        host, port = bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log("listening", address=f"http://{shown}:{port}", resumed=resumed, open=service.settings.open, pid=os.getpid())
        await _first(ends.wait(), serving)
        await _end(service, drain_s)
    finally:
        service.watch.close()
        server.should_exit = True
        await asyncio.wait([serving])
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for done in (serving, *tasks):
        if not done.cancelled():
            done.result()
    log("ended")


def _ended_by(task: asyncio.Task[None], ends: asyncio.Event, service: Service) -> None:
    """End in order when something that has to go on for as long as we are up has failed: without it people would wait
    for what never comes, and whoever started us starts us again."""
    if not task.cancelled() and task.exception() is not None:
        service.log("mistake", error=repr(task.exception()))
        ends.set()


def _say_where(service: Service) -> None:
    """Say when the home goes with the container, or lies in memory."""
    kind = file_system(service.runner.home)
    if kind in _NOT_KEPT:
        hint = "jobs and outputs go with this container: mount a disk, and set --home to a folder on it"
        service.log("home is not kept", file_system=kind, hint=hint)


async def _end(service: Service, drain_s: float) -> None:
    service.draining = True
    service.log("ending", queued=service.queued(), drain_s=drain_s)
    await service.runner.drain(drain_s)
    await service.runner.stop(_STOP_S)
    await service.watch.look()  # whoever waits for a job that has ended just now hears of it


async def _first(happens: Coroutine[Any, Any, object], serving: asyncio.Task[None]) -> None:
    """Wait for something, or for the end of serving."""
    waiting = asyncio.ensure_future(happens)
    await asyncio.wait([waiting, serving], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _ends() -> asyncio.Event:
    """Set by the first signal that means the end."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, event.set)
    return event


def _config(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        application(service),
        http=PatientProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=MOST,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_ANSWERS_S,
        h11_max_incomplete_event_size=_HEAD,
    )
