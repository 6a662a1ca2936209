"""Limits of memory for tests: of a runner in the test process, and real ones, in ``bench/box.py``, with what that
measured.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from narrowboat.memory.processes import process_used
from narrowboat.sizes import parse_size


def with_tests() -> str:
    """A ``PYTHONPATH`` by which a command finds the steps of the tests, beside all that it found before."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))


def beside(limit: str | int) -> int:
    """A limit for a runner in the test process that leaves ``limit`` beside what that has: the models and clients that
    other tests have loaded into it are no part of a supervisor.
    """
    return process_used(os.getpid()) + (limit if isinstance(limit, int) else parse_size(limit))


def boxed(stdout: str) -> dict[str, Any]:
    """The report of the box: the last line that it printed."""
    measured: dict[str, Any] = json.loads(stdout.strip().splitlines()[-1])
    return measured


def told_in_a_box(box: list[str], size: str, command: list[str], timeout: float = 120) -> tuple[Any, dict[str, Any]]:
    """What a command told in its last line, as JSON, and what the box measured; the tests' steps can be imported."""
    done = subprocess.run(
        [*box, size, "--", *command],
        env={**os.environ, "PYTHONPATH": with_tests()},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr.strip().splitlines()[-1]), boxed(done.stdout)
