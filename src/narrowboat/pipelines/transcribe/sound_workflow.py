"""What every transcription begins with: the sound on disk, and what it is. Runs in the supervisor.

Covers: fetching and probing, and what outputs tell of the source. Does not cover: what is made of it (``workflow``,
``remote_workflow``).
"""

from __future__ import annotations

from narrowboat.runner.job import Job
from narrowboat.runner.steps import Step
from narrowboat.values import Facts, Json

#: Memory as measured, with a margin; it counts the 25 MiB of imported modules that a worker may share with the fork
#: server at first.
PROBE = Step("narrowboat.media.probe:probe", memory="48M", name="probe")


async def sound(job: Job) -> tuple[str, Facts]:
    """The path of the job's source on disk, and the probe's facts."""
    path = await job.fetch()
    facts: Facts = await job.run(PROBE, {"name": job.name}, at={"path": path})
    return path, facts


async def described(job: Job, engine: str, version: str, language: Json) -> dict[str, Json]:
    """What outputs tell beside the transcript: ``facts``, ``source``, ``engine``, ``language``, ``episode``."""
    return {
        "facts": await job.result(PROBE),
        "source": job.name,
        "engine": {"name": engine, "version": version},
        "language": language,
        **({"episode": job.source.episode.about} if job.source.episode is not None else {}),
    }
