"""Outline: which sections a PDF has, as a file that extract and split take. The workflow, which runs in the supervisor.

Covers: the order of the steps, what makes two jobs the same.
Does not cover: finding sections (``document_workflow``).

Options of a job: those of ``document_workflow``.
"""

from __future__ import annotations

from narrowboat.pipelines.extract.document_workflow import COUNT, PRELOAD, looked_into
from narrowboat.pipelines.extract.split_workflow import identity
from narrowboat.runner.job import Job
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step

FORMATS = ("outline",)
ENDINGS = {"outline": "outline.json"}
#: Memory as measured. It takes a moment: no wait for a core.
LIST = Step("narrowboat.pipelines.extract.placing:list_sections", memory="32M", cores=0, name="list")


async def outline(job: Job) -> None:
    """Look into the document, write which sections it has."""
    await job.require(COUNT)
    document = await looked_into(job)
    sections = [{"name": section["name"], "pages": section["pages"]} for section in document.sections]
    given = {"source": job.name, "pages": document.facts["pages"], "by": document.by, "warnings": document.notes}
    await job.write(LIST, {**given, "sections": sections}, at={})


PIPELINE = Pipeline(
    "outline",
    outline,
    formats=FORMATS,
    identity=identity,
    endings=ENDINGS,
    preload=(*PRELOAD, "narrowboat.pipelines.extract.placing"),
)
