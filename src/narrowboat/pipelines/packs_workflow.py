"""Packs that jobs need: fetched once for all of them. Runs in the supervisor.

Covers: the step and its result. Does not cover: fetching (``engines/fetching``), models that are converted when they
are made ready (``engines/speech/prepare``, ``engines/pose/prepare``).
"""

from __future__ import annotations

from narrowboat.engines.catalogue import PREPARE_DEMAND
from narrowboat.engines.language_models import LanguageModel, file_of
from narrowboat.runner.job import Job
from narrowboat.runner.steps import Step

FETCH_PACK = Step("narrowboat.engines.fetching:fetch", demand=lambda _: PREPARE_DEMAND, name="fetch pack")


async def model_file(job: Job, model: LanguageModel) -> str | None:
    """The .gguf file of a language model, fetched when it comes in a pack; None for one that is no file. The job's
    option ``cache`` says where packs are kept.
    """
    folder = None
    if model.pack is not None:
        folder = (await job.once(FETCH_PACK, {"pack": model.pack, "cache": job.options["cache"]}))["path"]
    return file_of(model, folder)
