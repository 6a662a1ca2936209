"""Writing poses: CSV, Parquet, a summary, in constant memory.

Covers: the step :func:`write_poses`. Loads in workers only.
Does not cover: how each format looks (``pose_formats.py``, ``pose_parquet.py``), putting outputs in place
(``beside.py``), the overlay (``joining.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from narrowboat import context
from narrowboat.media import beside
from narrowboat.media.pose_file import RECORD, read_poses
from narrowboat.media.pose_formats import Csv, FullCsv, Summary, Writer

#: Bytes that a record has in the largest of them, about.
_WRITTEN = 33 * 130


def write_poses(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the records in a file as outputs.

    Inputs: ``records``, the path of a pose file; ``targets``, a list of ``{"format": "csv"|"full"|"parquet"|"json",
    "path"}``; and ``facts`` (of the video), ``source``, ``engine``, ``options`` (``people``, ``every``, …).

    Returns:
        ``outputs``: for each target ``format``, ``path``, ``bytes``.

    Raises:
        UsageError, OutputError, DiskFull: see :mod:`~narrowboat.media.beside`. They leave nothing partial behind.
    """
    records = Path(inputs["records"])
    targets = beside.targets_of(inputs, _WRITERS)
    size = records.stat().st_size
    beside.require_space(targets, len(targets) * size // RECORD.itemsize * _WRITTEN, "writing poses")
    with beside.placed([path for _, path in targets]) as parts:
        writers: list[tuple[Path, Writer]] = []
        for (kind, path), part in zip(targets, parts, strict=True):
            with beside.explained(path):
                writers.append((path, _WRITERS[kind](part, inputs)))
        done = 0
        for piece in read_poses(records):
            for path, writer in writers:
                with beside.explained(path):
                    writer.push(piece)
            done += piece.nbytes
            context.progress(done / size, "write")
        for path, writer in writers:
            with beside.explained(path):
                writer.finish()
    return beside.outputs(targets)


def _parquet(path: Path, inputs: dict[str, Any]) -> Writer:
    from narrowboat.media.pose_parquet import Parquet  # pyarrow is large, and not for those who want CSV

    return Parquet(path, inputs)


_WRITERS: dict[str, Callable[[Path, dict[str, Any]], Writer]] = {
    "csv": Csv,
    "full": FullCsv,
    "parquet": _parquet,
    "json": Summary,
}
