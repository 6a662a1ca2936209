"""Runs inside a real memory limit: what the kernel counts, not what we say of ourselves."""

import json
import sys
from typing import Any

from boxes import told_in_a_box

MIB = 1 << 20

RUN = """
import asyncio, json, sys
import steps_for_tests as steps
from narrowboat import Runner, Step

async def main(memory, calls):
    told = {}
    async with Runner(memory) as runner:
        async def one(name, function, memory, inputs):
            async for result in runner.map(Step(getattr(steps, function), memory=memory, name=name), inputs):
                told.setdefault(name, []).append(result.error.code if result.error else "done")
        await asyncio.gather(*(one(*call) for call in calls))
        print(json.dumps({"limit": runner.budget.limit.bytes, "source": runner.budget.limit.source, "told": told,
                          "kernel_kills": runner.budget.machine.kernel_kills()}), flush=True)

asyncio.run(main(json.loads(sys.argv[1]), json.loads(sys.argv[2])))
"""

HOG = """
import subprocess, sys, time
block = bytearray(int(sys.argv[1]) << 20)
for at in range(0, len(block), 4096):
    block[at] = 1
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


def run(box: list[str], size: str, memory: str | None, calls: list[Any], others_mib: int = 0) -> tuple[Any, Any]:
    """What the run said, and what the box measured; ``others_mib`` are held by a process that is not ours."""
    command = [sys.executable, "-c", RUN, json.dumps(memory), json.dumps(calls)]
    if others_mib:
        command = [sys.executable, "-c", HOG, str(others_mib), *command]
    return told_in_a_box(box, size, command)


def test_who_allocates_without_end_never_reaches_the_kernel(box: list[str]) -> None:
    calls = [
        ["hog", "hog", "50M", [None]],
        ["child", "hog_in_a_child", "50M", [None]],
        ["fine", "allocate", "60M", [{"mib": 40, "hold": 0.2, "n": n} for n in range(8)]],
    ]
    said, measured = run(box, "300M", None, calls)
    assert said["told"] == {"hog": ["overrun"], "child": ["overrun"], "fine": ["done"] * 8}
    assert said["limit"] == 300 * MIB
    assert said["source"].startswith("cgroup")
    assert (measured["kernel_kills"], said["kernel_kills"], measured["left"]) == (0, 0, 0)
    assert measured["peak_used"] < 300 * MIB


def test_a_neighbour_in_the_box_makes_the_budget_smaller_and_all_still_finish(box: list[str]) -> None:
    calls = [["fine", "allocate", "120M", [{"mib": 100, "hold": 0.3, "n": n} for n in range(4)]]]
    said, measured = run(box, "500M", None, calls, others_mib=250)
    assert said["told"] == {"fine": ["done"] * 4}
    assert (measured["kernel_kills"], measured["left"]) == (0, 0)


def test_what_only_the_neighbour_keeps_from_fitting_is_not_run_over_it(box: list[str]) -> None:
    said, measured = run(box, "300M", None, [["large", "allocate", "400M", [{"mib": 10}]]], others_mib=100)
    assert said["told"] == {"large": ["cannot_fit"]}
    assert measured["kernel_kills"] == 0


def test_an_override_above_the_box_is_bounded_by_the_box(box: list[str]) -> None:
    calls = [["fine", "allocate", "120M", [{"mib": 100, "hold": 0.3, "n": n} for n in range(4)]]]
    said, measured = run(box, "300M", "4G", calls)
    assert said["told"] == {"fine": ["done"] * 4}
    assert measured["kernel_kills"] == 0
