"""``kill -9`` of everything there is, in the middle of real speech: the same command goes on, and ends the same."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from command_harness import Cli
from test_while_it_runs import TINY, recognising, workers_of

ALL = ("--formats", "txt,srt,vtt,json")
GONE_WITHIN_S = 2.0


def wait_until_gone(pids: list[int]) -> None:
    """Until the processes have ended: no later than promised."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while [pid for pid in pids if Path(f"/proc/{pid}/cwd").exists()]:
        assert time.monotonic() < deadline, "a process outlives the supervisor"


@pytest.mark.parametrize("whom", ["the supervisor", "all of them"])
def test_killed_and_started_again_it_ends_as_if_nothing_had_been(cli: Cli, long_clip: Path, whom: str) -> None:
    other = str(cli.folder / "undisturbed")
    assert (
        cli.run("transcribe", long_clip, *TINY, *ALL, NARROWBOAT_HOME=f"{other}-home", NARROWBOAT_OUT=other).code == 0
    )

    running = cli.start("transcribe", long_clip, *TINY, *ALL)
    job_id = recognising(cli, running, long_clip, some_done=True)
    below = workers_of(running.process.pid)
    assert below
    for pid in [running.process.pid, *(below if whom == "all of them" else ())]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.end()
    wait_until_gone(below)
    assert not cli.out.exists() or not list(cli.out.iterdir())
    committed = cli.jobs()[job_id]["items"]
    assert committed >= 1

    on = cli.run("transcribe", long_clip, *TINY, *ALL, "--json")
    assert on.code == 0
    (job,) = on.json["jobs"]
    assert (job["id"], job["items_resumed"]) == (job_id, committed)
    assert not (cli.home / "scratch").exists()
    files = sorted(path.name for path in cli.out.iterdir())
    assert files == ["long.json", "long.srt", "long.txt", "long.vtt"]
    for name in files:
        assert (cli.out / name).read_bytes() == (Path(other) / name).read_bytes(), name
