"""``narrowboat analyse``: poses that were found before to angles, figures and a report.

Covers: checking what was asked for before anything starts, submitting each file.
Does not cover: doing it (``pipelines/pose``), showing it (``session``).
"""

from __future__ import annotations

import argparse
import asyncio
import re

from narrowboat import extras
from narrowboat.cli.command import Command
from narrowboat.cli.options import Option, folder, one_of, one_word, positive, text
from narrowboat.cli.output import Output
from narrowboat.cli.session import check_out, run_jobs
from narrowboat.cli.submitting import submitting, whole
from narrowboat.errors import UsageError
from narrowboat.pipelines.pose.analyse_workflow import (
    CUTOFF_HZ,
    FILTERS,
    FORMATS,
    GAP_S,
    PIPELINE,
    SEVEN,
    analysis_options,
    angle_of,
)

_NEEDED = ("numpy", "pyarrow", "matplotlib", "scipy")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What comes without a flag."""
    parser.add_argument(
        "sources", nargs="+", metavar="POSES", help="a csv or parquet file that `narrowboat pose` wrote"
    )


def run(values: argparse.Namespace, out: Output) -> int:
    """Analyse and say how it went."""
    extras.require("pose", "analysing needs", _NEEDED)
    analysis = analysis_options(gap=values.gap, filter=values.filter, cutoff=values.cutoff, angles=values.angles)
    values.out = values.out or values.home / "outputs"
    wanted = {"analysis": analysis, "size": values.size, "max_download": None}
    sources = [whole(source) for source in values.sources]
    submit = submitting(PIPELINE, sources, wanted, values, formats=values.formats)
    check_out(values.out)
    code, report = asyncio.run(run_jobs(values, out, submit, preload=PIPELINE.preload))
    out.data(report)
    return code


def _size(given: str) -> list[int]:
    """Width and height in pixels."""
    match = re.fullmatch(r"(\d{1,5})\s*[x×]\s*(\d{1,5})", given.strip().lower())
    if match is None or not int(match[1]) or not int(match[2]):
        raise UsageError(f"{given!r} is no size", hint="write it as 1920x1080")
    return [int(match[1]), int(match[2])]


def _angles(given: str) -> dict[str, tuple[str, ...]]:
    """Angles between commas."""
    return dict(angle_of(each) for each in given.split(",") if each.strip())


COMMAND = Command(
    "analyse",
    "poses to angles of joints, figures of quality and a report",
    "Writes DIR/NAME.angles.csv, NAME.analysis.json and NAME.report.html for each file. The angles are those in the"
    f"\npicture: {', '.join(SEVEN).replace('_', ' ')}, and those that --angles names.",
    """\
narrowboat analyse poses/gait.parquet
narrowboat analyse poses/*.csv --size 1920x1080 --filter savgol --gap 0.5
narrowboat analyse gait.parquet --angles left_ankle=left_knee:left_ankle:left_foot_index
""",
    run,
    (
        Option("--out", "folder of the outputs (default: the home's outputs folder)", folder, "DIR"),
        Option(
            "--formats",
            f"of {', '.join(FORMATS)}, with commas (default: all)",
            one_of(*FORMATS),
            "LIST",
            list(FORMATS),
            scope="analyse",
        ),
        Option("--angles", "more angles, as NAME=POINT:POINT:POINT, with commas", _angles, "ANGLES", {}),
        Option("--filter", f"{', '.join(FILTERS)} (default: {FILTERS[0]})", one_word(*FILTERS), "HOW", FILTERS[0]),
        Option("--cutoff", f"Hz of the Butterworth filter (default: {CUTOFF_HZ:g})", positive, "NUMBER", CUTOFF_HZ),
        Option("--gap", f"seconds up to which gaps are filled (default: {GAP_S:g})", positive, "NUMBER", GAP_S),
        Option("--size", "of the pictures, where the file does not tell, such as 1920x1080", _size, "SIZE"),
        Option("--again", "forget what was done of these files and do it again"),
        Option("--label", "a word of your own for all of them: `narrowboat batches` counts them", text, "TEXT"),
    ),
    arguments,
    runs=True,
)
