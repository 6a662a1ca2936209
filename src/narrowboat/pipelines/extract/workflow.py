"""Extract: a PDF's sections to answers. The workflow, which runs in the supervisor.

Covers: the order of the steps, which sections are asked about again, what makes two jobs the same.
Does not cover: finding sections (``document_workflow``), one section's way (``answers_workflow``), what the steps do.

Options of a job: ``model``, ``prompt``, ``schema`` (text or None), ``max_tokens`` (or None), ``cache`` (where packs are
kept), and those of ``document_workflow``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from narrowboat.errors import PartlyDone, UsageError
from narrowboat.pipelines.extract.answers_workflow import Outcome, answered
from narrowboat.pipelines.extract.document_workflow import COUNT, PRELOAD, looked_into
from narrowboat.pipelines.extract.models_workflow import asking_step, check_schema, engine
from narrowboat.pipelines.packs_workflow import model_file
from narrowboat.runner.job import Job
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step, digest
from narrowboat.values import Json

FORMATS = ("json", "md", "csv")
ENDINGS = {"json": "answers.json", "md": "answers.md", "csv": "answers.csv"}
#: Memory as measured: one answer at a time is in it. It takes a moment: no wait for a core.
WRITE = Step("narrowboat.pipelines.extract.writing:write", memory="32M", cores=0, name="write")
_NAMED = 3  # failed sections in a message
_KEPT = 100  # failed sections in its facts


async def extract(job: Job) -> None:
    """Look into the document, ask about each section, write. What was answered before is not asked again."""
    found = engine(str(job.options["model"]))
    step = asking_step(found)
    await job.require(COUNT)  # what can't fit is refused before anything is fetched
    await job.require(step)
    document = await looked_into(job)
    model_path = None if found.local is None else await model_file(job, found.local)
    outcomes = await answered(job, document, step, found, model_path)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    given = {
        "source": job.name,
        "document": {name: document.facts[name] for name in ("pages", "title", "encrypted")},
        "warnings": document.notes,
        "by": document.by,
        "prompt": job.options["prompt"],
        "engine": {"name": found.name, "kind": found.kind},
        "sections": [outcome.to_json() for outcome in outcomes],
    }
    at = {"answers": await job.export_results(step, [outcome.key for outcome in outcomes if outcome.error is None])}
    paths = await job.write(WRITE, given, at=at, whole=not failed)
    if failed:
        raise partly(failed, len(outcomes), [str(path) for path in paths])


def partly(failed: list[Outcome], count: int, outputs: list[str]) -> PartlyDone:
    """That some sections failed, naming the first few."""
    named = "; ".join(f"{outcome.name!r} ({outcome.message})" for outcome in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    done = f"; the others are in {outputs[0]}" if len(failed) < count and outputs else ""
    return PartlyDone(
        f"{len(failed)} of {count} sections failed: {named}{more}{done}",
        hint="the same command again does only these",
        count=len(failed),
        failed=[
            {"name": outcome.name, "pages": outcome.pages, "code": outcome.code, "message": outcome.message}
            for outcome in failed[:_KEPT]
        ],
        outputs=outputs,
    )


def identity(options: dict[str, Json]) -> Json:
    """What changes an answer. Sections don't: the answer to one is the same whichever others are asked about."""
    return [engine(str(options["model"])).version, options["prompt"], options["schema"], options["max_tokens"]]


def shape(options: dict[str, Json], format: str) -> Json:
    """What an output shows beside: which sections."""
    return {"sections": digest(options["sections"])}


def options(
    *,
    model: str,
    prompt: str,
    sections: dict[str, Json],
    cache: Path,
    schema: str | None = None,
    max_tokens: int | None = None,
    password_file: str | None = None,
    max_download: int | None = None,
) -> dict[str, Json]:
    """The options of a job.

    Raises:
        UsageError: no such model, or one that can't be asked here; no prompt.
    """
    found = engine(model)
    check_schema(found, schema)
    asking_step(found)
    if not prompt.strip():
        raise UsageError("the prompt is empty", hint="say with --prompt what each section is asked for")
    made: dict[str, Any] = {"model": found.name, "prompt": prompt.strip(), "schema": schema, "max_tokens": max_tokens}
    made["cache"] = str(cache)
    return {**made, "sections": sections, "password_file": password_file, "max_download": max_download}


PIPELINE = Pipeline(
    "extract",
    extract,
    formats=FORMATS,
    identity=identity,
    shape=shape,
    endings=ENDINGS,
    preload=(*PRELOAD, "narrowboat.pipelines.extract.texts", "narrowboat.pipelines.extract.writing"),
)
