"""How often and how long something on the network is tried.

Covers: backoff with jitter, Retry-After, the deadline over all tries, being asked to stop. Loads in workers only.
Does not cover: what is tried (``http.py``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from narrowboat import context
from narrowboat.errors import FetchError, Interrupted
from narrowboat.sources.address_guard import AddressGuard
from narrowboat.sources.client import Client, Passing
from narrowboat.sources.connections import Pace

TRIES = 4  # in a row without a new byte
MOST_TRIES = 30
LONGEST_WAIT = 60.0  # seconds
DEADLINE = 6 * 3600.0  # seconds
_T = TypeVar("_T")


class Tries:
    """Runs something until it works, gives up for good, or has had its share of tries and time."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        self.deadline_s = float(inputs.get("deadline_s") or DEADLINE)
        self.deadline = time.monotonic() + self.deadline_s
        self.stall_s = float(inputs.get("stall_s") or 30)
        self.client = Client(
            Pace(self.stall_s, self.deadline),
            float(inputs.get("connect_s") or 15),
            AddressGuard.of(context.allowed_networks()),
        )
        self._backoff_s = float(inputs.get("backoff_s", 1.0))

    def check_time(self) -> None:
        if context.stopping():
            raise Interrupted("the fetch was stopped")
        if time.monotonic() > self.deadline:
            raise Passing(f"not finished within {self.deadline_s:g} s")

    def run(self, work: Callable[[], _T], have: Callable[[], int] = int) -> _T:
        """What ``work`` returns. ``have`` counts what came so far: a try that adds to it starts the count again."""
        barren = 0
        for attempt in range(1, MOST_TRIES + 1):
            before = have()
            try:
                return work()
            except Passing as failure:
                barren = 0 if have() > before else barren + 1
                wait = self._wait(failure, barren)
                out_of_time = time.monotonic() + wait > self.deadline
                if barren >= TRIES or attempt == MOST_TRIES or out_of_time:
                    tries = f"; given up after {attempt} tries" if attempt > 1 else ""
                    raise FetchError(
                        failure.message + tries, hint="try again later", tries=attempt, **failure.facts
                    ) from None
                context.log(f"{failure.message}; next try in {wait:.1f} s")
                time.sleep(wait)
        raise AssertionError("unreachable")

    def _wait(self, failure: Passing, barren: int) -> float:
        backoff = self._backoff_s * float(2**barren) * random.uniform(0.5, 1.0)
        return min(LONGEST_WAIT, max(backoff, failure.wait or 0.0))
