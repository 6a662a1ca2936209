"""Where the attempts of a step are written down: in the journal for a job's, nowhere for a bare call.

Covers: what ``attempts`` asks of whoever remembers, and both answers.
Does not cover: the journal itself, or when to try again (``attempts``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from narrowboat.errors import NarrowboatError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import Claim, PeakRow, StepRow
from narrowboat.memory.estimator import FEW, WINDOW, Estimator, Peak, features
from narrowboat.runner.steps import Step, digest
from narrowboat.values import Json

_BACKLOG = 1000  # writes that may wait to be committed


class Record(Protocol):
    """What is remembered of one step of one job."""

    done: bool
    result: Json
    cursor: Json
    items: int

    async def faults(self) -> int:
        """Faults in a row without a new item."""
        ...

    async def kills(self) -> int:
        """Kills by somebody else in a row without a new item."""
        ...

    async def started(self, reserved: int, cores: int, declared: int, pid: int, ticks: int | None) -> None:
        """An attempt starts; written before the step is called."""
        ...

    async def item(self, sequence: int, cursor: Json, value: Json) -> None:
        """An item came; committed within a second."""
        ...

    async def ended(self, outcome: str, error: NarrowboatError | None, peak: int, seconds: float) -> None:
        """The attempt has ended."""
        ...

    async def finish(self, result: Json) -> None:
        """The step is done."""
        ...

    def log(self, message: str) -> None:
        """A line of history."""
        ...


class NoRecord:
    """Remembers within this call only."""

    def __init__(self) -> None:
        self.done = False
        self.result: Json = None
        self.cursor: Json = None
        self.items = 0
        self._faults = 0
        self._kills = 0

    async def faults(self) -> int:
        return self._faults

    async def kills(self) -> int:
        return self._kills

    async def started(self, reserved: int, cores: int, declared: int, pid: int, ticks: int | None) -> None:
        pass

    async def item(self, sequence: int, cursor: Json, value: Json) -> None:
        self.items, self.cursor, self._faults, self._kills = sequence + 1, cursor, 0, 0

    async def ended(self, outcome: str, error: NarrowboatError | None, peak: int, seconds: float) -> None:
        self._faults += outcome == "fault"
        self._kills += outcome == "killed"

    async def finish(self, result: Json) -> None:
        self.done, self.result = True, result

    def log(self, message: str) -> None:
        pass


class JournalRecord:
    """Remembers in the journal, under a claim."""

    def __init__(self, journal: Journal, claim: Claim, row: StepRow) -> None:
        self._journal = journal
        self._claim = claim
        self._row = row
        self._attempt: int | None = None
        self._items_before = 0
        self.done = row.state == "done"
        self.result = row.result
        self.cursor = row.cursor
        self.items = row.items

    @classmethod
    async def begin(cls, journal: Journal, claim: Claim, key: str, step: Step, given: Json) -> JournalRecord:
        """Begin the step of a job, or go on with it where it was.

        A step is the same when its function, version, engine and input are; else what it yielded is forgotten.
        """
        name = f"{step.function} {step.engine}".strip()
        return cls(journal, claim, await journal.begin_step(claim, key, name, step.version, digest(given)))

    async def faults(self) -> int:
        return await self._journal.faults_in_a_row(self._claim.job_id, self._row.id)

    async def kills(self) -> int:
        return await self._journal.kills_in_a_row(self._claim.job_id, self._row.id)

    async def started(self, reserved: int, cores: int, declared: int, pid: int, ticks: int | None) -> None:
        self._items_before = self.items
        self._attempt = await self._journal.start_attempt(
            self._claim, self._row.id, reserved_bytes=reserved, cores=cores, declared_bytes=declared
        )
        if ticks is not None:
            self._journal.attempt_pid(self._attempt, pid, ticks, pid)

    async def item(self, sequence: int, cursor: Json, value: Json) -> None:
        self._journal.add_item(self._claim, self._row.id, sequence, cursor, value)
        self.items, self.cursor = sequence + 1, cursor
        if self._journal.backlog() > _BACKLOG:
            await self._journal.flush()  # a step faster than the disk waits, so that the queue stays small

    async def ended(self, outcome: str, error: NarrowboatError | None, peak: int, seconds: float) -> None:
        if self._attempt is None:
            return
        number, self._attempt = self._attempt, None
        await self._journal.end_attempt(
            number,
            outcome,
            error=None if error is None else error.to_json(),
            peak_bytes=peak,
            items=self.items - self._items_before,
            seconds=seconds,
        )

    async def finish(self, result: Json) -> None:
        await self._journal.finish_step(self._claim, self._row.id, result)
        self.done, self.result = True, result

    def log(self, message: str) -> None:
        self._journal.log(self._claim.job_id, message)

    def values(self) -> AsyncIterator[tuple[int, Any]]:
        """The committed items so far, in order, with their numbers."""
        return self._journal.items(self._claim.job_id, self._row.key)


class Peaks:
    """Measured peaks by step, version and engine: kept in the journal, and an estimator made of them once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._estimators: dict[tuple[str, str, str], Estimator] = {}

    async def estimator(self, step: Step) -> Estimator:
        """What is known of a step with its engine, from this run and those before."""
        key = (step.name, step.version, step.engine)
        if key not in self._estimators:
            made = await read_estimator(self._journal, *key)
            self._estimators.setdefault(key, made)
        return self._estimators[key]

    def learn(self, step: Step, peak: Peak, *, reserved: int, seconds: float) -> None:
        """Keep the peak of an attempt that has ended, reduced to one core."""
        key = (step.name, step.version, step.engine)
        if key in self._estimators:
            self._estimators[key].learn(peak)
        self._journal.add_peak(
            *key,
            features=dict(peak.features),
            declared_bytes=peak.declared,
            reserved_bytes=reserved,
            peak_bytes=peak.bytes,
            censored=peak.censored,
            again=peak.again,
            seconds=seconds,
        )


async def read_estimator(journal: Journal, step_key: str, version: str, engine: str) -> Estimator:
    """What the journal knows of a step, version and engine."""
    known = await journal.peaks(step_key, version, engine, limit=WINDOW)
    others = await journal.peaks_of_other_versions(step_key, version, engine, limit=FEW)
    return Estimator(map(as_peak, reversed(known)), map(as_peak, others))


def as_peak(row: PeakRow) -> Peak:
    """A row of the journal as the estimator takes it."""
    return Peak(row.peak_bytes, row.declared_bytes, row.censored, row.again, features(row.features))
