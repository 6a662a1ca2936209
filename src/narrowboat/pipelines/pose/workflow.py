"""Pose: a video to people's landmarks in every picture. The workflow, which runs in the supervisor.

Covers: the order of the steps, what is reserved for each, what makes two jobs the same.
Does not cover: what the steps do (``steps``, ``media/``, ``engines/pose``).

Options of a job: ``model`` (as for ``--model``), ``people``, ``smooth``, ``every``, ``trim`` (``[start, end]``,
seconds or None), ``analysis`` (see ``analyse_workflow``), ``max_download`` (bytes or None), ``cache`` (where packs
are kept).

Poses are bulk and lie in scratch, so they are gone when a job has ended: other formats that are asked for later compute
them again, as does the overlay.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from narrowboat import disk
from narrowboat.engines.catalogue import PREPARE_DEMAND
from narrowboat.engines.pose_models import PoseModel, join_demand, pose_demand, pose_model
from narrowboat.pipelines.pose import analyse_workflow
from narrowboat.runner.job import Job
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step
from narrowboat.values import Demand, Facts, Json

POSES = ("csv", "full", "parquet", "json")
ANALYSIS = analyse_workflow.FORMATS
OVERLAY = ("overlay", "thumbnail", "preview")
FORMATS = (*POSES, *OVERLAY, *ANALYSIS)
ENDINGS = {
    **analyse_workflow.ENDINGS,
    "full": "full.csv",
    "overlay": "overlay.mp4",
    "thumbnail": "thumbnail.jpg",
    "preview": "preview.mp4",
}
SMOOTH = ("off", "light", "strong")

PREPARE_POSE = Step("narrowboat.engines.pose.prepare:prepare_pose", demand=lambda _: PREPARE_DEMAND, name="prepare")
# Memory as measured, with a margin. A probe decodes one picture: 22 to 34 MiB up to 1080 × 1920, 73 at 3840 × 2160.
PROBE = Step("narrowboat.media.video_probe:probe_video", memory="80M", name="probe")
FOLLOW = Step("narrowboat.pipelines.pose.steps:follow", name="follow")
#: 42 MiB with Parquet: of pyarrow's 170 MiB most are pages of files, which can be reclaimed.
WRITE = Step("narrowboat.media.poses:write_poses", memory="56M", name="write")
JOIN = Step("narrowboat.media.joining:join", name="join")


async def pose(job: Job) -> None:
    """Fetch, probe, follow, write. After a crash it goes on after the last journaled pictures."""
    if not await job.wants(FORMATS):
        return
    model = pose_model(str(job.options["model"]))
    take = await _take(job, overlay=await job.wants(OVERLAY))
    overlay = take["overlay"]
    follow = _follow(model, overlay=overlay)
    await job.require(follow)  # what can't fit is refused before anything is fetched
    video = await job.fetch()
    facts = await job.run(PROBE, {"name": job.name}, at={"path": video})
    await job.require(follow, facts)
    asked = {key: job.options[key] for key in ("people", "smooth", "every", "trim")}
    given = {**asked, "model": model.version, **take}
    if not await job.finished(follow):
        prepared = await job.once(PREPARE_POSE, {"model": model.name, "cache": job.options["cache"]})
        at = {"path": video, "name": job.name, "facts": facts, "model_dir": prepared["path"]}
        await _followed(job, follow, given, facts, at)
    told = {"facts": facts, "source": job.name, "engine": {"name": model.name, "version": model.version}}
    at = {"records": str(job.scratch / "poses")}
    await job.write(WRITE, {**told, "options": asked}, at=at, formats=POSES)
    if await job.wants(ANALYSIS):
        analysis = {"analysis": job.options["analysis"], "every": asked["every"]}
        await job.write(analyse_workflow.ANALYSE, {**told, **analysis}, at=at, formats=ANALYSIS)
    if await job.wants(OVERLAY):
        at = {"items": await job.export(follow), "folder": str(job.scratch), "path": video}
        join = JOIN.with_engine("", lambda _: join_demand(facts))
        await job.write(join, {"facts": facts, "source": job.name, "trim": asked["trim"]}, at=at, formats=OVERLAY)


async def _followed(job: Job, step: Step, given: dict[str, Json], facts: dict[str, Json], at: dict[str, Json]) -> None:
    start, end = given["trim"]
    start = start or 0.0
    length = max(0.001, min(end or facts["duration"], facts["duration"] or 1e9) - start)
    frames = found = fresh = 0
    began: float | None = None
    async with contextlib.aclosing(job.stream(step, given, facts, at=at)) as items:
        async for item in items:
            frames, found = frames + item.value["frames"], found + item.value["found"]
            now = time.monotonic()
            if item.new and began is None:
                began = now  # the first one's time includes waiting and loading the models
            elif item.new:
                fresh += item.value["frames"]
            rate = fresh / (now - began) if began is not None and now > began else None
            job.progress((item.value["end"] - start) / length, frames=frames, rate=rate)
    if not found:
        job.log(f"nobody was seen in {frames} pictures")


def _follow(model: PoseModel, *, overlay: bool) -> Step:
    def demand(facts: Facts) -> Demand:
        return pose_demand(model, facts, overlay=overlay)

    return FOLLOW.with_engine(f"{model.name} with overlay" if overlay else model.name, demand)


def largest_step(options: dict[str, Json], cores: int) -> Step:
    """The step of a job that needs the most memory, for who wants to know before the job runs."""
    return _follow(pose_model(str(options["model"])), overlay=False)


async def _take(job: Job, *, overlay: bool) -> dict[str, Json]:
    """What names all that lies in scratch. Where that is gone, is less than the journal knows of, or lacks an
    overlay that is wanted, it gets another name and all is done again.
    """
    note, records = job.scratch / "take.json", job.scratch / "poses"
    known = await job.cursor(FOLLOW)
    if note.exists() and (known is None or (records.exists() and records.stat().st_size >= known["bytes"])):
        take: dict[str, Json] = json.loads(note.read_text())
        if take["overlay"] or not overlay:
            return take
    take = {"take": uuid4().hex, "overlay": overlay}
    try:
        records.unlink(missing_ok=True)
        note.write_text(json.dumps(take))
    except OSError as error:
        if error.errno in disk.FULL:
            raise disk.full(note, "the poses") from error
        raise
    return take


def identity(options: dict[str, Json]) -> Json:
    """What changes poses."""
    kept = [options[key] for key in ("people", "smooth", "every", "trim")]
    return [pose_model(str(options["model"])).version, *kept]


def options(
    *,
    model: str,
    people: int,
    smooth: str,
    every: int,
    trim: Sequence[float | None],
    max_download: int | None,
    cache: Path,
) -> dict[str, Json]:
    """The options of a job, from those of the command line.

    Raises:
        UsageError: no such model.
    """
    return {
        "model": pose_model(model).name,
        "people": people,
        "smooth": smooth,
        "every": every,
        "trim": list(trim),
        "analysis": analyse_workflow.analysis_options(),
        "max_download": max_download,
        "cache": str(cache),
    }


_PRELOAD = ("narrowboat.media.video", "narrowboat.media.poses")
PIPELINE = Pipeline("pose", pose, formats=FORMATS, identity=identity, endings=ENDINGS, preload=_PRELOAD)
