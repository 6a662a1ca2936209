"""Where a job's outputs go.

Covers: choosing file names so that nothing is overwritten that is not the job's own.
Does not cover: writing them (a pipeline's step) or remembering them (``journal/``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import OutputRow


async def want_outputs(journal: Journal, job_id: str, folder: Path, stem: str, formats: Sequence[str]) -> set[Path]:
    """Note that a job's outputs are wanted in ``folder``; those of them that are not there yet.

    They are ``stem.format``; where another job or another program has a file of that name, all formats of this job
    become ``stem-2.format``, and so on. A job that was asked for the same before keeps its names.
    """
    known = await journal.outputs(job_id)
    written = {row.path for row in known if row.written}
    for base in _bases(known, folder, stem):
        paths = {name: folder / f"{base}.{name}" for name in formats}
        if not all([await _is_free(journal, job_id, path) for path in paths.values()]):
            continue
        for name, path in paths.items():
            await journal.want_output(job_id, name, path)
        return {path for path in paths.values() if path not in written or not path.exists()}
    raise AssertionError("there is always another number")


def _bases(known: Sequence[OutputRow], folder: Path, stem: str) -> Iterator[str]:
    """Names without ending: first those that the job has in the folder already."""
    ours = re.compile(re.escape(stem) + r"(-\d+)?")
    had = [row.path.stem for row in known if row.path.parent == folder and ours.fullmatch(row.path.stem)]
    yield from dict.fromkeys(had)
    yield stem
    yield from (f"{stem}-{number}" for number in itertools.count(2))


async def _is_free(journal: Journal, job_id: str, path: Path) -> bool:
    owner = await journal.output_owner(path)
    return owner == job_id or (owner is None and not path.exists())
