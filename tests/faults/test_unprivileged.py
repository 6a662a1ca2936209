"""An unprivileged user without capabilities: with cgroups that can't be written, and with one that was delegated."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from as_nobody import NOBODY
from boxes import boxed, with_tests

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
NEEDED = {Path(sys.base_prefix), Path(sys.prefix), ROOT}

RUN = """
import asyncio, json
import steps_for_tests as steps
from narrowboat import Runner, Step
from narrowboat.runner.report import report

async def main():
    async with Runner() as runner:
        async def results(function, memory, inputs):
            step = Step(getattr(steps, function), memory=memory)
            return [result async for result in runner.map(step, inputs)]
        fine, facts, hogs = await asyncio.gather(
            results("allocate", "60M", [{"mib": 40, "hold": 0.2, "n": n} for n in range(4)]),
            results("facts", "60M", [None]),
            results("hog", "150M", [0.012]),  # polling stops it also where the machine seldom runs us
        )
        told = {
            "fine": [result.value for result in fine],
            "oom_score_adj": facts[0].value["oom_score_adj"],
            "hog": hogs[0].error.to_json(),
            "enforcement": (await report(runner))["enforcement"],
        }
    print(json.dumps(told), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of the user's own; pytest's may be entered by root only."""
    folder = Path(tempfile.mkdtemp(prefix="narrowboat-nobody-"))
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody(box: list[str]) -> list[str]:
    """The command that runs another as the user, in a box of 300 MiB: ``[*as_nobody, OPTION, …, "--", …]``."""
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ("mount", "umount", "setpriv")):
        pytest.skip("needs root, to become another user, and the tools of util-linux")
    readable = [word for path in sorted(NEEDED) for word in ("--readable", str(path))]
    command = [sys.executable, str(ROOT / "tests/faults/as_nobody.py"), *readable]
    tried = subprocess.run([*command, "--", "true"], check=False, capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"needs a mount namespace of its own: {tried.stderr.strip().splitlines()[-1]}")
    return [*box, "300M", "--", *command]


def run(command: list[str], home: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``python ARGUMENT …`` told as JSON, and what the box measured."""
    done = subprocess.run(
        [*command, "--", sys.executable, *arguments],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": with_tests()},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stderr[done.stderr.index("{") :])  # log lines may come before it
    return told, boxed(done.stdout)


def worker_group(command: list[str], home: Path) -> tuple[bool, str]:
    """Whether workers have cgroups, and what the doctor says of it; in a box of its own, since v2 wants us alone."""
    doctor, _ = run(command, home, "-m", "narrowboat", "doctor", "--json")
    tiers = {tier["name"]: tier for tier in doctor["guard"]}
    assert tiers["polling"]["in_force"]
    return tiers["cgroup"]["in_force"], tiers["cgroup"]["detail"]


def check_the_run(told: dict[str, Any], measured: dict[str, Any]) -> None:
    """The honest steps are done, the hog is an overrun with numbers, and the kernel had nothing to do in the box."""
    assert told["fine"] == [40 * MIB] * 4
    assert told["hog"]["code"] == "overrun"
    assert told["hog"]["facts"]["peak_bytes"] > told["hog"]["facts"]["reserved_bytes"] > 150 * MIB
    assert told["oom_score_adj"] == 1000
    assert (measured["enforced"], measured["kernel_kills"], measured["left"]) == (True, 0, 0)
    assert measured["peak_used"] < 300 * MIB


def test_with_cgroups_that_are_read_only_polling_guards_and_that_is_said(as_nobody: list[str], home: Path) -> None:
    command = [*as_nobody, "--read-only-cgroups"]
    told, measured = run(command, home, "-c", RUN)
    check_the_run(told, measured)
    in_force, why = worker_group(command, home)
    assert not in_force
    assert "read-only" in why
    assert "polling" in told["enforcement"]
    assert "cgroup" not in told["enforcement"]


def test_with_a_group_of_somebody_else_polling_guards_and_that_is_said(as_nobody: list[str], home: Path) -> None:
    told, measured = run(as_nobody, home, "-c", RUN)
    check_the_run(told, measured)
    in_force, why = worker_group(as_nobody, home)
    assert not in_force
    assert "user" in why
    assert "cgroup" not in told["enforcement"]


def test_with_a_delegated_group_each_worker_has_its_own(as_nobody: list[str], home: Path) -> None:
    command = [*as_nobody, "--delegate"]
    told, measured = run(command, home, "-c", RUN)
    check_the_run(told, measured)
    in_force, why = worker_group(command, home)
    assert in_force, why
    assert "cgroup" in told["enforcement"]
