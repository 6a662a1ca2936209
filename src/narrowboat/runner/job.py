"""A job as its workflow sees it: fetch, run, stream, write, and say how far it is.

Covers: what an ordinary async function in the supervisor needs to be a workflow.
Does not cover: attempts of a step (``attempts``), when a job starts (``runner``).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from narrowboat import disk
from narrowboat.errors import NarrowboatError, OutputError, SourceError, UsageError
from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import Claim, JobRow
from narrowboat.runner.attempts import StepRun
from narrowboat.runner.calls import CallRun
from narrowboat.runner.lanes import DOWNLOADS
from narrowboat.runner.outputs import each_once
from narrowboat.runner.records import JournalRecord, NoRecord, Record
from narrowboat.runner.resting import Resting
from narrowboat.runner.status import Live
from narrowboat.runner.steps import Step
from narrowboat.runner.validators import Told
from narrowboat.runner.workshop import Workshop
from narrowboat.sources.limits import refuse_size
from narrowboat.sources.locate import Source
from narrowboat.values import Facts, Json

#: 14 MiB as measured, TLS included, and the 25 that a worker of a preloaded fork server begins with.
FETCH = Step("narrowboat.sources.http:fetch", memory="48M", cores=0, name="fetch", lane=DOWNLOADS)
#: 19 MiB as measured over 1 GiB, without TLS, and the same 25.
_FETCH_OBJECT = Step("narrowboat.sources.objects:fetch", memory="64M", cores=0, name="fetch", lane=DOWNLOADS)
#: A job that was running when this many supervisors in a row died runs alone from then on.
DEATHS_UNTIL_ALONE = 5


@dataclass(frozen=True, slots=True)
class Streamed:
    """A value of a stream, and whether it was computed just now or comes from the journal."""

    value: Json
    new: bool


class Job:
    """One pipeline run on one source.

    Attributes:
        id: as in the journal.
        name: what people are shown of the source: the file's name, or the address without secrets.
        source: what is worked on.
        options: as they were submitted.
    """

    def __init__(
        self,
        row: JobRow,
        claim: Claim,
        source: Source,
        *,
        journal: Journal,
        shop: Workshop,
        live: Live,
        scratch: Path,
        once: Callable[[str, Callable[[], Awaitable[Json]]], Awaitable[Json]],
        wanted: set[Path] | None = None,
        told: Told | None = None,
        anyway: bool = False,
    ) -> None:
        self.id = row.id
        self.name = shown(source)
        self.source = source
        self.options = row.options
        self._identity = row.identity
        self._scratch = scratch
        self.items_resumed = 0
        self._alone = row.supervisor_deaths >= DEATHS_UNTIL_ALONE
        self._claim = claim
        self._journal = journal
        self._shop = shop
        self._live = live
        self._once = once
        self._wanted = wanted
        self._told = told or Told()
        self._anyway = anyway
        self._wrote: set[Path] = set()
        self._keys: dict[str, int] = {}

    @property
    def scratch(self) -> Path:
        """The job's folder, made when it is first asked for; it goes when the job ends.

        Raises:
            DiskFull, OutputError: it can't be made.
        """
        make_folder(self._scratch, "the scratch folder")
        return self._scratch

    async def fetch(self) -> str:
        """The path of the source on disk; an address is streamed to scratch, where it stays until the job ends.

        Raises:
            SourceRests: it has failed before, and is left alone (see ``resting``).
            SourceError, FetchError, TooLarge, DiskFull: see ``sources.http``.
        """
        if self.source.kind == "file":
            return self.source.location
        cap = self._shop.caps.smaller(self.options.get("max_download"))
        resting = Resting(self._journal)
        try:
            if not await self.finished(FETCH):  # what is here stays
                if not self._anyway:
                    await resting.check(self.source, cap)
                refuse_size(self.name, "is", self._told.bytes or 0, cap)  # as it was told: without asking for it
            path = await self._fetched(cap)
        except NarrowboatError as error:
            await resting.failed(self.source, error, self._told.validator)
            raise
        resting.worked(self.source)
        return path

    async def _fetched(self, cap: int | None) -> str:
        step = _FETCH_OBJECT if self.source.kind == "object" else FETCH
        key = self._key(step)
        given, at = self._fetching(cap)
        try:
            fetched = await self._run(key, step, given, {}, at)
        except SourceError as error:
            # Not journaled: what a feed says has whole addresses.
            self.source = await self._shop.lookups.moved(
                self.source, error, lambda step, given: self.afresh(step, given, given)
            )
            await self._journal.set_address(self._identity, self.source.address)
            self.log("its feed names another address now, which is tried")
            given, at = self._fetching(cap)
            fetched = await self._run(key, step, given, {}, at)
        if not Path(fetched["path"]).exists():  # scratch was emptied by hand
            fetched = await self.afresh(step, {**given, **at})
        return str(fetched["path"])

    def _fetching(self, cap: int | None) -> tuple[dict[str, Json], dict[str, Json]]:
        """What is fetched, and from where and how: a change of that alone does not fetch it again."""
        at: dict[str, Json] = {"max_bytes": cap}
        if self.source.episode is None:
            return {"url": self.source.location, "name": "source"}, at
        return {"episode": self._identity}, {"url": self.source.location, **at}

    @property
    def cores(self) -> int:
        """All the cores of this run."""
        return self._shop.budget.cores

    async def require(self, step: Step, facts: Facts | None = None) -> None:
        """Refuse the job now when a step that comes later could never fit.

        Raises:
            CannotFit: its declared demand is above the whole budget; that of a remote call counts with its client.
        """
        label = f"{step.name} of {self._live.source}"
        if step.client is not None:
            call = step.demand(facts or {})
            self._shop.budget.check(await self._shop.clients.of(step.client).with_call(call), label)
            return
        asked = await self._shop.estimate(step, facts or {})
        if not asked.learned:
            self._shop.budget.check(asked.demand, label)

    async def run(
        self,
        step: Step,
        given: Json,
        facts: Facts | None = None,
        *,
        at: dict[str, Json] | None = None,
        key: str | None = None,
    ) -> Json:
        """The result of a step; from the journal when it was done before. Steps may run at the same time.

        Args:
            given: the input. Another input than before does the step again.
            facts: what its demand is computed from.
            at: input that only says where things lie (paths): other places do not do it again.
            key: tells this use of the step from others, where a workflow uses it many times and the order may differ
                between runs; their number in the order of the calls when None.
        """
        return await self._run(self._key(step) if key is None else keyed(step, key), step, given, facts or {}, at)

    async def afresh(self, step: Step, given: Json, facts: Facts | None = None) -> Json:
        """The result of a step that is not journaled: what it makes lies in scratch, which goes when the job ends."""
        return await self._step_run(step, NoRecord(), given, facts or {}).result()

    async def once(self, step: Step, given: Json) -> Json:
        """The result of a step that serves every job of this run that asks the same; not journaled."""
        return await self._once(f"{step.function} {given}", lambda: self.afresh(step, given))

    async def stream(
        self, step: Step, given: Json, facts: Facts | None = None, *, at: dict[str, Json] | None = None
    ) -> AsyncGenerator[Streamed]:
        """The values of a resumable step in order: those that are journaled, then new ones as they come.

        Arguments as for :meth:`run`.
        """
        key = self._key(step)
        record = await JournalRecord.begin(self._journal, self._claim, key, step, given)
        self.items_resumed += record.items
        if record.items and not record.done:
            record.log(f"{step.name} goes on after item {record.items}")
        async for _, value in self._journal.items(self.id, key):
            yield Streamed(value, new=False)
        run = self._step_run(step, record, {**given, **at} if at else given, facts or {})
        if isinstance(run, CallRun):
            raise UsageError(f"{step.name} is a call of a remote engine and gives no stream", hint="run it")
        async with contextlib.aclosing(run.items()) as items:
            async for item in items:
                yield Streamed(item.value, new=True)

    async def finished(self, step: Step, key: str | None = None) -> bool:
        """True when the journal has the step's whole result, so that its input is not needed."""
        row = await self._journal.step(self.id, keyed(step, key))
        return row is not None and row.state == "done" and row.version == step.version

    async def result(self, step: Step, key: str | None = None) -> Json:
        """The result that the journal has of a step; None when it has none."""
        row = await self._journal.step(self.id, keyed(step, key))
        return None if row is None else row.result

    async def cursor(self, step: Step) -> Json:
        """The cursor of a stream's last committed item; None when it has none."""
        await self._journal.flush()
        row = await self._journal.step(self.id, step.name)
        return None if row is None else row.cursor

    def progress(self, fraction: float, **facts: Json) -> None:
        """Say how far the job is, 0 to 1, and anything else that a display may show."""
        self._live.fraction = max(0.0, min(1.0, fraction))
        self._live.facts.update(facts)

    async def export(self, step: Step) -> str:
        """The values of a stream as JSON lines in a file in scratch, for a step that reads them all."""
        path = self.scratch / f"{step.name}.jsonl"
        await self._journal.flush()
        await self._journal.export_items(self.id, step.name, path)
        return str(path)

    async def wants(self, formats: Collection[str]) -> bool:
        """True when an output of one of these formats is wanted and missing."""
        return bool(await self._targets(formats))

    async def export_results(self, step: Step, keys: Iterable[str]) -> str:
        """The results of a step that was run under many keys, in their order, as JSON lines in a file in scratch.

        One at a time is in memory. A step that reads them all takes the file.
        """
        path = self.scratch / f"{step.name}-results.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for key in keys:
                json.dump(await self.result(step, key), file)
                file.write("\n")
        return str(path)

    async def write(
        self,
        step: Step,
        given: dict[str, Json],
        *,
        at: dict[str, Json],
        formats: Collection[str] | None = None,
        whole: bool = True,
    ) -> list[Path]:
        """Write the outputs that are wanted and missing, all of them or none; where they were written.

        The step gets ``targets`` (``[{"format", "path"}]``, each format once) beside what is given, and returns
        ``outputs`` (``[{"format", "path", "bytes"}]``). It is run again for a format that is wanted in several places,
        as where two sources have the same content.

        Args:
            formats: of these formats only.
            whole: False when something is missing in them: they count as missing, and are written again when the job
                is run again. The workflow is to fail with :class:`~narrowboat.errors.PartlyDone` then.
        """
        targets = await self._targets(formats)
        for folder in {Path(target["path"]).parent for target in targets}:
            make_folder(folder)
        written = []
        for some in each_once(targets):
            asked = {**given, "targets": some, "claim": self._claim.token}  # each claim writes what is missing then
            result = await self._run(self._key(step), step, asked, {}, at)
            for output in result["outputs"]:
                path = Path(output["path"])
                written.append(path)
                self._wrote.add(path)
                if whole:
                    await self._journal.mark_output(self._claim, path, output["bytes"])
        return written

    def discard(self, name: str) -> None:
        """Remove a file in scratch that nothing needs any more, and give its room back. It may be gone already."""
        path = self._scratch / name
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        self._shop.space.forget(path)

    def log(self, message: str) -> None:
        """A line for the job's history."""
        self._journal.log(self.id, message)

    def rewind(self) -> None:
        """The workflow is run from its beginning: steps get the names again that they had. For the scheduler."""
        self._keys.clear()

    # ------------------------------------------------------------------------------------------------------------

    async def _targets(self, formats: Collection[str] | None) -> list[dict[str, Json]]:
        return [
            {"format": output.format, "path": str(output.path)}
            for output in await self._journal.outputs(self.id)
            if (not output.written if self._wanted is None else output.path in self._wanted - self._wrote)
            and (formats is None or output.format in formats)
        ]

    def _key(self, step: Step) -> str:
        """The step's name; with a number when the workflow calls it more than once."""
        count = self._keys[step.name] = self._keys.get(step.name, 0) + 1
        return step.name if count == 1 else f"{step.name}-{count}"

    async def _run(self, key: str, step: Step, given: Json, facts: Facts, at: dict[str, Json] | None = None) -> Json:
        record = await JournalRecord.begin(self._journal, self._claim, key, step, given)
        return await self._step_run(step, record, {**given, **at} if at else given, facts).result()

    def _step_run(self, step: Step, record: Record, given: Json, facts: Facts) -> StepRun | CallRun:
        if step.client is not None:
            return CallRun(self._shop, step, record, self._live, given=given, facts=facts, scratch=self._scratch)
        return StepRun(
            self._shop,
            step,
            record,
            self._live,
            given=given,
            facts=facts,
            scratch=self._scratch,
            alone=self._alone,
        )


def keyed(step: Step, key: str | None) -> str:
    """A step's name in the journal: its own, and the key that it was run under."""
    return step.name if key is None else f"{step.name}/{key}"


def shown(source: Source) -> str:
    """A source as people are shown it: the file's name, or the address without secrets."""
    return Path(source.location).name if source.kind == "file" else source.shown


def make_folder(folder: Path, what: str = "the output folder") -> None:
    """Make a folder.

    Raises:
        DiskFull, OutputError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in disk.FULL:
            raise disk.full(folder, what, "free some, or use --home and --out on other disks") from error
        raise OutputError(f"{what} {folder} can't be made: {error.strerror}", path=str(folder)) from error
