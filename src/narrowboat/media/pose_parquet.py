"""Poses as Parquet. Loads in workers only.

Covers: a column for each of the full CSV's, a row group for some thousand poses.
Does not cover: the other formats (``pose_formats.py``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from narrowboat.media.pose_file import NOBODY, STRATEGIES, Records
from narrowboat.media.pose_formats import PERSON
from narrowboat.skeleton import COUNT, LANDMARKS

_NAMES = pa.array(LANDMARKS)
_FLOATS = ("x", "y", "z", "visibility", "presence", "x_world", "y_world", "z_world")
_TEXT = pa.dictionary(pa.int8(), pa.string())
_SCHEMA = [
    ("frame_id", pa.int32()),
    ("landmark_id", pa.int8()),
    *((name, pa.float32()) for name in _FLOATS[:4]),
    ("strategy", _TEXT),
    ("timestamp", pa.float64()),
    ("landmark_name", _TEXT),
    ("confidence", pa.float32()),
    *((name, pa.float32()) for name in _FLOATS[4:]),
    (PERSON, pa.int32()),
]


class Parquet:
    """A row for each landmark, as in the full CSV, with the person's number always."""

    def __init__(self, path: Path, inputs: dict[str, Any]) -> None:
        told = {key: inputs[key] for key in ("source", "engine", "options", "facts")}
        schema = pa.schema(_SCHEMA, metadata={"narrowboat": json.dumps(told)})
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def push(self, records: Records) -> None:
        """Write a row group."""
        there = records[records["found"] != NOBODY]
        if not len(there):
            return
        each = {"frame_id": there["frame"], "timestamp": there["time"], "confidence": there["score"]}
        columns: dict[str, Any] = {name: np.repeat(values, COUNT) for name, values in each.items()}
        columns[PERSON] = np.repeat(there["person"], COUNT)
        columns["landmark_id"] = numbers = np.tile(np.arange(COUNT, dtype=np.int8), len(there))
        columns["landmark_name"] = pa.DictionaryArray.from_arrays(numbers, _NAMES)
        columns["strategy"] = pa.DictionaryArray.from_arrays(
            np.repeat(there["found"].astype(np.int8), COUNT), pa.array(STRATEGIES)
        )
        floats = np.concatenate([there["points"], there["world"]], axis=2).reshape(-1, len(_FLOATS))
        columns |= {name: floats[:, number] for number, name in enumerate(_FLOATS)}
        self._writer.write_table(pa.table([columns[name] for name, _ in _SCHEMA], schema=self._schema))

    def finish(self) -> None:
        """Write the footer."""
        self._writer.close()
