"""Poses in files that were written before, ours or in the same columns, as records. Loads in workers only.

Covers: CSV in both forms and Parquet, in pieces; how large the pictures were and how many lie between two rows.
Does not cover: writing them (``media/pose_formats``), what is made of them (``analysis``).

Pictures that have no rows are put in as pictures with nobody, as far as the file goes: whether there were more
before the first or after the last one, only the summary beside it tells.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from narrowboat.errors import SourceError
from narrowboat.media.pose_file import RECORD, TRACKED, Records
from narrowboat.skeleton import COUNT

_NEEDED = ("frame_id", "landmark_id", "x", "y")
_ROWS = 33 * 1024  # read at once
_HINT = "give a file that `narrowboat pose` has written: NAME.csv, NAME.full.csv or NAME.parquet"
_RATE = 30.0  # pictures a second, where nothing tells it
_MOST_MISSING = 1_000_000  # pictures in a row


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the video that poses were found in.

    Attributes:
        size: width and height in pixels; None when it is not known.
        every: pictures from one that was looked at to the next.
        rate: pictures a second.
    """

    size: tuple[int, int] | None
    every: int
    rate: float


def told_of(path: Path) -> Told:
    """From the file itself where it is Parquet, else from ``NAME.json`` beside it.

    Raises:
        SourceError: it is no file of poses.
    """
    if path.suffix == ".parquet":
        known = _metadata(path)
        return _told(known.get("facts"), known.get("options"))
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        _check_columns(csv.DictReader(file))
    beside = path.with_name(path.name.removesuffix(".csv").removesuffix(".full") + ".json")
    try:
        summary = json.loads(beside.read_text("utf-8"))
        return _told(summary["video"], summary["options"])
    except (OSError, ValueError, KeyError, TypeError):
        return Told(None, 1, _RATE)


def _told(video: Any, options: Any) -> Told:
    try:
        size, every, rate = (int(video["width"]), int(video["height"])), int(options["every"]), float(video["rate"])
    except (KeyError, TypeError, ValueError):
        return Told(None, 1, _RATE)
    return Told(size if min(size) > 0 else None, max(1, every), rate if 0 < rate <= 1000 else _RATE)


def read_file(path: Path, told: Told) -> Iterator[Records]:
    """The records of a file, with those of pictures that have no rows.

    Raises:
        SourceError: it is no file of poses; says which line.
    """
    pieces = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    last, time = -told.every, 0.0
    for records in pieces:
        yield _completed(records, last, time, told)
        last, time = int(records["frame"][-1]), float(records["time"][-1])


def _completed(records: Records, last: int, time: float, told: Told) -> Records:
    """The records, and one of nobody for each picture that is missing since ``last``."""
    if not records["time"].any():
        records["time"] = records["frame"] / told.rate
    frames = np.concatenate([[last], records["frame"]])
    steps = np.diff(frames)
    if (steps < 0).any() or (steps // told.every > _MOST_MISSING).any():
        raise SourceError("its pictures are not in order", hint=_HINT, reason="not_poses")
    missing = [
        np.arange(before + told.every, after, told.every)
        for before, after in pairwise(frames.tolist())
        if after - before > told.every
    ]
    if not missing:
        return records
    added = np.zeros(sum(map(len, missing)), RECORD)
    added["frame"] = np.concatenate(missing)
    known = np.concatenate([[time if last >= 0 else records["time"][0] - steps[0] / told.rate], records["time"]])
    added["time"] = np.interp(added["frame"], frames, known)
    both = np.concatenate([records, added])
    return both[np.argsort(both["frame"], kind="stable")]


def _check_columns(rows: csv.DictReader[str]) -> None:
    missing = [name for name in _NEEDED if name not in (rows.fieldnames or ())]
    if missing:
        raise SourceError(f"it has no column {missing[0]}", hint=_HINT, reason="not_poses")


def _csv(path: Path) -> Iterator[Records]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.DictReader(file)
        _check_columns(rows)
        gathered = _Gathered()
        while part := list(islice(rows, _ROWS)):
            for row in part:
                try:
                    gathered.add(row)
                except (ValueError, TypeError, KeyError, IndexError, OverflowError):
                    message = f"line {rows.line_num} or one of the {len(part)} before it is no landmark"
                    raise SourceError(message, hint=_HINT, reason="not_poses") from None
            if (records := gathered.taken()) is not None:
                yield records
        if (records := gathered.taken(all_of_them=True)) is not None:
            yield records


class _Gathered:
    """Rows on their way to records."""

    def __init__(self) -> None:
        self._poses: list[Any] = []
        self._key: tuple[int, int] | None = None

    def add(self, row: dict[str, str]) -> None:
        key = (int(row["frame_id"]), int(row.get("person_id") or 1))
        if key != self._key:
            self._key = key
            record = np.zeros(1, RECORD)[0]
            record["frame"], record["person"], record["found"] = *key, TRACKED
            record["time"] = float(row.get("timestamp") or 0)
            record["score"] = float(row.get("confidence") or 1)
            self._poses.append(record)
        number = int(row["landmark_id"])
        if not 0 <= number < COUNT:
            raise ValueError(number)
        visible = float(row.get("visibility") or 1)
        self._poses[-1]["points"][number] = (float(row["x"]), float(row["y"]), float(row.get("z") or 0), visible, 1)

    def taken(self, *, all_of_them: bool = False) -> Records | None:
        """The records that are complete, which the last one may not be."""
        whole = self._poses if all_of_them else self._poses[:-1]
        self._poses = self._poses[len(whole) :]
        return np.array(whole, RECORD) if whole else None


def _metadata(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        known = (pq.read_schema(path).metadata or {}).get(b"narrowboat", b"{}")
        return dict(json.loads(known))
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise SourceError(f"it is no Parquet file that can be read: {error}", hint=_HINT, reason="not_poses") from None


def _parquet(path: Path) -> Iterator[Records]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*_NEEDED, "z", "visibility", "timestamp", "person_id"]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS, columns=names):
                yield _of_columns({name: batch.column(name).to_numpy(zero_copy_only=False) for name in names})
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise SourceError(f"it is no file of poses: {error}", hint=_HINT, reason="not_poses") from None


def _of_columns(columns: dict[str, Any]) -> Records:
    poses = len(columns["frame_id"]) // COUNT
    if (
        poses * COUNT != len(columns["frame_id"])
        or (columns["landmark_id"].reshape(-1, COUNT) != np.arange(COUNT)).any()
    ):
        raise ValueError("poses are not whole")
    records = np.zeros(poses, RECORD)
    for name, column in (("frame", "frame_id"), ("person", "person_id"), ("time", "timestamp")):
        records[name] = columns[column][::COUNT]
    records["found"] = TRACKED
    points = np.stack([columns[name] for name in ("x", "y", "z", "visibility")], axis=1)
    records["points"][:, :, :4] = points.reshape(poses, COUNT, 4)
    return records
