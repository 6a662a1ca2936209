"""Writes traces of made-up steps, for ``bench/estimator.py``: one file for each way in which a peak may come about.

    python bench/made_up_traces.py DIR [--seed 1]

Covers: what real traces have little of: exact laws, drifts, jumps, heavy tails, two kinds of input in one step.
Does not cover: being likely. Each file has groups of 20 to 200 tasks, with a size of input that is log-normal.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Callable
from pathlib import Path

SIZES = (20, 30, 60, 100, 200)
GROUPS = 3  # of each size
_COLUMNS = ("process", "status", "memory", "start", "complete", "realtime", "peak_rss", "rchar")
MIB = 1 << 20

#: Peak in MiB of a step's ``base`` and ``slope``, the size of input, how far through the group it is (0 to 1), a random
#: source, and the step's own ``noise`` (a share).
Law = Callable[[float, float, float, float, random.Random, float], float]

LAWS: dict[str, Law] = {
    "always_the_same": lambda base, slope, size, when, rng, noise: 10 * base,
    "noise_around_one_value": lambda base, slope, size, when, rng, noise: 10 * base * (1 + rng.gauss(0, noise)),
    "a_few_mib": lambda base, slope, size, when, rng, noise: 3 + 3 * rng.random(),
    "line": lambda base, slope, size, when, rng, noise: base + 300 * slope * size,
    "line_with_noise": lambda base, slope, size, when, rng, noise: base + 300 * (slope * size + rng.gauss(0, noise)),
    "line_noise_in_proportion": lambda base, slope, size, when, rng, noise: (
        (base + 300 * slope * size) * (1 + rng.gauss(0, noise))
    ),
    "square": lambda base, slope, size, when, rng, noise: (
        (base + 100 * slope * size**2) * (1 + rng.gauss(0, noise / 2))
    ),
    "root": lambda base, slope, size, when, rng, noise: (
        (base + 300 * slope * size**0.5) * (1 + rng.gauss(0, noise / 2))
    ),
    "flat_above_a_size": lambda base, slope, size, when, rng, noise: (
        (base + 2000 * min(1.0, size)) * (1 + rng.gauss(0, noise / 2))
    ),
    "two_lines": lambda base, slope, size, when, rng, noise: (
        (base + rng.choice((60, 300)) * size) * (1 + rng.gauss(0, noise / 2))
    ),
    "two_values": lambda base, slope, size, when, rng, noise: (
        base * (1 if rng.random() < 0.7 else 4) * (1 + rng.gauss(0, noise))
    ),
    "seldom_three_times": lambda base, slope, size, when, rng, noise: (
        5 * base * (1 if rng.random() < 0.97 else 3) * (1 + rng.gauss(0, noise))
    ),
    "doubles_slowly": lambda base, slope, size, when, rng, noise: 5 * base * (1 + when) * (1 + rng.gauss(0, noise / 3)),
    "doubles_at_once": lambda base, slope, size, when, rng, noise: (
        5 * base * (1 if when < 0.6 else 2) * (1 + rng.gauss(0, noise))
    ),
    "heavy_tail": lambda base, slope, size, when, rng, noise: 5 * base * rng.paretovariate(2.5),
    "log_normal": lambda base, slope, size, when, rng, noise: 5 * base * rng.lognormvariate(0, 0.5),
}


def rows(law: Law, count: int, process: str, rng: random.Random) -> list[dict[str, object]]:
    """The tasks of one step, one after the other."""
    base, slope, noise = rng.uniform(20, 500), rng.lognormvariate(0, 1.5), rng.uniform(0.005, 0.15)
    made: list[dict[str, object]] = []
    clock = 0
    for number in range(count):
        size, took = rng.lognormvariate(0, 1), int(1000 * rng.lognormvariate(3, 1))
        peak = int(max(1.0, MIB * law(base, slope, size, number / count, rng, noise)))
        values = (process, "COMPLETED", 8 << 30, clock, clock + took, took, peak, int(size * 1e9))
        made.append(dict(zip(_COLUMNS, values, strict=True)))
        clock += took
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name, law in LAWS.items():
        rng = random.Random(f"{name} {given.seed}")
        with (given.folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            for count in SIZES:
                for group in range(GROUPS):
                    writer.writerows(rows(law, count, f"{name}_{count}_{group}", rng))


if __name__ == "__main__":
    main()
