"""Each means of the guard alone, and all together, against hogs in a real box of 512 MB."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from boxes import told_in_a_box, with_tests

MIB = 1 << 20
RESERVED = 60 * MIB
JUMP = 360  # MiB: 300 past the reservation

RUN = """
import asyncio, json, sys
import steps_for_tests as steps
from narrowboat import Runner, Step
from narrowboat.runner.report import report
from narrowboat.runner.attempts import StepRun

def give_up(self, ending, reservation):
    raise ending.error

StepRun._grow = give_up  # an overrun would start again with more, and hide how the first try ended

async def main(guard, calls):
    told = {}
    async with Runner(guard=guard) as runner:
        async def one(name, function, memory, inputs):
            async for result in runner.map(Step(getattr(steps, function), memory=memory, name=name), inputs):
                end = result.error.to_json() if result.error else {"code": "done", "value": result.value}
                told.setdefault(name, []).append(end)
        await asyncio.gather(*(one(*call) for call in calls))
        print(json.dumps({"told": told, "report": await report(runner),
                          "kernel_kills": runner.budget.machine.kernel_kills()}), flush=True)

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""


def run(box: list[str], guard: str, calls: list[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run told, and what the box measured. Nothing is tried again with more, so that each end is seen."""
    return told_in_a_box(box, "512M", [sys.executable, "-c", RUN, guard, json.dumps(calls)])


HOGS = ["jumps", "jumps_shared", "jumps_in_a_child", "jumps_in_a_daemon"]


@pytest.mark.parametrize("guard", ["cgroup", "polling", "auto"])
def test_who_jumps_past_its_reservation_dies_alone_and_is_told_with_numbers(box: list[str], guard: str) -> None:
    neighbours = ["fine", "allocate", "40M", [{"mib": 15, "hold": 0.5, "n": n} for n in range(8)]]
    calls = [[name, name, f"{RESERVED // MIB}M", [JUMP]] for name in HOGS]
    said, measured = run(box, guard, [*calls, neighbours])
    assert [end["code"] for end in said["told"]["fine"]] == ["done"] * 8
    ends = [said["told"][name][0] for name in HOGS]
    assert [end["code"] for end in ends] == ["overrun"] * len(HOGS), ends
    for end in ends:
        assert end["facts"]["reserved_bytes"] == RESERVED
        assert end["facts"]["peak_bytes"] >= RESERVED
        assert "of 60.0 MiB reserved" in end["message"]
    assert (measured["kernel_kills"], measured["left"], said["kernel_kills"]) == (0, 0, 0)
    assert measured["peak_used"] < 512 * MIB


@pytest.mark.parametrize("guard", ["cgroup", "polling", "auto"])
def test_page_cache_kills_nobody(box: list[str], guard: str) -> None:
    said, measured = run(box, guard, [["cache", "writes_and_reads", "40M", [700]]])
    assert said["told"]["cache"] == [{"code": "done", "value": 700 * MIB}]
    assert measured["kernel_kills"] == 0


@pytest.mark.parametrize("guard", ["cgroup", "polling", "auto"])
def test_many_processes_of_one_step_are_one_hog(box: list[str], guard: str) -> None:
    said, measured = run(box, guard, [["many", "forks_many", "60M", [{"processes": 60, "mib": 5}]]])
    (end,) = said["told"]["many"]
    assert end["code"] == "overrun"
    assert (measured["kernel_kills"], measured["left"]) == (0, 0)


NEIGHBOUR = """
import json, pathlib, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
run = subprocess.Popen(sys.argv[2:])
while len(list(folder.glob("*"))) < 2 and run.poll() is None:
    time.sleep(0.01)
blocks = []
for _ in range(150):
    blocks.append(bytearray(1 << 20))
    blocks[-1][::4096] = bytes(256)
    time.sleep(0.01)
time.sleep(0.5)
(folder / "neighbour").touch()
blocks.clear()
sys.exit(run.wait())
"""


@pytest.mark.parametrize("guard", ["polling,oom-score", "auto"])
def test_a_neighbour_that_grows_costs_a_worker_a_try_and_nobody_else_anything(
    box: list[str], tmp_path: Path, guard: str
) -> None:
    folder = tmp_path / "held"
    folder.mkdir()
    inputs = [{"mib": 190, "folder": str(folder), "n": n, "of": 3} for n in range(2)]
    calls = json.dumps([["held", "allocate_together", "204M", inputs]])
    again = RUN.replace("StepRun._grow = give_up", "")
    command = [sys.executable, "-c", NEIGHBOUR, str(folder), sys.executable, "-c", again, guard, calls]
    done = subprocess.run(
        [*box, "512M", "--", *command],
        env={**os.environ, "PYTHONPATH": with_tests()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr  # supervisor and neighbour live: if the kernel was first, it took a worker
    said = json.loads(done.stderr.strip().splitlines()[-1])
    assert [end["code"] for end in said["told"]["held"]] == ["done"] * 2
    stages = [event["stage"] for event in said["report"]["pressure"]]
    assert stages[0] in ("paused", "shedding")  # nobody is killed before the rest was tried
    assert stages[-1] == "calm"


def test_what_is_in_force_is_reported(box: list[str]) -> None:
    said, _ = run(box, "cgroup,rlimit", [["fine", "echo", "40M", [1]]])
    assert said["report"]["enforcement"] == ["cgroup", "own session", "rlimit", "subreaper"]
    assert said["report"]["oom_group"] is False
    assert said["report"]["pressure"] == []
