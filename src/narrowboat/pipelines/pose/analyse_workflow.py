"""Analyse: poses to angles, figures and a report. The workflow, which runs in the supervisor.

Covers: what can be asked for, which angles there are and how others are named.
Does not cover: analysing (``analysis``), finding poses (``workflow``, which analyses with the same step).

Options of a job: ``analysis`` (``{"gap", "filter", "cutoff", "angles"}``, see :func:`analysis_options`), ``size``
(``[width, height]`` of the pictures, or None), ``max_download`` (bytes or None).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from narrowboat.errors import UsageError
from narrowboat.runner.job import Job
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step
from narrowboat.skeleton import NUMBER
from narrowboat.values import Json

FORMATS = ("angles", "analysis", "report")
ENDINGS = {"angles": "angles.csv", "analysis": "analysis.json", "report": "report.html"}
FILTERS = ("butterworth", "savgol", "none")
GAP_S, CUTOFF_HZ = 0.2, 6.0

_SHOULDERS, _HIPS = "left_shoulder+right_shoulder", "left_hip+right_hip"
#: name -> the three points; the angle is at the second.
SEVEN = {
    "left_elbow": ("left_shoulder", "left_elbow", "left_wrist"),
    "right_elbow": ("right_shoulder", "right_elbow", "right_wrist"),
    "left_hip": ("left_shoulder", "left_hip", "left_knee"),
    "right_hip": ("right_shoulder", "right_hip", "right_knee"),
    "left_knee": ("left_hip", "left_knee", "left_ankle"),
    "right_knee": ("right_hip", "right_knee", "right_ankle"),
    "neck": ("nose", _SHOULDERS, _HIPS),
}

#: 123 MiB as measured with a report, whatever the length: half of it is what SciPy and Matplotlib load.
ANALYSE = Step("narrowboat.pipelines.pose.analysis:analyse", memory="148M", name="analyse")


async def analyse(job: Job) -> None:
    """Fetch and analyse."""
    if not await job.wants(FORMATS):
        return
    await job.require(ANALYSE)
    path = await job.fetch()
    given = {"source": job.name, "analysis": job.options["analysis"], "size": job.options["size"]}
    await job.write(ANALYSE, given, at={"path": path})


def analysis_options(
    *,
    gap: float = GAP_S,
    filter: str = FILTERS[0],
    cutoff: float = CUTOFF_HZ,
    angles: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Json]:
    """What an analysis is to do.

    Args:
        gap: seconds; where a landmark is not seen for longer, it is not made up.
        filter: of :data:`FILTERS`.
        cutoff: Hz, of the Butterworth filter.
        angles: name -> three points, beside the seven.
    """
    every = {name: list(points) for name, points in {**SEVEN, **(angles or {})}.items()}
    return {"gap": gap, "filter": filter, "cutoff": cutoff, "angles": every}


def angle_of(text: str) -> tuple[str, tuple[str, ...]]:
    """``NAME=POINT:POINT:POINT`` as a name and its three points. A point is a landmark, or several joined by ``+``.

    Raises:
        UsageError: it is not of that form, or a landmark is not known.
    """
    name, sign, points = text.strip().partition("=")
    three = tuple(point.strip() for point in points.split(":"))
    if not sign or not name.isidentifier() or len(three) != 3:
        hint = "write it as left_ankle=left_knee:left_ankle:left_foot_index"
        raise UsageError(f"{text!r} is no angle", hint=hint)
    for landmark in (part for point in three for part in point.split("+")):
        if landmark not in NUMBER:
            raise UsageError(f"{landmark!r} is no landmark", hint=f"they are {', '.join(NUMBER)}")
    return name, three


PIPELINE = Pipeline("analyse", analyse, formats=FORMATS, endings=ENDINGS)
