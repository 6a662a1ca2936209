"""Folders of object stores taken in: one job for each object.

Covers: ``s3://bucket/folder/`` and ``s3://bucket/2024/*.mp3`` as sources.
Does not cover: listing (``sources/objects``), the jobs (``intake``). Folders on disk are for the shell to list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from narrowboat.errors import Interrupted, NarrowboatError, UsageError
from narrowboat.runner.feeds import Taken
from narrowboat.runner.intake import Intake
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step
from narrowboat.runner.validators import Call, Told
from narrowboat.sources.object_names import is_object, object_name
from narrowboat.values import Json

_LIST = Step("narrowboat.sources.objects:listed", memory="64M", cores=0, name="list")


class Folders:
    """Takes folders in for the runner of a home.

    Args:
        call: runs a step outside of any job.
    """

    def __init__(self, intake: Intake, call: Call) -> None:
        self._intake = intake
        self._call = call

    def is_one(self, source: str) -> bool:
        """Whether ``source`` means many objects of a store."""
        with contextlib.suppress(UsageError):  # it is told when it is submitted
            return is_object(source) and object_name(source).is_many
        return False

    async def submit(
        self,
        pipeline: Pipeline,
        source: str,
        options: dict[str, Json],
        *,
        out: str | Path | None = None,
        formats: Sequence[str] = (),
        again: bool = False,
        label: str | None = None,
    ) -> Taken | None:
        """Take in a job for each object that ``source`` means now. None when it can't be listed, which becomes a job
        that has failed. Other arguments as for :meth:`narrowboat.Runner.submit`.
        """
        try:
            found = await self._call(_LIST, {"url": source})
        except Interrupted:
            raise
        except NarrowboatError as error:
            await self._intake.failed(pipeline, source, options, error, label)
            return None
        submit = partial(self._intake.submit, pipeline, out=out, formats=formats, again=again, label=label)
        jobs = [
            await submit(address, options, told=Told(validator, size)) for address, validator, size in found["objects"]
        ]
        return Taken([job_id for job_id, _ in jobs], sum(created for _, created in jobs))
