"""The supervisor's side of the fork server: how long it is waited for."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from narrowboat.errors import WorkerDied
from narrowboat.memory.processes import process_state
from narrowboat.sizes import MIB
from narrowboat.workers.server import ForkServer

LOOK_S = 19.0
#: A preload that takes as long as the test wants: it waits for somebody to write to a named pipe.
SLOW = "from pathlib import Path; Path(__file__).with_name('pipe').open().read(1)"


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "slow_to_load.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    end = os.open(tmp_path / "pipe", os.O_RDWR)  # for both ends: opening it waits for nobody
    yield end
    os.close(end)


def test_what_takes_long_to_import_is_waited_for(pipe: int) -> None:
    async def main() -> None:
        server = ForkServer(["slow_to_load"])
        server.start()
        asked = asyncio.create_task(ask(server))
        first = server.pid
        for _ in range(10):
            await asyncio.sleep(0)
            server.look(LOOK_S)
        os.write(pipe, b"!")
        assert await asked > 0
        assert server.pid == first
        await server.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_but_not_for_ever_and_that_is_said(pipe: int) -> None:
    async def main() -> None:
        server = ForkServer(["slow_to_load"])
        server.start()
        asked = asyncio.create_task(ask(server))
        for _ in range(20):
            await asyncio.sleep(0)
            server.look(LOOK_S)
        with pytest.raises(WorkerDied, match="gave no answer for 304 s and was killed"):
            await asked
        await server.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_one_that_was_stopped_does_not_keep_the_runner_from_ending() -> None:
    async def main() -> None:
        server = ForkServer()
        server.start()
        await ask(server)
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await server.close()
        assert process_state(pid) is None

    asyncio.run(asyncio.wait_for(main(), 60))


def test_it_tells_what_a_worker_begins_with() -> None:
    async def main(*preload: str) -> int:
        server = ForkServer(preload)
        told = await server.begins_with()
        await server.close()
        return told

    bare, more = (asyncio.run(asyncio.wait_for(main(*preload), 60)) for preload in ((), ("numpy",)))
    assert 2 * MIB < bare < 24 * MIB
    assert bare + 2 * MIB < more < bare + 24 * MIB


def test_one_that_hangs_while_it_loads_is_not_waited_for_forever(pipe: int) -> None:
    async def main() -> None:
        server = ForkServer(["slow_to_load"])
        asked = asyncio.create_task(server.begins_with())
        for _ in range(20):
            await asyncio.sleep(0)
            server.look(LOOK_S)
        assert await asked == 0
        await server.close()

    asyncio.run(asyncio.wait_for(main(), 60))


async def ask(server: ForkServer) -> int:
    """The pid of a worker that nobody needs; it ends as its channel closes."""
    ours, theirs = socket.socketpair()
    output = os.dup(theirs.fileno())
    with ours, theirs:
        started = await server.fork(theirs, output, {"group": None, "oom_first": False, "limit_data": False})
    os.close(output)
    return int(started["pid"])
