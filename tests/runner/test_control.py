"""The control socket, asked by another party while a run goes on."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Runner, Step
from narrowboat.errors import NotFound, UsageError
from narrowboat.runner.asking import ask


async def asked(home: Path, request: dict[str, Any]) -> Any:
    """Asked in a thread, since the supervisor that answers is in this process."""
    return await asyncio.to_thread(ask, home, request)


async def started(runner: Runner) -> str:
    while not runner.status().jobs or runner.status().jobs[0].used_bytes == 0:
        await asyncio.sleep(0.01)
    return runner.status().jobs[0].id


def test_status_cancel_and_errors(tmp_path: Path) -> None:
    async def main() -> None:
        async with Runner(beside("512M"), home=tmp_path) as runner:
            results = runner.map(Step(steps.sleeps, memory="20M"), [600])
            task = asyncio.ensure_future(anext(results))
            job = await started(runner)
            socket = tmp_path / "control.sock"
            assert stat.S_IMODE(socket.stat().st_mode) == 0o600
            status = await asked(tmp_path, {"op": "status"})
            assert status is not None
            assert status["counts"]["running"] == 1
            assert status["jobs"][0]["reserved_bytes"] == 20 << 20
            with pytest.raises(NotFound):
                await asked(tmp_path, {"op": "cancel", "id": "zzzz"})
            with pytest.raises(UsageError, match="knows no"):
                await asked(tmp_path, {"op": "explode"})
            with pytest.raises(UsageError, match="is running"):
                await asked(tmp_path, {"op": "retry", "id": job})
            answer = await asked(tmp_path, {"op": "cancel", "id": job})
            assert answer is not None
            assert answer["state"] == "cancelled"
            assert (await task).error is not None
            with pytest.raises(UsageError, match="ended already"):
                await asked(tmp_path, {"op": "cancel", "id": job})

    asyncio.run(main())


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n", b"{}\n", b'{"op": "status"'])
def test_nonsense_does_not_hurt_it(tmp_path: Path, line: bytes) -> None:
    async def main() -> None:
        async with Runner(beside("512M"), home=tmp_path):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "control.sock"))
            writer.write(line)
            writer.write_eof()
            answer: Any = await reader.read()
            assert answer == b"" or "error" in json.loads(answer)
            writer.close()
            assert await asked(tmp_path, {"op": "status"}) is not None

    asyncio.run(main())


def test_without_a_supervisor_there_is_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path, {"op": "status"}) is None


def test_a_home_with_a_very_long_path_has_a_socket_too(tmp_path: Path) -> None:
    home = tmp_path / ("long-" * 20) / ("longer-" * 15)

    async def main() -> None:
        async with Runner(beside("512M"), home=home):
            assert await asked(home, {"op": "status"}) is not None

    asyncio.run(main())
