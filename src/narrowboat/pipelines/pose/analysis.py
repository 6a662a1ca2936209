"""The step that analyses poses: angles, figures, a report. Loads in workers only.

Covers: what is made of poses and written, in constant memory.
Does not cover: angles (``angles``), filters (``filters``), what is kept of them (``gathered``), plots and the page
(``plots``, ``report``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from math import isnan
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from narrowboat import context
from narrowboat.config import default_cache
from narrowboat.errors import SourceError, UsageError
from narrowboat.media import beside
from narrowboat.media.pose_file import Records, read_poses
from narrowboat.media.pose_quality import SEEN, Quality
from narrowboat.pipelines.pose.angles import degrees
from narrowboat.pipelines.pose.filters import Series, calmed, filled
from narrowboat.pipelines.pose.gathered import FOLLOWED, Gathered
from narrowboat.pipelines.pose.reading import Told, read_file, told_of
from narrowboat.pipelines.pose.windows import Window, windows
from narrowboat.skeleton import COUNT, NUMBER
from narrowboat.values import Json

FORMATS = ("angles", "analysis", "report")


def analyse(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: poses as angles over time (CSV), figures (JSON) and a report (HTML).

    Inputs: ``records`` (a pose file) and ``facts`` (of the video), or ``path`` (a CSV or Parquet file of poses) and
    ``size`` (``[width, height]``, or None when the file or the summary beside it tells); ``source``, what it is called;
    ``analysis``: ``gap`` (seconds), ``filter``, ``cutoff`` (Hz), ``angles`` (name -> three points), ``every``;
    ``targets``, a list of ``{"format": "angles"|"analysis"|"report", "path"}``.

    Returns:
        ``outputs``: for each target ``format``, ``path``, ``bytes``.

    Raises:
        SourceError: it is no file of poses. UsageError, OutputError, DiskFull: see :mod:`~narrowboat.media.beside`.
    """
    asked = inputs["analysis"]
    targets = beside.targets_of(inputs, FORMATS)
    told, pieces = _source(inputs)
    assert told.size is not None
    width, height = told.size
    gathered = Gathered((width, height), list(asked["angles"]), Quality(width, height, told.every))
    with beside.written([path for _, path in targets]) as files:
        by_kind = dict(zip((kind for kind, _ in targets), files, strict=True))
        with ExitStack() as stack:
            for _, path in targets:
                stack.enter_context(beside.explained(path))
            _gather(gathered, pieces, asked, told, by_kind.get("angles"))
            figures = _figures(gathered, inputs["source"], asked)
            if "analysis" in by_kind:
                json.dump(figures, by_kind["analysis"], indent=2, ensure_ascii=False)
                by_kind["analysis"].write("\n")
            if "report" in by_kind:
                # Plots are large, and not for those without a report. What they remember of fonts goes to our cache.
                os.environ.setdefault("MPLCONFIGDIR", str(default_cache() / "matplotlib"))
                from narrowboat.pipelines.pose.report import page

                by_kind["report"].write(page(gathered, figures))
    return beside.outputs(targets)


def _source(inputs: dict[str, Any]) -> tuple[Told, Iterator[Records]]:
    if "records" in inputs:
        facts = inputs["facts"]
        size = (round(facts["width"] * facts["aspect"]), facts["height"])
        return Told(size, inputs["every"], facts["rate"]), read_poses(Path(inputs["records"]))
    path = Path(inputs["path"])
    try:
        told = told_of(path)
        if inputs["size"] is not None:
            told = Told(tuple(inputs["size"]), told.every, told.rate)
        if told.size is None:
            raise UsageError(
                f"{inputs['source']} does not tell how large the pictures were, which angles depend on",
                hint="put the NAME.json that was written with it beside it, or say --size 1920x1080",
            )
        return told, _named(read_file(path, told), inputs["source"])
    except SourceError as error:
        raise _with_name(error, inputs["source"]) from None


def _named(pieces: Iterator[Records], name: str) -> Iterator[Records]:
    try:
        yield from pieces
    except SourceError as error:
        raise _with_name(error, name) from None


def _with_name(error: SourceError, name: str) -> SourceError:
    return SourceError(f"{name} holds no poses that can be read: {error.message}", hint=error.hint, **error.facts)


def _gather(
    gathered: Gathered, pieces: Iterator[Records], asked: dict[str, Any], told: Told, file: TextIO | None
) -> None:
    if file is not None:
        file.write(",".join(["frame_id", "timestamp", "person_id", *gathered.names]) + "\n")
    for window in windows(_counted(pieces, gathered.quality)):
        rows: list[tuple[int, int, str]] = []
        for number, points in window.people.items():
            angles = _person(gathered, window, number, points, asked, told)
            if file is not None:
                rows += _rows(window, number, angles)
        if file is not None:
            file.writelines(text for _, _, text in sorted(rows))
        context.progress(0.0, "analysing", frames=int(window.frames[window.end - 1]) + 1)


def _counted(pieces: Iterator[Records], quality: Quality) -> Iterator[Records]:
    for records in pieces:
        quality.push(records)
        yield records


def _person(
    gathered: Gathered, window: Window, number: int, points: Series, asked: dict[str, Any], told: Told
) -> Series:
    """Gather one person's window; their angles, as (n, angles)."""
    core = slice(window.start, window.end)
    times = window.times[core]
    steps = np.diff(window.times)
    rate = 1 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else told.rate / told.every
    calm = np.full((len(points), COUNT, 2), np.nan)
    for landmark in range(COUNT):
        place = np.where(points[:, landmark, 2:] >= SEEN, points[:, landmark, :2], np.nan)
        whole = filled(place, round(asked["gap"] * rate))
        calm[:, landmark] = calmed(whole, asked["filter"], rate, asked["cutoff"])
    pixels = calm[core] * gathered.size
    angles = np.stack([degrees(pixels, three) for three in asked["angles"].values()], axis=1)
    person = gathered.person(number)
    for spread, values in zip(person.angles.values(), angles.T, strict=True):
        spread.push(values)
    followed = [NUMBER[name] for name in FOLLOWED]
    person.curve.push(times, angles)
    person.visible.push(times, points[core, :, 2].mean(axis=1, keepdims=True))
    person.ways.push(times, calm[core][:, followed].reshape(len(times), -1))
    gathered.places.push(points[core, :, :2][points[core, :, 2] >= SEEN])
    return angles


def _rows(window: Window, number: int, angles: Series) -> Iterator[tuple[int, int, str]]:
    frames = window.frames[window.start : window.end].tolist()
    times = window.times[window.start : window.end].tolist()
    for frame, time, row in zip(frames, times, angles.tolist(), strict=True):
        told = ["" if isnan(value) else f"{value:.2f}" for value in row]
        if any(told):
            yield frame, number, ",".join([str(frame), f"{time:.6f}", str(number), *told]) + "\n"


def _figures(gathered: Gathered, source: str, asked: dict[str, Any]) -> dict[str, Json]:
    quality = gathered.quality.figures()
    for person in quality["people"]:
        known = gathered.people.get(person["person_id"])
        person["angles"] = {name: spread.told() for name, spread in known.angles.items()} if known else {}
    return {"version": 1, "source": source, "size": list(gathered.size), "analysis": asked, **quality}
