"""Where the attempts of a step are written down: in the journal for a job's, nowhere for a bare call.

Covers: what ``attempts`` asks of whoever remembers, and both answers.
Does not cover: the journal itself, or when to try again (``attempts``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from narrowboat.errors import NarrowboatError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import Claim, StepRow
from narrowboat.memory.estimator import Peak
from narrowboat.runner.steps import Step, digest
from narrowboat.values import Facts, Json

_PEAKS_LOOKED_AT = 100
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
    """Measured peaks by step, version and engine, for the estimator."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def known(self, step: Step) -> list[Peak]:
        """The latest peaks of a step."""
        rows = await self._journal.peaks(step.name, step.version, step.engine, limit=_PEAKS_LOOKED_AT)
        return [Peak(row.peak_bytes, row.declared_bytes, row.censored) for row in rows]

    def learn(self, step: Step, facts: Facts, peak: Peak, *, reserved: int) -> None:
        """Keep the peak of an attempt that has ended, reduced to one core."""
        self._journal.add_peak(
            step.name,
            step.version,
            step.engine,
            features={name: value for name, value in facts.items() if isinstance(value, int | float)},
            declared_bytes=peak.declared,
            reserved_bytes=reserved,
            peak_bytes=peak.bytes,
            censored=peak.censored,
        )
