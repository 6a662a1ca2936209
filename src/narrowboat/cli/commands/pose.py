"""``narrowboat pose``: videos to people's landmarks.

Covers: checking what was asked for before anything starts, submitting each source.
Does not cover: doing it (``pipelines/pose``), showing it (``session``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence

from narrowboat import extras
from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, count, folder, one_of, one_word, size, stretch, text
from narrowboat.cli.output import Output
from narrowboat.cli.session import Submit, check_out, run_jobs
from narrowboat.cli.submitting import ADDRESSES, submitting, whole
from narrowboat.config import default_cache
from narrowboat.engines.pose_models import DEFAULT_POSE
from narrowboat.errors import UsageError
from narrowboat.pipelines.pose.workflow import ANALYSIS, OVERLAY, PIPELINE, POSES, SMOOTH, options

_NEEDED = ("ai_edge_litert", "av", "numpy", "PIL")
#: Each costs as much as the first: a pose is 12 ms of a core.
_MOST_PEOPLE = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument("sources", nargs="+", metavar="VIDEO", help=f"a video file, or {ADDRESSES}")


def run(values: argparse.Namespace, out: Output) -> int:
    """Find poses and say how it went."""
    check_pose(values.formats, analyse=values.analyse)
    if values.people > _MOST_PEOPLE:
        raise UsageError(f"--people: at most {_MOST_PEOPLE} are followed, not {values.people}")
    values.out = values.out or values.home / "outputs"
    submit = submit_all([whole(source) for source in values.sources], values)
    check_out(values.out)
    code, report = asyncio.run(run_jobs(values, out, submit, preload=PIPELINE.preload))
    out.data(report)
    return code


def check_pose(formats: Sequence[str], *, analyse: bool = False) -> None:
    """See that the extra is installed, as far as it is needed.

    Raises:
        UsageError: something of it is missing.
    """
    needed = (*_NEEDED, *(["pyarrow"] if "parquet" in formats else []), *(["matplotlib", "scipy"] if analyse else []))
    extras.require("pose", "finding poses needs", needed)


def submit_all(sources: Sequence[str], values: argparse.Namespace) -> Submit:
    """What submits the sources with the options of the command line.

    Raises:
        UsageError: no such model.
    """
    wanted = options(
        model=values.model,
        people=values.people,
        smooth=values.smooth,
        every=values.every,
        trim=values.trim,
        max_download=values.max_download,
        cache=default_cache().expanduser().absolute(),
    )
    formats = [*values.formats, *(OVERLAY if values.overlay else ()), *(ANALYSIS if values.analyse else ())]
    return submitting(PIPELINE, sources, wanted, values, formats=formats)


COMMAND = Command(
    "pose",
    "video to poses: csv, parquet, json, a video with skeletons",
    "Writes DIR/NAME.FORMAT for each video: where the 33 landmarks of each person are in each picture, and how visible."
    "\nA job that was interrupted goes on after its last second. With --overlay it writes NAME.overlay.mp4 too,"
    "\nthe video with skeletons (left orange, right blue) and its sound, a thumbnail and a preview.",
    """\
narrowboat pose squat.mp4
narrowboat pose *.mov --out poses --formats csv,parquet,json --overlay
narrowboat pose game.mkv --people 3 --trim 1:30-2:00 --smooth strong
narrowboat pose gait.mp4 --analyse --formats parquet
narrowboat pose walk.mp4 --every 3 --model ~/models/pose_landmark_heavy.tflite
""",
    run,
    (
        Option("--out", "folder of the outputs (default: the home's outputs folder)", folder, "DIR"),
        Option(
            "--formats",
            f"of {', '.join(POSES)}, with commas; full is a CSV with more columns (default: csv)",
            one_of(*POSES),
            "LIST",
            ["csv"],
            scope="pose",
        ),
        Option("--overlay", "write a video with skeletons too, a thumbnail and a preview of 3 s"),
        Option("--analyse", "write angles of joints (csv), figures (json) and a report (html) too"),
        Option(
            "--model",
            f"landmark model (default: {DEFAULT_POSE}); the path of a pose_landmark_lite.tflite or _heavy.tflite works"
            " too",
            text,
            "MODEL",
            DEFAULT_POSE,
            scope="pose",
        ),
        Option(
            "--smooth",
            f"{', '.join(SMOOTH)}: how much poses are smoothed over time, left and right kept apart (default: light)",
            one_word(*SMOOTH),
            "HOW",
            "light",
        ),
        Option("--people", "how many people to follow at the same time (default: 1)", count, "N", 1),
        Option("--every", "look at every Nth picture only (default: 1)", count, "N", 1),
        Option(
            "--trim", "only this part, in seconds or minutes: 10-25, 90-, 1:30-2:05", stretch, "FROM-TO", (None, None)
        ),
        Option("--max-download", "refuse to fetch more than this of one address, such as 2G", size, "SIZE"),
        Option("--again", "forget what was done of these sources and do it again"),
        Option("--label", "a word of your own for all of them: `narrowboat batches` counts them", text, "TEXT"),
    ),
    arguments,
    runs=True,
)
