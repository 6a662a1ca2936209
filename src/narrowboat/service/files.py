"""Files that jobs have written, as people outside see them.

Covers: outputs, and what lies in the folders of those that have one.
Does not cover: sending them (``outputs``), which formats have folders (``kinds``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from narrowboat.errors import PartlyDone
from narrowboat.runner.reading import JobRow
from narrowboat.runner.runner import Runner
from narrowboat.service.media_types import media_type
from narrowboat.values import Json

PART = "part"  # the format of a file in the folder of an output


@dataclass(frozen=True, slots=True)
class File:
    """A file that a job has written."""

    format: str
    path: Path
    bytes: int

    def to_json(self, job_id: str) -> dict[str, Json]:
        """As people outside see it."""
        name = self.path.name
        return {
            "name": name,
            "format": self.format,
            "bytes": self.bytes,
            "type": media_type(name),
            "href": f"/v1/jobs/{job_id}/outputs/{quote(name, safe='')}",
        }


async def written(runner: Runner, row: JobRow, folders: Sequence[str]) -> list[File]:
    """The files that a job has written. Outputs of a job that was done in part count as not written, and are there.

    Args:
        folders: formats whose files are in a folder beside; see ``kinds``.
    """
    found: list[File] = []
    partly = row.reason is not None and row.reason.get("code") == PartlyDone.code
    for output in await runner.journal.outputs(row.id):
        size = output.bytes if output.written or not partly else _size(output.path)
        if size is None:
            continue
        found.append(File(output.format, output.path, size))
        if output.format in folders:
            found += await asyncio.to_thread(_in_folder, output.path.with_suffix(""))
    return found


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _in_folder(folder: Path) -> list[File]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError:
        return []
    return [File(PART, path, path.stat().st_size) for path in paths]
