"""How often and how long something on the network is tried.

Covers: backoff with jitter, Retry-After, the deadline over all tries, being asked to stop. Loads in workers only.
Does not cover: what is tried (``http.py``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from narrowboat import context
from narrowboat.errors import FetchError, Interrupted
from narrowboat.sources.address_guard import AddressGuard
from narrowboat.sources.client import Client, Passing
from narrowboat.sources.connections import Pace

TRIES = 4  # in a row without a new byte
MOST_TRIES = 30
LONGEST_WAIT = 60.0  # seconds, where the server does not say how long
#: Seconds that are waited at most where the server says how long; if it says more, it is for the next run.
PATIENCE_S = 120.0
_LOOK_S = 0.2  # seconds between two looks at whether a stop was asked for
DEADLINE = 6 * 3600.0  # seconds
_LONGEST_TOLD_S = 366 * 86400.0  # whatever is asked for
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

    def check_stop(self) -> None:
        """Interrupted when the step was asked to stop."""
        if context.stopping():
            raise Interrupted("the fetch was stopped")

    def check_time(self) -> None:
        """Interrupted when the step was asked to stop; Passing when the time for all of it is over."""
        self.check_stop()
        if time.monotonic() > self.deadline:
            raise Passing(f"not finished within {self.deadline_s:g} s")

    def run(self, work: Callable[[], _T], have: Callable[[], int] = int, most: int = TRIES) -> _T:
        """What ``work`` returns, after as many tries as it takes.

        Args:
            have: counts what came so far: a try that adds to it starts the count again.
            most: tries in a row that add nothing.

        Raises:
            FetchError: it failed for now, so often or for so long. Where the server asks for more time than is waited
                here, ``wait_s`` says how long, and ``not_before`` when that is, in seconds since the epoch.
            Interrupted: the step was asked to stop.
        """
        barren = 0
        for attempt in range(1, MOST_TRIES + 1):
            before = have()
            try:
                return work()
            except Passing as failure:
                barren = 0 if have() > before else barren + 1
                if failure.wait is not None and failure.wait > PATIENCE_S:
                    raise _come_back(failure, attempt) from None
                wait = self._wait(failure, barren)
                out_of_time = time.monotonic() + wait > self.deadline
                if barren >= most or attempt == MOST_TRIES or out_of_time:
                    tries = f"; given up after {attempt} tries" if attempt > 1 else ""
                    raise FetchError(
                        failure.message + tries, hint="try again later", tries=attempt, **failure.facts
                    ) from None
                context.log(f"{failure.message}; next try in {wait:.1f} s")
                self._sleep(wait)
        raise AssertionError("unreachable")

    def _wait(self, failure: Passing, barren: int) -> float:
        backoff = min(LONGEST_WAIT, self._backoff_s * float(2**barren)) * random.uniform(0.5, 1.0)
        return max(backoff, failure.wait or 0.0)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check_stop()
            time.sleep(min(left, _LOOK_S))


def _come_back(failure: Passing, attempt: int) -> FetchError:
    wait = failure.wait or 0.0
    at = datetime.now(UTC) + timedelta(seconds=min(wait, _LONGEST_TOLD_S))
    return FetchError(
        f"{failure.message} and asks to be left alone for {wait:.0f} s, until {at:%Y-%m-%d %H:%M} UTC",
        hint="try again then",
        tries=attempt,
        wait_s=wait,
        not_before=at.timestamp(),
        **failure.facts,
    )
