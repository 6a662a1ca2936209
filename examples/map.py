"""A function of your own over many inputs: as many at once as fit the budget, never more.

    python examples/map.py

The function runs in worker processes. Each input says what it needs; one of them asks for far more than there is, is
refused with the numbers, and the others are not disturbed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from narrowboat import Demand, Runner, Step


def count_primes(below: int) -> int:
    """How many primes there are below a number: a sieve with a byte for each number."""
    sieve = bytearray(b"\1") * below
    sieve[:2] = b"\0\0"
    for n in range(2, int(below**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = bytes(len(range(n * n, below, n)))
    return sieve.count(1)


def demand(facts: Mapping[str, Any]) -> Demand:  # asked with {"input": …} before each attempt
    return Demand(bytes=(24 << 20) + 2 * facts["input"])


async def main() -> None:
    inputs = [10**10, *(n * 1_000_000 for n in (1, 40, 2, 30, 4, 20, 8, 10))]
    async with Runner(memory="256M") as runner:
        async for result in runner.map(Step(count_primes, demand=demand), inputs):
            print(f"{result.input:>14,}  {f'{result.value:,}' if result.ok else result.error}", flush=True)
        peak = runner.status().peak_used
    print(f"peak {peak >> 20} MiB used of a limit of 256 MiB")


if __name__ == "__main__":
    asyncio.run(main())
