"""The step of pose that is its own: pictures to poses. Loads in workers only.

Covers: joining the reader, the engine, the pose file and the overlay; the cursor.
Does not cover: decoding (``media/video``), following people (``engines/pose``), drawing and encoding
(``media/overlay``, ``media/segments``).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from narrowboat import context
from narrowboat.engines.pose.detector import Detector
from narrowboat.engines.pose.landmarker import Landmarker
from narrowboat.engines.pose.tracker import Seen, Tracker
from narrowboat.errors import SourceError
from narrowboat.media.overlay import drawn
from narrowboat.media.pose_file import DETECTED, NOBODY, RECORD, TRACKED, PoseFile, Records
from narrowboat.media.segments import Segment
from narrowboat.media.video import Picture, Stretch, pictures
from narrowboat.pipelines.pose.ahead import ahead
from narrowboat.values import Item, Json

#: Pictures of an item, which is also what is encoded in one piece: about a second of work.
ITEM = 60
#: Bytes that a piece of the overlay is asked room for; at 1080 × 1920 it has about one million.
_SEGMENT_ROOM = 16 << 20


def follow(inputs: dict[str, Any], cursor: Json) -> Iterator[Item]:
    """A resumable stream: the poses in a video, :data:`ITEM` pictures at a time.

    Inputs: ``path``, ``name``, ``facts`` (of the probe), ``model_dir``, ``people``, ``smooth``, ``every``, ``trim``
    (``[start, end]`` in seconds, each may be None), ``overlay``.

    Yields:
        Items of ``{"frames", "records", "found", "people", "start", "end", "best"}``: pictures looked at, records in
        the pose file, pictures with somebody in them, people's largest number, seconds, and ``[which, how visible]``
        of the picture that shows most. The poses are in ``poses`` in scratch, the pictures of item 3 with skeletons in
        ``segment-3.nut``. The cursor is ``{"place", "records", "items", "tracker"}``.
    """
    scratch, facts = context.scratch(), inputs["facts"]
    begun = cursor or {"place": None, "records": 0, "items": 0, "tracker": None}
    tracker = Tracker(*_models(inputs["model_dir"]), most=inputs["people"], smooth=inputs["smooth"])
    if begun["tracker"] is not None:
        tracker.restore(begun["tracker"])
    source = pictures(inputs["path"], facts, Stretch(*inputs["trim"]), begun["place"], inputs["name"])
    wanted: Iterator[Picture] = (picture for picture in source if picture.index % inputs["every"] == 0)
    if context.most_cores() > 1:
        wanted = ahead(wanted)
    with contextlib.closing(PoseFile(scratch / "poses", begun["records"])) as poses:
        for number in itertools.count(begun["items"]):
            overlay = Overlay(scratch / f"segment-{number}.nut", facts) if inputs["overlay"] else None
            batch = _batch(itertools.islice(wanted, ITEM), tracker, facts, overlay)
            if batch is None:
                break
            last, records = batch
            poses.append(records)
            place, state = last.place(), tracker.state()
            yield Item(
                {**_summary(records), "records": poses.count},
                {"place": place, "records": poses.count, "bytes": poses.size, "items": number + 1, "tracker": state},
            )
    if number == 0:
        start, end = inputs["trim"]
        raise SourceError(
            f"{inputs['name']} has no picture from {start or 0:g} s to {'its end' if end is None else f'{end:g} s'}",
            hint=f"it is {facts['duration']:g} s long",
            reason="trim",
        )


class Overlay:
    """The pictures of an item with skeletons, as a file; made when the first one comes."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._path = path
        self._facts = facts
        self._segment: Segment | None = None

    def add(self, picture: Picture, people: Records) -> None:
        """Draw and encode one picture."""
        if self._segment is None:
            context.make_room(self._path, _SEGMENT_ROOM, "the overlay")
            self._segment = Segment(self._path, picture, self._facts)
        self._segment.add(drawn(picture, people), picture.pts)

    def close(self) -> None:
        """End the file."""
        if self._segment is not None:
            self._segment.close()


def _batch(
    source: Iterator[Picture], tracker: Tracker, facts: dict[str, Any], overlay: Overlay | None
) -> tuple[Picture, Records] | None:
    """Follow people through some pictures; the last of these, and the records of all. None when there are none."""
    found, last = [], None
    with contextlib.closing(overlay) if overlay else contextlib.nullcontext():
        for last in source:
            people = _records(last, tracker.follow(last, last.time))
            found.append(people)
            if overlay is not None:
                overlay.add(last, people)
    return None if last is None else (last, np.concatenate(found))


def _records(picture: Picture, seen: Sequence[Seen]) -> Records:
    records = np.zeros(max(1, len(seen)), RECORD)
    records["frame"], records["time"] = picture.index, picture.time
    width, height = picture.width * picture.aspect, picture.height
    for record, each in zip(records, seen, strict=False):
        pose = each.pose
        record["person"] = each.number
        record["found"] = DETECTED if each.how == "detected" else TRACKED
        record["score"] = pose.score
        record["points"] = np.column_stack([pose.points / (width, height, width), pose.visibility, pose.presence])
        record["world"] = pose.world
    return records


def _summary(records: Records) -> dict[str, Json]:
    """What an item says of its records."""
    frames, first = np.unique(records["frame"], return_index=True)
    visible = np.where(records["found"] == NOBODY, 0, records["points"][:, :, 3].mean(axis=1))
    best = int(visible.argmax())
    return {
        "frames": len(frames),
        "found": int((records["found"][first] != NOBODY).sum()),
        "people": int(records["person"].max()),
        "start": float(records["time"][0]),
        "end": float(records["time"][-1]),
        "best": [int(np.searchsorted(frames, records["frame"][best])), round(float(visible[best]), 4)],
    }


@lru_cache(maxsize=1)
def _models(folder: str) -> tuple[Detector, Landmarker]:
    """The models in a folder, kept for the next attempt of this worker."""
    return Detector(Path(folder) / "detector.tflite"), Landmarker(Path(folder) / "landmarks.tflite")
