"""Poses as they lie in scratch between the step that finds them and those that write: records of one size.

Covers: the record, appending to the file from a place on, reading it in pieces.
Does not cover: the formats for others (``pose_formats``), finding poses (``engines/pose``). Loads in workers only.

One record is one person in one picture, in the order of the pictures; a picture with nobody in it has one too, so
that it is known how many there were and when.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from narrowboat import context, disk
from narrowboat.skeleton import COUNT

#: How a person was found; 0 is nobody.
NOBODY, DETECTED, TRACKED = 0, 1, 2
STRATEGIES = ("", "detected", "tracked")
#: ``points``: x, y (0 to 1 of the picture), z (in the unit of x), visibility, presence; ``world``: metres.
RECORD = np.dtype(
    [
        ("frame", "<i4"),
        ("person", "<i4"),
        ("time", "<f8"),
        ("found", "u1"),
        ("score", "<f4"),
        ("points", "<f4", (COUNT, 5)),
        ("world", "<f4", (COUNT, 3)),
    ]
)
#: Records read or asked room for at once: 3.7 MiB.
_AT_ONCE = 4096

Records = npt.NDArray[Any]


class PoseFile:
    """The file that is being written, from record ``count`` on: what came after is cut off.

    Raises:
        ValueError: there are fewer.
    """

    def __init__(self, path: Path, count: int) -> None:
        self._path = path
        self._file = path.open("r+b" if path.exists() else "w+b")
        if self._file.seek(0, 2) < count * RECORD.itemsize:
            raise ValueError(f"{path.name} has lost what was in it")
        self._file.truncate(count * RECORD.itemsize)
        self._file.seek(0, 2)
        self._room = 0
        self.count = count

    def append(self, records: Records) -> None:
        """Write records to the end of the file.

        Raises:
            DiskFull: there is no room.
        """
        if self.count + len(records) > self._room:
            self._room = self.count + len(records) + _AT_ONCE
            context.make_room(self._path, self._room * RECORD.itemsize, "the poses")
        try:
            self._file.write(records.tobytes())
            self._file.flush()
        except OSError as error:
            if error.errno in disk.FULL:
                raise disk.full(self._path, "the poses") from error
            raise
        self.count += len(records)

    @property
    def size(self) -> int:
        """Bytes of what is in it."""
        return self.count * RECORD.itemsize

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_poses(path: Path) -> Iterator[Records]:
    """The records of a file, some thousand at a time."""
    with path.open("rb") as file:
        while piece := file.read(_AT_ONCE * RECORD.itemsize):
            yield np.frombuffer(piece, RECORD)
