"""How each format of poses looks: CSV in two forms, Parquet, a summary as JSON.

Covers: one class for each, that is given records and writes as they come. Loads in workers only.
Does not cover: where they are written (``poses.py``), records (``pose_file.py``), figures (``pose_quality.py``).

Positions are shares of the picture's width and height, z is in the unit of x, smaller is nearer to the camera; world
positions are metres from the hips' middle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

from narrowboat.media.pose_file import NOBODY, STRATEGIES, Records
from narrowboat.media.pose_quality import Quality
from narrowboat.skeleton import COUNT, LANDMARKS
from narrowboat.values import Json

SHORT_COLUMNS = ("frame_id", "landmark_id", "x", "y", "z", "visibility", "strategy")
FULL_COLUMNS = (*SHORT_COLUMNS, "timestamp", "landmark_name", "confidence", "presence", "x_world", "y_world", "z_world")
#: The last column, where several people are followed.
PERSON = "person_id"


class Writer(Protocol):
    """A format that is being written."""

    def push(self, records: Records) -> None: ...  # the next records, in order

    def finish(self) -> None: ...  # the end of the file


class Csv:
    """A row for each landmark; nothing for pictures with nobody in them.

    Args:
        inputs: of the step; ``options.people`` above 1 adds a column with the person's number.
    """

    columns: tuple[str, ...] = SHORT_COLUMNS
    _row = "\0,{number},%.6f,%.6f,%.6f,%.6f,\1"

    def __init__(self, path: Path, inputs: dict[str, Any]) -> None:
        several = inputs["options"]["people"] > 1
        columns = (*self.columns, PERSON) if several else self.columns
        row = f"{self._row},\4\n" if several else f"{self._row}\n"
        # The marks stand for what is the same in all rows of a pose.
        self._pose = "".join(row.format(number=number, name=name) for number, name in enumerate(LANDMARKS))
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._file.write(",".join(columns) + "\n")

    def push(self, records: Records) -> None:
        """Write the rows of records."""
        for record in records[records["found"] != NOBODY]:
            text = self._pose % self._values(record)
            text = text.replace("\0", str(record["frame"])).replace("\1", STRATEGIES[record["found"]])
            text = text.replace("\2", f"{record['time']:.6f}").replace("\3", f"{record['score']:.6f}")
            self._file.write(text.replace("\4", str(record["person"])))

    def _values(self, record: Any) -> tuple[float, ...]:
        return tuple(record["points"][:, :4].ravel().tolist())

    def finish(self) -> None:
        """Close the file."""
        self._file.close()


class FullCsv(Csv):
    """The same with time, name, confidence, presence and metres."""

    columns = FULL_COLUMNS
    _row = Csv._row + ",\2,{name},\3,%.6f,%.6f,%.6f,%.6f"

    def _values(self, record: Any) -> tuple[float, ...]:
        points, world = record["points"], record["world"]
        return tuple(
            value for landmark in range(COUNT) for value in (*points[landmark].tolist(), *world[landmark].tolist())
        )


class Summary:
    """One JSON object: what was asked for, what the video is, how good the poses are."""

    def __init__(self, path: Path, inputs: dict[str, Any]) -> None:
        facts = inputs["facts"]
        self._path = path
        self._inputs = inputs
        self._quality = Quality(facts["width"], facts["height"], inputs["options"]["every"])
        self._times: list[float] = []

    def push(self, records: Records) -> None:
        """Count records."""
        self._quality.push(records)
        if len(records):
            self._times = [(self._times or [float(records["time"][0])])[0], float(records["time"][-1])]

    def finish(self) -> None:
        """Write the file."""
        facts = self._inputs["facts"]
        kept = ("width", "height", "rate", "duration", "codec", "audio")
        told: dict[str, Json] = {
            "version": 1,
            "source": self._inputs["source"],
            "engine": self._inputs["engine"],
            "options": self._inputs["options"],
            "video": {key: facts[key] for key in kept},
            "start_s": round(self._times[0], 6) if self._times else None,
            "end_s": round(self._times[1], 6) if self._times else None,
            **self._quality.figures(),
            "landmarks": list(LANDMARKS),
        }
        self._path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
