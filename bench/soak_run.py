"""The supervisor of a soak: runs the mix through the public API, and says on standard output what becomes of each task.

Covers: one ``Runner``, one ``map`` for each kind and a small pipeline, checks of what came back.
Does not cover: the kinds (``attack_kinds``), measuring and judging, which is done from outside (``soak``).

Called by ``soak`` with one argument, JSON. Each line of the output is one JSON object: ``facts`` once, ``began`` and
``ended`` for each task, ``closed`` when the runner is closed.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import attacks
from attack_kinds import BY_NAME, PIPELINE, Kind, Place, demand, mix

from narrowboat import Job, NarrowboatError, Pipeline, Runner, Step
from narrowboat.memory.budget import GRACE

MIB = 1 << 20
#: Tasks that are on their way at once.
AHEAD = 24
#: Small pipelines among them.
PIPELINES = 4
#: Seconds within which the processes that a step left behind must be gone after its end.
GONE_S = 5.0


def tell(event: str, **more: Any) -> None:
    """One line for who measures."""
    print(json.dumps({"event": event, **more}), flush=True)


# -- the small pipeline -----------------------------------------------------------------------------------------------

MEASURE = Step(attacks.measure, demand=demand, name="measure")
DISTURBED = Step(attacks.disturbed_stream, demand=demand, name="disturbed")
TOTAL = Step(attacks.total, demand=demand, name="total")


async def workflow(job: Job) -> None:
    """Facts, a stream that is disturbed, and the sum of what it gave."""
    given = {**job.options, "items": (await job.run(MEASURE, job.options, job.options))["items"]}
    values = [streamed.value async for streamed in job.stream(DISTURBED, given, given)]
    found = await job.run(TOTAL, {"n": given["n"]}, given, at={"path": await job.export(DISTURBED)})
    wanted = [attacks.item_value(given["n"], number, 1) for number in range(given["items"])]
    if values != wanted or found != sum(value[2] for value in wanted):
        raise NarrowboatError(f"the pipeline gave {found} from {values}")


class Mixer:
    """Gives tasks to the runner in their order, a few at a time, and looks at what comes back."""

    def __init__(self, runner: Runner, source: Path) -> None:
        self._runner = runner
        self._source = source
        self._room = asyncio.Semaphore(AHEAD)
        self._queues: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}
        self._pipeline = Pipeline(PIPELINE, workflow)

    async def run(self, tasks: Any) -> None:
        """All of them, to their end."""
        async with asyncio.TaskGroup() as group:
            for kind, given in tasks:
                await self._room.acquire()
                if kind.name not in self._queues:
                    self._queues[kind.name] = asyncio.Queue()
                    for _ in range(PIPELINES if kind.name == PIPELINE else 1):
                        group.create_task(self._jobs(kind) if kind.name == PIPELINE else self._map(kind))
                tell("began", n=given["n"], kind=kind.name)
                self._queues[kind.name].put_nowait(given)
            for name, waiting in self._queues.items():
                for _ in range(PIPELINES if name == PIPELINE else 1):
                    waiting.put_nowait(None)

    async def _inputs(self, kind: Kind) -> AsyncGenerator[dict[str, Any]]:
        while (given := await self._queues[kind.name].get()) is not None:
            yield given

    async def _map(self, kind: Kind) -> None:
        async for result in self._runner.map(kind.step(), self._inputs(kind)):
            wrong = None
            if result.ok and kind.value is not None and result.value != kind.value(result.input):
                wrong = f"it gave {result.value}"
            if result.ok and kind.items is not None:
                values = [value async for value in result.items()]
                wrong = None if values == kind.items(result.input) else f"its items were {values}"
            if result.ok and kind.pids is not None:
                wrong = await _still_there(result.value[kind.pids])
            self._ended(kind, result.input["n"], result.error, wrong)

    async def _jobs(self, kind: Kind) -> None:
        async for given in self._inputs(kind):
            job_id = await self._runner.submit(self._pipeline, str(self._source), given)
            await self._runner.wait([job_id])
            error = next((entry.error for entry in self._runner.entries if entry.id == job_id), None)
            self._ended(kind, given["n"], error, None)

    def _ended(self, kind: Kind, n: int, error: NarrowboatError | None, wrong: str | None) -> None:
        end, message = ("done", None) if error is None else (error.code, str(error)[:1000])
        tell("ended", n=n, kind=kind.name, end=end, message=message, wrong=wrong)
        self._room.release()


async def _still_there(pids: list[int]) -> str | None:
    """What is wrong when processes outlive their step for long."""
    until = time.monotonic() + GONE_S
    while left := [pid for pid in pids if _lives(pid)]:
        if time.monotonic() > until:
            return f"processes that it left were still there after {GONE_S:.0f} s: {left}"
        await asyncio.sleep(0.05)
    return None


def _lives(pid: int) -> bool:
    """True while the process lives. A dead one that nobody has waited for holds nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


async def main(asked: dict[str, Any]) -> None:
    """Run ``tasks`` in ``home`` and tell."""
    guard = {"guard": asked["guard"]} if asked["guard"] else {}
    if guard and "guard" not in inspect.signature(Runner.__init__).parameters:
        sys.exit("this version of Narrowboat can't be told which guard to use")
    home = Path(asked["home"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "source").write_text("all pipelines work on this")
    async with Runner(asked["memory"], home=home, preload=["attacks"], **guard) as runner:
        budget = runner.budget
        place = Place(budget.bytes // MIB, budget.limit.bytes // MIB, asked["mark"])
        tell(
            "facts",
            limit_bytes=budget.limit.bytes,
            limit_source=budget.limit.source,
            budget_bytes=budget.bytes,
            headroom_bytes=budget.headroom,
            grace_bytes=GRACE,
            cores=budget.cores,
        )
        kinds = [BY_NAME[name] for name in asked["kinds"]]
        await Mixer(runner, home / "source").run(mix(asked["seed"], asked["tasks"], kinds, place))
        tell("finished", peak_used_bytes=runner.guard.peak_used, kernel_kills=budget.machine.kernel_kills())
    tell("closed")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
