"""What comes after recognition, whichever engine did it: summary, embeddings, outputs. Runs in the supervisor.

Covers: the options that say so, what they change, the order of these steps.
Does not cover: recognition (``workflow``), what the steps do (``summary``, ``embedding``, ``media/captions``).

Options of a job: ``summary`` (``{"model", "version", "words"}`` or None), ``embed`` (``{"model", "version"}`` or None).
They don't change the transcript, so they are no part of a job's identity: an output that they change is written anew,
and only what they ask for is computed.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence

from narrowboat.engines.embedding_models import (
    DEFAULT_EMBEDDING,
    TEXTS_AT_ONCE,
    embedding_client,
    embedding_demand,
    embedding_model,
)
from narrowboat.engines.language_models import language_client, language_demand, language_model
from narrowboat.errors import UsageError
from narrowboat.pipelines.packs_workflow import model_file
from narrowboat.runner.job import Job
from narrowboat.runner.steps import Step
from narrowboat.values import Demand, Facts, Json

#: Formats that hold the transcript alone, and those that hold what is made of it.
_PLAIN, _FULL = ("txt", "srt", "vtt"), ("json", "summary")
FORMATS = (*_PLAIN, *_FULL)
ENDINGS = {"summary": "summary.txt"}
DEFAULT_WORDS = (400, 600)

#: Memory as measured: 26 MiB with what a worker begins with. It takes a moment: no wait for a core.
CAPTIONS = Step("narrowboat.media.captions:write", memory="32M", cores=0, name="captions")
_COUNT = Step("narrowboat.pipelines.transcribe.embedding:count", memory="32M", cores=0, name="count")
_EMBEDDING = "narrowboat.pipelines.transcribe.embedding"
_SUMMARISE = "narrowboat.pipelines.transcribe.summary:summarise"
#: Seconds that a remote model may take for a summary: a long transcript may need a question for each of its parts.
_SUMMARY_S = 1800.0


async def written(job: Job, transcript: Step, given: dict[str, Json], facts: Facts) -> None:
    """Write a job's outputs from the items of ``transcript``.

    What holds the transcript alone is written first, so that it is there when a summary can't be had.

    Args:
        given: ``facts``, ``source``, ``engine``, ``language`` for the JSON.
        facts: what demands are computed from.
    """
    if not await job.wants(FORMATS):
        return
    at = {"items": await job.export(transcript)}
    await job.write(CAPTIONS, given, at=at, formats=_PLAIN)
    if not await job.wants(_FULL):
        return
    made: dict[str, Json] = {}
    if job.options.get("summary") is not None:
        made["summary"] = await _summary(job, given, at, facts)
    if job.options.get("embed") is not None and await job.wants(("json",)):
        made["embeddings"] = job.options["embed"]
        at["vectors"] = await _vectors(job, given, at)
    await job.write(CAPTIONS, {**given, **made}, at=at, formats=_FULL)


async def _summary(job: Job, given: dict[str, Json], at: dict[str, Json], facts: Facts) -> Json:
    asked = job.options["summary"]
    model = language_model(asked["model"])

    def demand(facts: Facts) -> Demand:
        return language_demand(model, facts)

    path = await model_file(job, model)
    client = language_client(model)
    step = Step(
        _SUMMARISE,
        name="summary",
        version=asked["version"],
        engine=model.name,
        demand=demand,
        client=client,
        time_limit=_SUMMARY_S if client else None,
    )
    at = {**at, "path": path}
    return await job.run(step, {**asked, "language": given["language"]}, facts, at=at)


async def _vectors(job: Job, given: dict[str, Json], at: dict[str, Json]) -> str:
    """The path of the vectors, as JSON lines."""
    asked = {**job.options["embed"], "language": given["language"]}
    model = embedding_model(asked["model"])
    demand, client = embedding_demand(model), embedding_client(model)
    count = await job.run(_COUNT, {"language": given["language"]}, at=at)

    def step(function: str) -> Step:
        return Step(
            f"{_EMBEDDING}:{function}",
            name="embed",
            version=asked["version"],
            engine=model.name,
            demand=lambda _: demand,
            client=client,
        )

    if client is None:
        stream = step("embed")
        async with contextlib.aclosing(job.stream(stream, {**asked, "count": count}, at=at)) as items:
            async for _ in items:
                pass
        return await job.export(stream)
    call = step("embed_some")
    keys = [f"{part}" for part in range(math.ceil(count / TEXTS_AT_ONCE))]
    try:
        async with asyncio.TaskGroup() as group:
            for part, key in enumerate(keys):
                group.create_task(job.run(call, {**asked, "part": part}, at=at, key=key))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    return await job.export_results(call, keys)


def after_options(
    *,
    formats: Sequence[str],
    summary: bool,
    summary_words: Sequence[int] | None,
    summary_model: str,
    embed: bool = False,
    embed_model: str = DEFAULT_EMBEDDING,
) -> dict[str, Json]:
    """The options of a job that say what comes after recognition.

    Raises:
        UsageError: no such model, or no key or library for it; the summary as a format without being asked for.
    """
    made: dict[str, Json] = {"summary": None, "embed": None}
    if embed:
        vectors = embedding_model(embed_model)
        embedding_client(vectors)
        made["embed"] = {"model": vectors.name, "version": vectors.version}
    if summary:
        model = language_model(summary_model)
        language_client(model)
        words = list(summary_words or DEFAULT_WORDS)
        made["summary"] = {"model": model.name, "version": model.version, "words": words}
    elif "summary" in formats:
        raise UsageError("--formats: summary needs --summary", hint="--summary alone writes it")
    return made


def shape(options: dict[str, Json], format: str) -> Json:
    """What of a job's options an output shows beside the transcript."""
    shown = {"json": ("summary", "embed"), "summary": ("summary",)}.get(format, ())
    return {name: options[name] for name in shown if options.get(name) is not None} or None
