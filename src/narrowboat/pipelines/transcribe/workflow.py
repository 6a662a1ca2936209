"""Transcribe: an episode to a transcript. The workflow, which runs in the supervisor.

Covers: the order of the steps for a model on this machine, what is reserved for each, what makes two jobs the same.
Does not cover: remote models (``remote_workflow``), what the steps do (``steps``, ``media/``, ``engines/``),
what comes after (``outputs_workflow``).

Options of a job: ``model`` (as for ``--model``), ``language`` (a code, or None to find out), ``max_download`` (bytes
or None), ``cache`` (where packs are kept), and those of ``remote_workflow`` and ``outputs_workflow``.
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
    language_code,
    speech_demand,
    speech_model,
)
from narrowboat.engines.remote import remote_model
from narrowboat.engines.remote_speech import DEFAULT_CHUNK, REMOTE_SPEECH, check_chunk
from narrowboat.pipelines.transcribe import remote_workflow
from narrowboat.pipelines.transcribe.outputs_workflow import ENDINGS, FORMATS, shape, written
from narrowboat.pipelines.transcribe.sound_workflow import described, sound
from narrowboat.runner.job import Job
from narrowboat.runner.lanes import TRANSCRIPTIONS
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step
from narrowboat.values import Demand, Facts, Json

# Memory as measured, with a margin: see the modules of the steps. Each counts the 25 MiB of imported modules that a
# worker shares with the fork server at first.
PREPARE = Step("narrowboat.engines.speech.prepare:prepare_model", demand=lambda _: PREPARE_DEMAND, name="prepare")
RECOGNISE = Step("narrowboat.pipelines.transcribe.steps:recognise", name="recognise", version=SPEECH_ENGINE)


async def transcribe(job: Job) -> None:
    """Fetch, probe, recognise, write. After a crash it goes on from the last journaled segment."""
    far = remote_model(str(job.options["model"]))
    if far is not None:
        await remote_workflow.transcribe(job, far)
    else:
        await _transcribe(job, speech_model(str(job.options["model"])))


async def _transcribe(job: Job, model: SpeechModel) -> None:
    recognise = _recognise(model, most_cores=job.cores)
    if not await job.finished(recognise):
        await job.require(recognise)  # what can't fit is refused before anything is fetched
        await _recognised(job, recognise, model)
    given = await described(job, model.name, model.version, await _language(job, recognise))
    await written(job, recognise, given, given["facts"])


async def _recognised(job: Job, step: Step, model: SpeechModel) -> None:
    audio, facts = await sound(job)
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


def largest_step(options: dict[str, Json], cores: int) -> Step | None:
    """The step of a job that needs the most memory, for who wants to know before the job runs; None when that is far
    away.
    """
    if remote_model(str(options["model"])) is not None:
        return None
    return _recognise(speech_model(str(options["model"])), most_cores=cores)


async def _language(job: Job, step: Step) -> Json:
    """The language that was asked for, or the one that was found."""
    if job.options["language"] is not None:
        return job.options["language"]
    cursor = await job.cursor(step)
    return cursor["language"] if cursor else None


def identity(options: dict[str, Json]) -> Json:
    """What changes a transcript: the model with its version, and the language."""
    far = remote_model(str(options["model"]))
    version = speech_model(str(options["model"])).version if far is None else [far.name, REMOTE_SPEECH]
    return [version, options["language"]]


def options(
    *,
    model: str,
    language: str | None,
    max_download: int | None,
    cache: Path,
    chunk: float = DEFAULT_CHUNK,
    after: dict[str, Json] | None = None,
) -> dict[str, Json]:
    """The options of a job, from those of the command line; ``after``: what ``outputs_workflow`` makes of them.

    Raises:
        UsageError: no such model or language, or a chunk that is too short or too long.
    """
    far = remote_model(model)
    if far is not None:
        name, code = far.name, language_code(language)
    else:
        near = speech_model(model)
        name, code = near.name, check_language(near, language)
    return {
        "model": name,
        "language": code,
        "max_download": max_download,
        "cache": str(cache),
        "chunk": check_chunk(chunk),
        **(after or {}),
    }


def preload_of(options: dict[str, Json]) -> tuple[str, ...]:
    """What the fork server imports for a job: nothing for a remote model (see :data:`_PRELOAD`)."""
    return _PRELOAD if remote_model(str(options.get("model"))) is None else ()


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
    preload_of=preload_of,
    lane=TRANSCRIPTIONS,
)
