"""Random ``kill -9`` in short, by the benchmark that does two hundred of them; and one that comes at a bad moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import steps_for_tests as steps
from boxes import beside

from narrowboat import Runner, Step
from narrowboat.memory.processes import process_state, tree

KILLS = Path(__file__).resolve().parents[2] / "bench" / "kills.py"


@pytest.fixture(scope="module")
def model() -> str:
    name = "local:whisper-tiny.en"
    pull = [sys.executable, "-m", "narrowboat", "models", "pull", name, "sample-two-cities", "--quiet"]
    done = subprocess.run(pull, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the packs can't be had: {done.stderr.strip()}")
    return name


def test_a_dozen_random_kills_lose_repeat_and_leave_nothing(model: str, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    short = ["--kills", "12", "--files", "2", "--longest", "20", "--wait", "0.1,1.0", "--seed", "7"]
    done = subprocess.run(
        [sys.executable, str(KILLS), *short, "--model", model, "--json", str(told)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(told.read_text("utf-8"))
    assert (report["ok"], report["violations"], len(report["kills"])) == (True, [], 12)
    assert {kill["victim"] for kill in report["kills"]} >= {"the supervisor", "all of them"}


def test_a_fork_server_that_is_killed_as_it_starts_a_worker_fails_nothing() -> None:
    others = tree(os.getpid())  # we, and what other tests keep

    def started() -> list[int]:
        return [pid for pid in tree(os.getpid()) if pid not in others and process_state(pid) not in ("Z", None)]

    async def main() -> tuple[int, list[int]]:
        async with Runner(beside("512M")) as runner:
            await runner.call(Step(steps.echo, memory="40M", fresh=True), "first")
            (server,) = started()
            os.kill(server, signal.SIGSTOP)
            while process_state(server) != "T":
                await asyncio.sleep(0.01)
            call = asyncio.ensure_future(runner.call(Step(steps.echo, memory="40M"), "second"))
            while not runner.budget.snapshot().reserved:
                await asyncio.sleep(0.01)
            for _ in range(100):  # turns of the loop: now it has asked the fork server, and waits for the answer
                await asyncio.sleep(0)
            os.kill(server, signal.SIGKILL)
            assert await call == "second"
            return server, started()

    killed, following = asyncio.run(main())
    assert following
    assert killed not in following
