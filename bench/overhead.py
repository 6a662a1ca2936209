"""What Narrowboat itself costs: reservations, steps that do nothing, the journal, and `jobs` with very many of them.

    python bench/overhead.py [--jobs 100000] [--json FILE]

Covers: the price of the machinery, on the machine as it is. Exit code 1 when a figure misses what is wanted.
Does not cover: what steps do (``transcribe``), the first item of a short job (``warm``).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facts import machine

from narrowboat import Budget, Demand, Runner, Step
from narrowboat.journal import Claim, Journal, NewJob, StepRow
from narrowboat.sizes import MIB

#: A step of a module that workers have loaded already, so that what is measured is the way to it and back.
NOTHING = Step("narrowboat.sizes:format_size", memory="32M", name="nothing")
_AT_ONCE = 500  # jobs that are submitted without waiting for each other, where one at a time is not the question


@dataclass(frozen=True)
class Figure:
    """What was measured; ``wanted`` is the least, or where ``most`` is set the most, that is asked of it."""

    name: str
    value: float
    unit: str
    wanted: float | None = None
    most: bool = False

    @property
    def met(self) -> bool:
        """True when it is as wanted."""
        if self.wanted is None:
            return True
        return self.value <= self.wanted if self.most else self.value >= self.wanted


def pairs(threads: int, seconds: float = 2.0) -> float:
    """Reservations asked for, granted and given back a second, by so many threads together."""
    budget = Budget("1G")
    demand, counts, until = Demand(MIB, 0), [0] * threads, time.perf_counter() + seconds

    def work(number: int) -> None:
        while time.perf_counter() < until:
            for _ in range(100):
                budget.request(demand).result().release()
            counts[number] += 100

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


async def steps(warm_up: int = 50, count: int = 600) -> tuple[float, float]:
    """Inputs a second through ``Runner.map``, each a job of its own, once the workers are warm; and the
    supervisor's CPU seconds for one."""
    async with Runner("1G") as runner:
        async for result in runner.map(NOTHING, range(warm_up)):
            assert result.ok, result.error
        began, busy = time.perf_counter(), time.process_time()
        async for result in runner.map(NOTHING, range(warm_up, warm_up + count)):
            assert result.ok, result.error
        return count / (time.perf_counter() - began), (time.process_time() - busy) / count


async def journal(count: int = 500, items: int = 50_000) -> dict[str, float]:
    """Writes a second: jobs submitted and claimed one after the other, each on the disk before the next; items."""
    with tempfile.TemporaryDirectory() as folder:
        async with await Journal.open(Path(folder), owner="bench") as opened:

            async def rate(work: Callable[[int], Awaitable[Any]]) -> float:
                began = time.perf_counter()
                for number in range(count):
                    await work(number)
                return count / (time.perf_counter() - began)

            rows: list[str] = []

            async def submit(number: int) -> None:
                rows.append((await opened.submit(_new(number)))[0].id)

            submits = await rate(submit)
            claims = await rate(lambda number: opened.claim(rows[number], 60))
            claim = Claim(rows[0], 1, "bench")
            step = await opened.begin_step(claim, "step", "module:function", "1", "hash")
            return {"submits": submits, "claims": claims, "items": await _items(opened, claim, step, items)}


async def _items(opened: Journal, claim: Claim, step: StepRow, count: int) -> float:
    began = time.perf_counter()
    for number in range(count):
        opened.add_item(claim, step.id, number, number, {"start": number, "end": number + 1, "text": "some words"})
        if opened.backlog() > 1000:  # as the runner does
            await opened.flush()
    await opened.flush()
    return count / (time.perf_counter() - began)


def _new(number: int) -> NewJob:
    source = f"/recordings/episode-{number}.mp3"
    return NewJob("transcribe", str(number), source, {"model": "local:whisper-base", "formats": ["srt"]})


async def fill(home: Path, jobs: int) -> None:
    """A home with so many jobs: most of them done, some failed, some waiting, each with a step and an attempt."""
    async with await Journal.open(home, owner="bench") as opened:

        async def one(number: int) -> None:
            row, _ = await opened.submit(_new(number))
            if number % 100 == 99:
                return
            claim = await opened.claim(row.id, 60)
            step = await opened.begin_step(claim, "step", "module:function", "1", "hash")
            attempt = await opened.start_attempt(claim, step.id, MIB, 1, MIB)
            await opened.end_attempt(attempt, "done", None, MIB, 0, 1.0)
            await opened.end(claim, "failed" if number % 50 == 0 else "done")

        for first in range(0, jobs, _AT_ONCE):
            await asyncio.gather(*(one(number) for number in range(first, min(jobs, first + _AT_ONCE))))


def listed(home: Path, *options: str, times: int = 15) -> tuple[float, float]:
    """Seconds that ``narrowboat jobs`` takes as a whole process: the median, and the CPU's share of them."""
    command = [str(Path(sys.executable).with_name("narrowboat")), "jobs", "--home", str(home), *options]
    took, before = [], _cpu_of_children()
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took.append(time.perf_counter() - began)
    return statistics.median(took), (_cpu_of_children() - before) / times


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def figures(jobs: int) -> list[Figure]:
    """Everything, with what is wanted of it; each is printed as it comes."""
    made: list[Figure] = []

    def add(*more: Figure) -> None:
        for figure in more:
            made.append(figure)
            wanted = "" if figure.wanted is None else f"{'at most' if figure.most else 'at least'} {figure.wanted:,g}"
            print(f"{figure.name:52} {figure.value:>12,.4g} {figure.unit:4} {wanted}", flush=True)

    add(Figure("reserve and release, one thread", pairs(1), "/s", 10_000))
    add(Figure("reserve and release, four threads", pairs(4), "/s", 10_000))
    rate, busy = asyncio.run(steps())
    add(Figure("a step that does nothing, warm, through map", rate, "/s", 150))
    add(Figure("CPU of the supervisor for one", busy * 1000, "ms"))
    rates = asyncio.run(journal())
    add(Figure("jobs submitted, one after the other", rates["submits"], "/s"))
    add(Figure("jobs claimed, one after the other", rates["claims"], "/s"))
    add(Figure("items committed", rates["items"], "/s"))
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(fill(Path(folder), jobs))
        for options in ((), ("--json",), ("--state", "queued")):
            median, busy = listed(Path(folder), *options)
            name = " ".join(("`jobs", *options)) + f"` of {jobs:,}"
            add(Figure(name, median, "s", 0.2, most=True), Figure(f"{name}, CPU", busy, "s"))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100_000, metavar="N", help="in the journal of `jobs`")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args()
    on = machine()
    made = figures(given.jobs)
    missed = [figure.name for figure in made if not figure.met]
    if given.json:
        told = [{**asdict(figure), "met": figure.met} for figure in made]
        given.json.write_text(json.dumps({"version": 1, "machine": on, "figures": told}, indent=2) + "\n", "utf-8")
    if missed:
        sys.exit("missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()
