"""What a supervisor leaves that is killed with SIGKILL: its fork server clears it away, before any next start."""

import sys

import pytest
from boxes import told_in_a_box

SUPERVISOR = """
import asyncio, os, signal, sys
import steps_for_tests as steps
from narrowboat import Runner, Step
from narrowboat.memory.processes import children

async def main():
    async with Runner("200M") as runner:
        await runner.call(Step(steps.who, memory="40M"), None)
        asyncio.ensure_future(runner.call(Step(steps.sleeps, memory="40M"), 600))
        await asyncio.sleep(0.3)
        if sys.argv[1:] == ["stopped"]:
            os.kill(children(os.getpid())[0], signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""

WATCHER = """
import json, subprocess, sys, time
from narrowboat.memory.cgroups import own_groups

folder = own_groups()[0].folder
died = subprocess.run([sys.executable, "-c", *sys.argv[1:]])
until = time.monotonic() + 10
while left := [entry.name for entry in folder.iterdir() if entry.is_dir()]:
    if time.monotonic() > until:
        break
    time.sleep(0.01)
print(json.dumps({"status": died.returncode, "left": left}), flush=True)
"""


@pytest.mark.parametrize("how", ["running", "stopped"])
def test_no_cgroup_and_no_process_is_left(box: list[str], how: str) -> None:
    """Also when the fork server had been stopped by a signal."""
    said, measured = told_in_a_box(box, "300M", [sys.executable, "-c", WATCHER, SUPERVISOR, how], timeout=60)
    assert (said["status"], said["left"]) == (-9, [])
    assert (measured["left"], measured["kernel_kills"]) == (0, 0)
