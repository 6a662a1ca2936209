"""What the attempts of a run share.

Covers: the budget, the workers that are kept, the shared clients, room in scratch, learned peaks, lanes, and that the
run is to end.
Does not cover: an attempt (``attempts``), a call (``calls``), which job is next (``scheduler``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from narrowboat.errors import NarrowboatError
from narrowboat.journal.journal import Journal
from narrowboat.memory.budget import Budget
from narrowboat.memory.estimator import Estimate
from narrowboat.runner.clients import Clients
from narrowboat.runner.lanes import Lanes, limits_of
from narrowboat.runner.moved import Lookups
from narrowboat.runner.records import Peaks
from narrowboat.runner.space import Space
from narrowboat.runner.steps import Step
from narrowboat.runner.stop import Stop
from narrowboat.values import Caps, Facts
from narrowboat.workers.guard import Guard
from narrowboat.workers.pool import Pool
from narrowboat.workers.server import ForkServer


class Workshop:
    """What attempts share: the budget, the guard, the fork server, the room in scratch, the learned peaks.

    Attributes:
        stop_asked: that the run is to end.
        time_limit: seconds that an attempt may take where its step does not say; None for any number.
        allowed_networks: what sources may be fetched from beside public addresses; None for anywhere.
        granted: called when a step has got its reservation.
        lanes: what users have capped of what is at work at the same time.
        lookups: of episodes whose addresses have run out.
    """

    def __init__(
        self,
        budget: Budget,
        guard: Guard,
        server: ForkServer,
        space: Space,
        peaks: Peaks,
        caps: Caps,
        journal: Journal,
    ) -> None:
        self.budget = budget
        self.space = space
        self.journal = journal
        self.peaks = peaks
        self.stop_asked = Stop()
        self.time_limit: float | None = None
        self.allowed_networks: list[str] | None = None
        self.granted: Callable[[], None] = lambda: None
        self.caps = caps
        self.lanes = Lanes(limits_of(caps))
        self.path = [str(Path(entry).absolute()) for entry in sys.path]  # "" is the working directory
        self.lookups = Lookups()
        self.pool = Pool(budget, guard, server)
        self.clients = Clients(budget, self.pool, self.stop_asked)

    @property
    def stopping(self) -> bool:
        """Nothing new starts."""
        return self.stop_asked.asked

    def stop(self) -> None:
        """Ask every step to stop at its next item; those that come later do not start."""
        self.stop_asked.ask()
        self.pool.stop()

    async def estimate(self, step: Step, facts: Facts) -> Estimate:
        """What to reserve for a step: as it declares, corrected by what was measured."""
        return (await self.peaks.estimator(step)).estimate(step.demand(facts), facts)

    async def make_room(self, frame: dict[str, Any], held: int) -> dict[str, Any] | None:
        """What a step is answered that asks for room in scratch: None, or the JSON of why not.

        Args:
            held: bytes of its reservation.
        """
        try:
            await self.space.make_room(Path(frame["path"]), frame["size"], frame["what"], held=held)
        except NarrowboatError as error:
            return error.to_json()
        return None
