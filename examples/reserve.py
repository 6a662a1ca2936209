"""Reservations in a service of one's own: work that stays in this process asks for room before it allocates.

    python examples/reserve.py

Nothing is enforced on the own process; what is gained is that requests wait for one another in place of failing
together. A request that could never fit is refused at once, with the numbers.
"""

from __future__ import annotations

import asyncio

from narrowboat import Budget, NarrowboatError


def resample(megabytes: int) -> int:
    """Stands for work that needs a buffer of that size."""
    buffer = bytearray(megabytes << 20)
    return sum(buffer[:: 1 << 12]) + len(buffer)


async def handle(budget: Budget, name: str, megabytes: int) -> str:
    try:
        async with budget.reserve(f"{megabytes}M", cores=1, label=name):
            held = budget.snapshot().reserved >> 20
            size = await asyncio.to_thread(resample, megabytes)
            return f"{name}: {size >> 20} MiB done while {held} MiB were reserved in all"
    except NarrowboatError as error:
        return f"{name}: refused: {error}"


async def main() -> None:
    budget = Budget("256M", cores=4)
    print(f"budget {budget.bytes >> 20} MiB of a limit of 256 MiB")
    sizes = [60, 90, 120, 30, 500, 60, 90, 30]
    for line in await asyncio.gather(*(handle(budget, f"request {n}", size) for n, size in enumerate(sizes, 1))):
        print(line)
    print(f"peak {budget.peak_reserved >> 20} MiB reserved")


if __name__ == "__main__":
    asyncio.run(main())
