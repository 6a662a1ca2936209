"""Taking jobs in: from what was asked for to a queued job.

Covers: finding the source, telling whether the job is known, queueing it or ending it at once, retries.
Does not cover: which job runs when (``scheduler``), what makes two jobs the same (``entries``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from narrowboat.errors import NarrowboatError, SourceError, UsageError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import ENDED, JobRow, NewJob
from narrowboat.runner.entries import Entry, identify
from narrowboat.runner.outputs import Form, want_outputs
from narrowboat.runner.pipeline import Pipeline, find_pipeline
from narrowboat.runner.resting import Resting
from narrowboat.runner.scheduler import LEASE_S, Scheduler
from narrowboat.runner.steps import digest
from narrowboat.runner.uploads import Uploads
from narrowboat.runner.validators import Call, Told, ask
from narrowboat.shown import safe_source
from narrowboat.sources.locate import Source, locate, restored
from narrowboat.values import Caps, Json


class Intake:
    """Takes jobs in for the runner of a home.

    Args:
        call: runs a step outside of any job.
        caps: what users have capped.
    """

    def __init__(
        self, home: Path, journal: Journal, scheduler: Scheduler, uploads: Uploads, call: Call, caps: Caps
    ) -> None:
        self._home = home
        self._journal = journal
        self._scheduler = scheduler
        self._uploads = uploads
        self._call = call
        self._caps = caps
        self._resting = Resting(journal)

    async def submit(
        self,
        pipeline: Pipeline,
        source: str | Source,
        options: dict[str, Json],
        *,
        out: str | Path | None,
        formats: Sequence[str],
        again: bool,
        label: str | None,
        told: Told | None = None,
        patience_s: float | None = None,
        watched: tuple[str, float | None] | None = None,
    ) -> tuple[str, bool]:
        """See :meth:`narrowboat.Runner.submit`; the job's id, and whether it is new.

        Args:
            told: what :meth:`told` said of the source, where that was asked for before.
            watched: see :class:`~narrowboat.journal.NewJob`.
        """
        try:
            place = locate(source) if isinstance(source, str) else source
            told = told or await self.told(place, options, again=again, patience_s=patience_s)
            identity = await identify(pipeline, place, options, told)
        except NarrowboatError as error:
            where = source if isinstance(source, str) else source.location
            return await self.failed(pipeline, where, options, error, label)
        new = NewJob(pipeline.name, identity, place.shown, options, label, place.address, watched)
        row, created = await self._journal.submit(new)
        async with self._scheduler.turn(row.id):
            row = await self._journal.job(row.id)
            if again and not created and row.state != "running":
                row = await self._journal.restart(row.id)
            wanted: set[Path] = set()
            if formats:
                folder = Path(out).expanduser().absolute() if out is not None else self._home / "outputs"
                forms = [Form(one, pipeline.endings.get(one, one), pipeline.shape(options, one)) for one in formats]
                wanted = await want_outputs(self._journal, row.id, folder, place.stem, forms)
            entry = Entry(row.id, pipeline, place, wanted=wanted, label=row.label, told=told, anyway=again)
            await self._take(row, entry, options)
        await self._uploads.release(place.location)  # where the same content is worked on already, or was
        return row.id, created

    async def told(
        self, source: Source, options: dict[str, Json], *, again: bool, patience_s: float | None = None
    ) -> Told:
        """What is said of a source. One that rests is not asked: it is what it was when it failed."""
        if source.kind == "file" or source.content is not None:
            return Told()
        rests = None if again else await self._resting.row(source, self._caps.smaller(options.get("max_download")))
        if rests is not None:
            return Told(rests.told or Told().validator)
        return await ask(self._call, source, patience_s)

    async def rests(self, source: Source, options: dict[str, Json]) -> bool:
        """Whether a source failed before, and is left alone now."""
        return await self._resting.row(source, self._caps.smaller(options.get("max_download"))) is not None

    async def failed(
        self, pipeline: Pipeline, source: str, options: dict[str, Json], error: NarrowboatError, label: str | None
    ) -> tuple[str, bool]:
        """Take in a source that can't even be found, as a job that has failed; its id, and whether it is new."""
        identity = digest(["not found", pipeline.name, source])
        # With the whole address it fails too.
        new = NewJob(pipeline.name, identity, safe_source(source), options, label)
        row, created = await self._journal.submit(new)
        async with self._scheduler.turn(row.id):
            if (await self._journal.job(row.id)).state in ENDED:
                await self._journal.restart(row.id)
            await self._fail(row, pipeline, error)
        return row.id, created

    async def _fail(self, row: JobRow, pipeline: Pipeline, error: NarrowboatError) -> None:
        """End a queued job as failed before it has begun."""
        await self._journal.end(await self._journal.claim(row.id, LEASE_S), "failed", error.to_json())
        self._scheduler.finished(Entry(row.id, pipeline, Source("file", row.source, "source")), "failed", error)

    async def _take(self, row: JobRow, entry: Entry, options: dict[str, Json]) -> None:
        known, pipeline = self._scheduler.entries.get(row.id), entry.pipeline
        if known is not None and known.state in ("queued", "running"):
            if not known.closed and _same_shapes(pipeline, row.options, options):
                # the same content from elsewhere: one job, all the outputs
                known.want(entry.wanted)
                return
            await self._scheduler.wait([row.id])
            row = await self._journal.job(row.id)
        await self._move(row, entry.source)
        if row.state == "done" and not entry.wanted:
            entry.again = True
            self._scheduler.finished(entry, "done", None)
            return
        if row.state in ENDED:
            await self._journal.requeue(row.id, options=options)
        elif row.options != options:  # it was stopped before it ended, and is asked for with others now
            await self._journal.set_options(row.id, options)
        self._scheduler.add(entry)

    async def _move(self, row: JobRow, source: Source) -> None:
        """The same content lies elsewhere now: that is where a later retry has to find it."""
        if source.kind == "file" and row.source != source.location:
            await self._journal.set_source(row.id, source.location)
            await self._uploads.release(row.source)

    async def retry(self, job_id: str) -> JobRow:
        """See :meth:`narrowboat.Runner.retry`."""
        row = await self._journal.job(job_id)
        async with self._scheduler.turn(row.id):
            return await self._retry(await self._journal.job(row.id))

    async def _retry(self, row: JobRow) -> JobRow:
        if self._scheduler.is_running(row.id) or row.state == "done":
            raise UsageError(f"job {row.id} is {row.state}", hint="only what failed or was stopped can be retried")
        pipeline = find_pipeline(row.pipeline)
        if row.state in ENDED:
            row = await self._journal.requeue(row.id)
        try:
            source = restored(row.source, await self._journal.address(row))
        except NarrowboatError as error:
            gone = self._uploads.is_one(row.source)
            await self._fail(row, pipeline, _upload_gone(row) if gone else error)
        else:
            await self._take(row, Entry(row.id, pipeline, source, label=row.label, anyway=True), row.options)
        return await self._journal.job(row.id)


def _upload_gone(row: JobRow) -> SourceError:
    return SourceError(
        f"{Path(row.source).name} was sent to job {row.id} and is not kept any more", hint="send it again"
    )


def _same_shapes(pipeline: Pipeline, one: dict[str, Json], other: dict[str, Json]) -> bool:
    """True when outputs of one job look the same with both options."""
    return all(pipeline.shape(one, name) == pipeline.shape(other, name) for name in pipeline.formats)
