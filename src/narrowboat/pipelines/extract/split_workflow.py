"""Split: a PDF's sections to files. The workflow, which runs in the supervisor.

Covers: the order of the steps, what makes two jobs the same.
Does not cover: finding sections (``document_workflow``), cutting (``media/pdf_cut``), names of files (``placing``).

Options of a job: those of ``document_workflow``.
"""

from __future__ import annotations

from typing import Any

from narrowboat.pipelines.extract.answers_workflow import CUT, TOGETHER, Outcome, outcomes_of
from narrowboat.pipelines.extract.document_workflow import COUNT, PRELOAD, Document, looked_into, opening
from narrowboat.pipelines.extract.workflow import partly
from narrowboat.runner.job import Job
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step, digest
from narrowboat.values import Json

FORMATS = ("sections",)
ENDINGS = {"sections": "sections.json"}
#: Memory as measured: it moves files. No wait for a core.
PLACE = Step("narrowboat.pipelines.extract.placing:place", memory="32M", cores=0, name="place")


async def split(job: Job) -> None:
    """Look into the document, cut its sections in scratch, give them their places."""
    await job.require(COUNT)
    document = await looked_into(job)
    outcomes = outcomes_of(document.sections)
    if not await job.wants(FORMATS):
        return
    files = await _cut(job, document, [outcome for outcome in outcomes if outcome.error is None])
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    sections = [{**outcome.to_json(), "file": files.get(outcome.key)} for outcome in outcomes]
    given = {"source": job.name, "pages": document.facts["pages"], "by": document.by, "warnings": document.notes}
    paths = await job.write(PLACE, given, at={"sections": sections}, whole=not failed)
    if failed:
        raise partly(failed, len(outcomes), [str(path) for path in paths])


async def _cut(job: Job, document: Document, todo: list[Outcome]) -> dict[str, str]:
    """Where each section's file is, by its key. What can't be cut gets an error."""
    made: dict[str, str] = {}
    at = await opening(job)
    for begin in range(0, len(todo), TOGETHER):
        some = todo[begin : begin + TOGETHER]
        sections = [{"file": f"{outcome.key}.pdf", "ranges": outcome.ranges} for outcome in some]
        given: dict[str, Any] = {**at, "folder": str(job.scratch / "sections"), "sections": sections}
        cut = await job.afresh(CUT, given, document.size)
        for outcome, file in zip(some, cut["files"], strict=True):
            outcome.error = file["error"]
            if file["error"] is None:
                made[outcome.key] = file["path"]
        job.progress((begin + len(some)) / len(todo), parts_done=begin + len(some), parts=len(todo))
    return made


def identity(options: dict[str, Json]) -> Json:
    """What changes the files: which sections."""
    return digest(options["sections"])


def options(
    *, sections: dict[str, Json], password_file: str | None = None, max_download: int | None = None
) -> dict[str, Json]:
    """The options of a job."""
    return {"sections": sections, "password_file": password_file, "max_download": max_download}


PIPELINE = Pipeline(
    "split",
    split,
    formats=FORMATS,
    identity=identity,
    endings=ENDINGS,
    preload=(*PRELOAD, "narrowboat.media.pdf_cut", "narrowboat.pipelines.extract.placing"),
)
