"""Each section on its way to its answer, as many at the same time as fit. Runs in the supervisor.

Covers: which sections are still to be asked about, cutting them out a few at a time, asking, one try to repair, what
each came to; files of sections go as soon as they were asked about.
Does not cover: the whole job (``workflow``), tries again and pauses (``runner/calls``), what the steps do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrowboat.errors import CannotFit, DiskFull, EngineError, Interrupted, JournalError, LeaseLost, NarrowboatError
from narrowboat.pipelines.extract.document_workflow import (
    Document,
    cutting_demand,
    drawing_demand,
    opening,
    reading_demand,
)
from narrowboat.pipelines.extract.models_workflow import Engine
from narrowboat.runner.job import Job
from narrowboat.runner.steps import Step, digest
from narrowboat.values import Facts, Json

CUT = Step("narrowboat.media.pdf_cut:cut", demand=cutting_demand, name="cut")
TEXTS = Step("narrowboat.pipelines.extract.texts:texts", demand=reading_demand, name="texts")
#: The same with pictures of scanned pages.
DRAWN = Step("narrowboat.pipelines.extract.texts:texts", demand=drawing_demand, name="texts and pictures")
#: Sections that are prepared in one opening of the document, and those that may lie in scratch at a time. In little
#: memory cutting and calls take turns: then it is better to have many ready.
TOGETHER, WAITING = 64, 512
#: What is no failure of one section: the job can't go on, or is not to.
_OF_THE_JOB = (Interrupted, CannotFit, DiskFull, LeaseLost, JournalError)
#: Questions that are refused in the same words, before any is answered, after which the others are not asked: a bad
#: key, no such model.
_REFUSALS = 3


@dataclass(slots=True)
class Outcome:
    """A section, and what came of it.

    Attributes:
        key: of its answer in the journal.
        note: what readers should know of it, or None.
        error: why there is no answer; None when there is one.
    """

    number: int
    name: str
    pages: str
    ranges: list[list[int]]
    key: str
    note: str | None = None
    error: dict[str, Json] | None = None

    @property
    def code(self) -> str:
        """Of its error."""
        return str(self.error["code"]) if self.error else ""

    @property
    def message(self) -> str:
        """Of its error."""
        return str(self.error["message"]) if self.error else ""

    def to_json(self) -> dict[str, Json]:
        """As the writer of the outputs takes it."""
        names = ("number", "name", "pages", "note", "error")
        return {name: getattr(self, name) for name in names}


def outcomes_of(sections: Sequence[dict[str, Any]]) -> list[Outcome]:
    """The sections in order. What tells one from another is its name and its pages, so that a section keeps its answer
    when others are added; of those that are alike the first, the second, ….
    """
    alike: Counter[str] = Counter()
    made = []
    for number, section in enumerate(sections, 1):
        key = digest([section["name"], section["ranges"] or section["pages"]])[:16]
        alike[key] += 1
        key = key if alike[key] == 1 else f"{key}-{alike[key]}"
        made.append(Outcome(number, section["name"], section["pages"], section["ranges"], key, error=section["error"]))
    return made


async def answered(
    job: Job, document: Document, step: Step, engine: Engine, model_path: str | None = None
) -> list[Outcome]:
    """Ask about all sections that have no answer yet; what each came to, in the document's order. ``model_path`` is the
    file of a model on this machine.

    Raises:
        NarrowboatError: what is no failure of one section.
    """
    outcomes = outcomes_of(document.sections)
    asking = _Asking(job, document, step, engine, model_path, outcomes)
    todo = [outcome for outcome in outcomes if outcome.error is None and not await asking.known(outcome)]
    asking.tell(len(outcomes) - len(todo))
    if todo:
        await asking.all(todo, await opening(job))
    return outcomes


class _Asking:
    """The sections of one job on their way."""

    def __init__(
        self,
        job: Job,
        document: Document,
        step: Step,
        engine: Engine,
        model_path: str | None,
        outcomes: list[Outcome],
    ) -> None:
        self._job = job
        self._document = document
        self._step = step
        self._engine = engine
        self._model_path = model_path
        self._count = len(outcomes)
        self._done = self._answers = 0
        self._refused: Counter[str] = Counter()
        self._room = asyncio.Semaphore(WAITING)

    def tell(self, done: int) -> None:
        """So many more have come to an end."""
        self._done += done
        self._job.progress(self._done / self._count, parts_done=self._done, parts=self._count)

    async def known(self, outcome: Outcome) -> bool:
        """True when the journal has its answer; its key is then that of the answer that counts."""
        if not await self._job.finished(self._step, outcome.key):
            return False
        first = await self._job.result(self._step, outcome.key)
        outcome.note = first["note"]
        if first["complaint"] is None:
            return True
        if await self._job.finished(self._step, _again(outcome.key)):
            outcome.key = _again(outcome.key)
            return True
        return False

    async def all(self, todo: list[Outcome], at: dict[str, Json]) -> None:
        """Prepare the sections a few at a time, and ask about each as soon as it is there."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for begin in range(0, len(todo), TOGETHER):
                    some = todo[begin : begin + TOGETHER]
                    for _ in some:
                        await self._room.acquire()
                    for outcome, file in zip(some, await self._prepared(some, at), strict=True):
                        tasks.create_task(self._one(outcome, file))
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _prepared(self, some: list[Outcome], at: dict[str, Json]) -> list[dict[str, Json]]:
        """The files of some sections. When the step dies of them it is done for each alone, to find the one."""
        step, ending = (
            (CUT, "pdf") if self._engine.takes == "pdf" else (DRAWN if self._engine.looks else TEXTS, "jsonl")
        )
        sections = [{"file": f"{outcome.key}.{ending}", "ranges": outcome.ranges} for outcome in some]
        folder = str(self._job.scratch / "sections")
        given = {**at, "folder": folder, "sections": sections, "pictures": self._engine.looks}
        try:
            made: list[dict[str, Json]] = (await self._job.afresh(step, given, self._document.size))["files"]
        except _OF_THE_JOB:
            raise
        except NarrowboatError as error:
            if len(some) == 1:
                return [{"path": None, "pictures": [], "error": error.to_json()}]
            return [file for outcome in some for file in await self._prepared([outcome], at)]
        return made

    async def _one(self, outcome: Outcome, file: dict[str, Json]) -> None:
        try:
            outcome.note, outcome.error = file.get("note"), file["error"]
            if outcome.error is None:
                await self._ask(outcome, file)
        except _OF_THE_JOB:
            raise
        except NarrowboatError as error:
            if self._is_for_all(error):
                raise
            outcome.error = error.to_json()
            self._job.log(f"section {outcome.number}, {outcome.name!r}: {error.message}")
        finally:
            for path in _files(file):
                with contextlib.suppress(OSError):
                    Path(path).unlink(missing_ok=True)
            self._room.release()
        self.tell(1)

    def _is_for_all(self, error: NarrowboatError) -> bool:
        if self._answers or not isinstance(error, EngineError) or error.facts.get("status") is None:
            return False
        self._refused[error.message] += 1
        return self._refused[error.message] >= _REFUSALS

    async def _ask(self, outcome: Outcome, file: dict[str, Json]) -> None:
        options = self._job.options
        given = {
            "model": self._engine.name,
            "takes": self._engine.takes,
            "prompt": options["prompt"],
            "schema": options["schema"],
            "max_tokens": options["max_tokens"],
            "name": outcome.name,
            "pages": outcome.pages,
            "note": outcome.note,
        }
        at = {
            "path": file["path"],
            "number": outcome.number,
            "count": self._count,
            "document": self._job.name,
            "model_path": self._model_path,
            "pictures": file.get("pictures") or [],
        }
        size = sum(Path(picture["path"]).stat().st_size for picture in at["pictures"])
        facts: Facts = {
            "characters": file.get("characters", 0),
            "picture_bytes": size,
            "schema": bool(options["schema"]),
        }
        first = await self._job.run(self._step, given, facts, at=at, key=outcome.key)
        self._answers += 1
        if first["complaint"] is not None:
            given = {**given, "before": first["text"], "complaint": first["complaint"]}
            await self._job.run(self._step, given, facts, at=at, key=_again(outcome.key))
            outcome.key = _again(outcome.key)


def _files(file: dict[str, Json]) -> list[str]:
    """What was prepared of a section: its file, and pictures of its pages."""
    own = [] if file["path"] is None else [file["path"]]
    return own + [picture["path"] for picture in file.get("pictures") or []]


def _again(key: str) -> str:
    """The key of the second try, which is to repair the first."""
    return f"{key}-again"
