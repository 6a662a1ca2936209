"""Transcribe: an episode to a transcript. The workflow, which runs in the supervisor.

Covers: the order of the steps, what is reserved for each, what makes two jobs the same.
Does not cover: what the steps do (``steps``, ``media/``, ``engines/``), what comes after (``outputs_workflow``).

Options of a job: ``model`` (as for ``--model``), ``language`` (a code, or None to find out), ``max_download`` (bytes
or None), ``cache`` (where packs are kept), and those of ``outputs_workflow``.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from narrowboat.engines.catalogue import (
    PREPARE_DEMAND,
    SPEECH_ENGINE,
    SpeechModel,
    check_language,
    speech_demand,
    speech_model,
)
from narrowboat.pipelines.transcribe.outputs_workflow import ENDINGS, FORMATS, shape, written
from narrowboat.runner.job import Job
from narrowboat.runner.lanes import TRANSCRIPTIONS
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step
from narrowboat.values import Demand, Facts, Json

# Memory as measured, with a margin: see the modules of the steps. Each counts the 25 MiB of imported modules that a
# worker shares with the fork server at first.
PREPARE = Step("narrowboat.engines.speech.prepare:prepare_model", demand=lambda _: PREPARE_DEMAND, name="prepare")
PROBE = Step("narrowboat.media.probe:probe", memory="48M", name="probe")
RECOGNISE = Step("narrowboat.pipelines.transcribe.steps:recognise", name="recognise", version=SPEECH_ENGINE)


async def transcribe(job: Job) -> None:
    """Fetch, probe, recognise, write. After a crash it goes on from the last journaled segment."""
    model = speech_model(str(job.options["model"]))
    recognise = _recognise(model, most_cores=job.cores)
    if not await job.finished(recognise):
        await job.require(recognise)  # what can't fit is refused before anything is fetched
        await _recognised(job, recognise, model)
    facts = await job.result(PROBE)
    given = {
        "facts": facts,
        "source": job.name,
        "engine": {"name": model.name, "version": model.version},
        "language": await _language(job, recognise),
        **({"episode": job.source.episode.about} if job.source.episode is not None else {}),
    }
    await written(job, recognise, given, facts)


async def _recognised(job: Job, step: Step, model: SpeechModel) -> None:
    audio = await job.fetch()
    facts = await job.run(PROBE, {"name": job.name}, at={"path": audio})
    prepared = await job.once(PREPARE, {"model": model.name, "cache": job.options["cache"]})
    given = {"model": model.version, "language": job.options["language"], "stream": facts["stream"]}
    at = {"path": audio, "model_dir": prepared["path"], "duration": facts["duration"]}
    began, first = 0.0, 0.0
    async with contextlib.aclosing(job.stream(step, given, facts, at=at)) as chunks:
        async for chunk in chunks:
            done, now = chunk.value["end"], time.monotonic()
            if chunk.new and not began:
                began, first = now, done  # the first one's time includes waiting and loading the model
            job.progress(
                done / max(facts["duration"], 0.001),
                speed=(done - first) / (now - began) if began and now > began else None,
            )


def _recognise(model: SpeechModel, most_cores: int) -> Step:
    def demand(facts: Facts) -> Demand:
        return speech_demand(model, facts, most_cores)

    return RECOGNISE.with_engine(model.name, demand)


def recognise_step(options: dict[str, Json], cores: int) -> Step:
    """The step of a job that needs the most memory, for who wants to know before the job runs."""
    return _recognise(speech_model(str(options["model"])), most_cores=cores)


async def _language(job: Job, step: Step) -> Json:
    """The language that was asked for, or the one that was found."""
    if job.options["language"] is not None:
        return job.options["language"]
    cursor = await job.cursor(step)
    return cursor["language"] if cursor else None


def identity(options: dict[str, Json]) -> Json:
    """What changes a transcript: the model with its version, and the language."""
    return [speech_model(str(options["model"])).version, options["language"]]


def options(
    *, model: str, language: str | None, max_download: int | None, cache: Path, after: dict[str, Json] | None = None
) -> dict[str, Json]:
    """The options of a job, from those of the command line; ``after``: what ``outputs_workflow`` makes of them.

    Raises:
        UsageError: no such model or language.
    """
    found = speech_model(model)
    return {
        "model": found.name,
        "language": check_language(found, language),
        "max_download": max_download,
        "cache": str(cache),
        **(after or {}),
    }


# Measured with eight clips of 3 to 15 s and tiny.en: 8.4 s with these preloaded, 12.8 without; the peak of the whole
# tree 307 and 321 MiB, since workers share what the fork server (25 in the place of 9 MiB) has imported.
_PRELOAD = ("narrowboat.pipelines.transcribe.steps", "narrowboat.media.probe", "narrowboat.media.captions")
PIPELINE = Pipeline(
    "transcribe",
    transcribe,
    formats=FORMATS,
    identity=identity,
    shape=shape,
    endings=ENDINGS,
    preload=_PRELOAD,
    lane=TRANSCRIPTIONS,
)
