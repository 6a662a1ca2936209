"""The step of pose that is its own: pictures to poses. Loads in workers only.

Covers: joining the reader, the engine, the pose file and the overlay; the cursor.
Does not cover: decoding (``media/video``), following people (``engines/pose``), drawing and encoding
(``media/overlay``, ``media/segments``).
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache, partial
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
from narrowboat.pipelines.pose.threads import Behind, ahead
from narrowboat.values import Item, Json

#: Pictures of an item, which is also what is encoded in one piece: about a second of work.
ITEM = 60


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
    with (
        contextlib.closing(_wanted(inputs, begun["place"])) as source,
        contextlib.closing(PoseFile(scratch / "poses", begun["records"])) as poses,
    ):
        for number in itertools.count(begun["items"]):
            segment = scratch / f"segment-{number}.nut" if inputs["overlay"] else None
            batch = _batch(itertools.islice(source, ITEM), tracker, facts, segment)
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


def _wanted(inputs: dict[str, Any], after: Json) -> Generator[Picture, None, None]:
    """The pictures to look at, read in a thread of its own where a second core may be had."""
    source = pictures(inputs["path"], inputs["facts"], Stretch(*inputs["trim"]), after, inputs["name"])
    wanted = (picture for picture in source if picture.index % inputs["every"] == 0)
    return ahead(wanted) if context.most_cores() > 1 else wanted


def _batch(
    source: Iterator[Picture], tracker: Tracker, facts: dict[str, Any], path: Path | None
) -> tuple[Picture, Records] | None:
    """Follow people through some pictures; the last of these, and the records of all. None when there are none.

    Args:
        path: where to put the pictures with skeletons.
    """
    found, last = [], None
    with contextlib.closing(Drawing(path, facts)) if path else contextlib.nullcontext() as drawing:
        for last in source:
            people = _records(last, tracker.follow(last, last.time))
            found.append(people)
            if drawing is not None:
                drawing.add(last, people)
        if drawing is not None:
            drawing.finish()
    return None if last is None else (last, np.concatenate(found))


class Drawing:
    """The pictures of an item with skeletons, drawn and encoded beside the main work where a second core may be had."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._path = path
        self._facts = facts
        self._segment: Segment | None = None
        self._behind = Behind() if context.most_cores() > 1 else None

    def add(self, picture: Picture, people: Records) -> None:
        """The next picture."""
        if self._behind is None:
            self._encode(picture, people)
        else:
            self._behind.call(partial(self._encode, picture, people))

    def _encode(self, picture: Picture, people: Records) -> None:
        self._segment = self._segment or Segment(picture, self._facts)
        self._segment.add(drawn(picture, people), picture.pts)

    def finish(self) -> None:
        """Put all of it into the file; nothing when there was no picture."""
        if self._behind is not None:
            self._behind.finish()
        if self._segment is not None:
            self._segment.write(self._path)

    def close(self) -> None:
        """Stop."""
        if self._behind is not None:
            self._behind.close()


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
