"""The service: what all surfaces share, a thin layer over the runner.

Covers: submitting with admission at the door, a job as it is shown, how jobs end, what goes when its time is over.
Does not cover: HTTP (``operations`` and the modules of each surface), the files of jobs (``files``), figures of memory
(``memory``), the life of the process (``server``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from narrowboat.errors import Conflict, Interrupted, NarrowboatError, NotFound, QueueFull, UsageError
from narrowboat.runner.entries import Entry
from narrowboat.runner.listing import ENDED, job_json
from narrowboat.runner.reading import JobRow
from narrowboat.runner.runner import Runner
from narrowboat.runner.watching import Watching
from narrowboat.service.all_kinds import kinds
from narrowboat.service.files import PART, File, written
from narrowboat.service.forms import Forms
from narrowboat.service.keys import Keys
from narrowboat.service.kinds import Kind, Wanted
from narrowboat.service.logs import Log
from narrowboat.service.memory import Memory
from narrowboat.service.metrics import Metrics
from narrowboat.service.problems import reason, without_places
from narrowboat.service.watch import Watch
from narrowboat.values import Json

#: Seconds that an address may take to say what version of its content it has; see ``runner/validators``.
_ASK_S = 10.0
#: Seconds that taking a job in may take: a job of the same content that is about to end is waited for.
_TAKE_S = 60.0
_SWEEP_S = 60.0
#: Seconds that are said to who is to come again; the last when nothing that runs can tell.
_SOONEST_S, _LATEST_S, _UNKNOWN_S = 2.0, 600.0, 30.0
_TELLING = 0.01  # how far a job has to be for its pace to tell anything


@dataclass(frozen=True, slots=True)
class Settings:
    """How a service behaves.

    Attributes:
        most_upload: bytes of one upload.
        most_queued: jobs that may wait or run.
        keep_s: seconds for which jobs that have ended are kept, with their outputs; None for ever.
        open: nobody needs a key; on loopback only.
        hosts: names that requests may be for where nobody needs a key; see ``door``.
        storage: what makes an address of a storage's id; see ``storage``.
        language_model: of ``/extract``, whose requests name none; None for quotes.
        notices: somebody is told how jobs end; see ``webhooks``.
    """

    most_upload: int
    most_queued: int
    keep_s: float | None
    open: bool = False
    hosts: tuple[str, ...] = ()
    storage: str | None = None
    language_model: str | None = None
    notices: bool = False


class Service:
    """What the operations work with."""

    def __init__(self, runner: Runner, settings: Settings, keys: Keys, log: Log) -> None:
        self.runner = runner
        self.settings = settings
        self.keys = keys
        self.log = log
        self.kinds: dict[str, Kind] = kinds()
        self.forms = Forms(runner, settings.most_upload)
        self.memory = Memory(runner, self.forms)
        self.watch = Watch(runner, self.job, self.memory.told, self._ended)
        self.metrics = Metrics(self.memory.told)
        self.epoch = f"{time.time_ns():x}"
        self.draining = False
        self.watching: Watching | None = None  # of feeds
        self.working: set[str] = set()  # see ``idempotency``
        self.document: dict[str, Json] = {}
        self._taking = 0

    # -- taking jobs in -----------------------------------------------------------------------------------------

    def kind(self, name: str) -> Kind:
        """The kind of that name.

        Raises:
            UsageError: there is none.
        """
        if name not in self.kinds:
            raise UsageError(f"there is no pipeline {name[:60]!r}", hint="there are " + ", ".join(self.kinds))
        return self.kinds[name]

    async def admit(self, kind: Kind, wanted: Wanted) -> None:
        """See that a job of this kind may come in now, before its source is read.

        Raises:
            Interrupted: the service ends. QueueFull: too many wait. CannotFit: it could never run here.
        """
        if self.draining:
            raise Interrupted("the service is ending and takes no more jobs", hint="try again soon")
        waiting = self.queued() + self._taking
        if waiting >= self.settings.most_queued:
            raise QueueFull(
                f"{waiting} jobs wait or run, which is as many as may",
                hint="try again later",
                retry_after_s=self.retry_after(),
            )
        step = kind.step(wanted.options, self.runner.budget.cores)
        if step is not None:
            await self.runner.keeper.require(step)

    async def submit(
        self, kind: Kind, source: str, wanted: Wanted, *, label: str | None = None, again: bool = False
    ) -> str:
        """Take in one job; its id. Admission comes first.

        Raises:
            NarrowboatError: as :meth:`admit`; Conflict: the same content is worked on with other options.
        """
        await self.admit(kind, wanted)
        self._taking += 1
        try:
            async with asyncio.timeout(_TAKE_S):
                job_id = await self.runner.submit(
                    kind.pipeline,
                    source,
                    wanted.options,
                    formats=wanted.formats,
                    again=again,
                    label=label,
                    patience_s=_ASK_S,
                )
        except TimeoutError:
            raise Conflict(
                "a job works on the same content with other options", hint="try again when it has ended"
            ) from None
        finally:
            self._taking -= 1
        if self.settings.notices:
            await self.runner.journal.owe_notice(job_id)
        self.log("job taken in", job=job_id, pipeline=kind.name, label=label)
        return job_id

    def queued(self) -> int:
        """Jobs that wait or run."""
        return sum(entry.state not in ENDED for entry in self.runner.entries)

    def active(self, job_id: str) -> bool:
        """Whether a job waits or runs, or its end was not seen yet."""
        return any(entry.id == job_id for entry in self.runner.entries)

    def retry_after(self) -> float:
        """Seconds until a place is likely to be free: when the one of the running jobs that is furthest has ended."""
        now, rest = time.monotonic(), [_LATEST_S]
        for job in self.runner.status().jobs:
            began = self.watch.began.get(job.id)
            if began is not None and job.fraction is not None and job.fraction > _TELLING:
                rest.append((now - began) * (1 - job.fraction) / job.fraction)
        return max(_SOONEST_S, min(rest)) if len(rest) > 1 else _UNKNOWN_S

    # -- jobs as they are shown ---------------------------------------------------------------------------------

    async def row(self, job_id: str) -> JobRow:
        """The job of that id, which has to be whole: what begins with it is not meant from outside.

        Raises:
            NotFound: there is none.
        """
        row = await self.runner.journal.job(job_id)
        if row.id != job_id:
            raise NotFound(f"there is no job {job_id[:60]!r}", hint="GET /v1/jobs lists them")
        return row

    async def job(self, job_id: str) -> dict[str, Json]:
        """A job as JSON."""
        return await self.shown(await self.runner.journal.job(job_id))

    async def shown(self, row: JobRow) -> dict[str, Json]:
        """A row as JSON for people outside: no places on this machine, no keys."""
        found = job_json(row, None)
        kind = self.kinds.get(row.pipeline)
        return {
            **found,
            "source": row.source if "://" in row.source else Path(row.source).name,
            "reason": reason(row.reason, self.runner.home),
            "options": kind.shown(row.options) if kind is not None else {},
            "live": self.live(row.id),
            "outputs": [file.to_json(row.id) for file in await self.files(row)],
        }

    async def job_text(self, job_id: str) -> str:
        """A job as the text of JSON."""
        return json.dumps(await self.job(job_id), ensure_ascii=False)

    def live(self, job_id: str) -> dict[str, Json] | None:
        """How far a running job is; None when it does not run."""
        for job in self.runner.status().jobs:
            if job.id == job_id:
                return {
                    "stage": job.stage,
                    "fraction": job.fraction,
                    "waiting": job.waiting,
                    "used_bytes": job.used_bytes,
                    "reserved_bytes": job.reserved_bytes,
                    "facts": job.facts,
                }
        return None

    async def files(self, row: JobRow) -> list[File]:
        """The files that a job has written."""
        kind = self.kinds.get(row.pipeline)
        return await written(self.runner, row, () if kind is None else kind.folders)

    # -- what happens by itself ---------------------------------------------------------------------------------

    async def _ended(self, entry: Entry) -> None:
        error = entry.error
        self.metrics.ended(entry.pipeline.name, entry.state)
        said = None if error is None else without_places(error.message, self.runner.home)
        self.log("job ended", job=entry.id, state=entry.state, reason=said, seconds=round(entry.seconds, 3))

    async def delete(self, job_id: str) -> None:
        """Delete a job with its outputs; one that has not ended is cancelled first.

        Raises:
            NotFound: there is no such job.
        """
        row = await self.row(job_id)
        if row.state not in ENDED or self.active(row.id):
            if row.state not in ENDED:
                await self.runner.cancel(row.id)
            await self.watch.look()
        for file in await self.files(row):
            file.path.unlink(missing_ok=True)
            if file.format == PART:
                with contextlib.suppress(OSError):  # until the last of them
                    file.path.parent.rmdir()
        await self.runner.keeper.forget(row.id)
        self.watch.forget(row.id)
        self.log("job deleted", job=row.id)

    async def sweep(self) -> None:
        """Delete what has been kept long enough, for as long as the service is up."""
        while self.settings.keep_s is not None:
            for job_id in await self.runner.journal.ended_before(time.time() - self.settings.keep_s):
                try:
                    await self.delete(job_id)
                except (NarrowboatError, OSError) as error:
                    self.log("job not deleted", job=job_id, reason=without_places(str(error), self.runner.home))
            await asyncio.sleep(_SWEEP_S)
