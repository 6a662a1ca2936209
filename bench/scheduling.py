"""The same tasks in the same memory box, run by the standard library's process pool and by Narrowboat.

    python bench/scheduling.py

Covers: how many of 120 tasks finish in 512M on two cores, how long it takes, how often the kernel kills.
Does not cover: media; the tasks only hold memory and count. Each declares honestly what it will hold, 20 to 330 MiB;
a pool has no way to use that. Where no box can be made it says so and stops, since nothing would be shown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import box
from hog import TASKS, hold, tasks

from narrowboat import Demand, Runner, Step

LIMIT = 512 << 20
_INTERPRETER = 16 << 20  # what a process has besides, in bytes


def pool(workers: int) -> int:
    """How many tasks a pool finishes."""
    with ProcessPoolExecutor(workers) as executor:
        futures = [executor.submit(hold, task) for task in tasks()]
        return sum(future.exception() is None for future in futures)


def narrowboat() -> int:
    """How many tasks the runner finishes. It reads the limit off the box."""

    def demand(facts: Any) -> Demand:
        return Demand((facts["mib"] << 20) + _INTERPRETER)

    async def run() -> int:
        async with Runner(cores=2) as runner:
            return sum([result.ok async for result in runner.map(Step(hold, demand=demand), tasks())])

    return asyncio.run(run())


SYSTEMS: dict[str, Callable[[], int]] = {
    "ProcessPoolExecutor, 4 workers": lambda: pool(4),
    "ProcessPoolExecutor, 2 workers": lambda: pool(2),
    "ProcessPoolExecutor, 1 worker": lambda: pool(1),
    "Narrowboat": narrowboat,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--inside", nargs=2, metavar=("SYSTEM", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        Path(given.inside[1]).write_text(json.dumps(SYSTEMS[given.inside[0]]()))
        return
    figures = []
    print(f"{TASKS} tasks, {sum(task['seconds'] for task in tasks()):.0f} s of work, in a 512M box")
    print(f"{'':32} {'finished':>8} {'seconds':>8} {'kernel kills':>12} {'peak used':>10}")
    for name in SYSTEMS:
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "finished"
            measured = box.run([sys.executable, __file__, "--inside", name, str(result)], LIMIT)
            if not measured.enforced:
                sys.exit("no memory cgroup can be made here, so there is no box to compare in")
            finished = json.loads(result.read_text()) if result.exists() else 0
        print(
            f"{name:32} {finished:8} {measured.wall_s:8.0f} {measured.kernel_kills:12}"
            f" {measured.peak_used >> 20:6} MiB",
            flush=True,
        )
        figures.append({"system": name, "finished": finished, "seconds": measured.wall_s, **measured.__dict__})
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
