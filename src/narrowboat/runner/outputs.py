"""Where a job's outputs go.

Covers: choosing file names so that nothing is overwritten that is not the job's own.
Does not cover: writing them (a pipeline's step) or remembering them (``journal/``).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from narrowboat.journal.journal import Journal


async def want_outputs(journal: Journal, job_id: str, folder: Path, stem: str, formats: Sequence[str]) -> bool:
    """Note that a job's outputs are wanted in ``folder``; True when any of them is not there yet.

    They are ``stem.format``; where another job or another program has a file of that name, all formats of this job
    become ``stem-2.format``, and so on. A job that was asked for the same before keeps its names.
    """
    known = {output.path: output for output in await journal.outputs(job_id)}
    had = {output.format: output.path for output in known.values() if output.path.parent == folder}
    missing = [name for name in formats if name not in had]
    for number in itertools.count(1):
        if not missing:
            break
        base = stem if number == 1 else f"{stem}-{number}"
        paths = {name: folder / f"{base}.{name}" for name in missing}
        if any(path.exists() for path in paths.values()):
            continue
        taken = []
        for name, path in paths.items():
            got = await journal.want_output(job_id, name, path)
            if got is not None:
                taken.append(name)
        missing = [name for name in missing if name not in taken]
    rows = await journal.outputs(job_id)
    return any(
        not (row.written and row.path.exists()) for row in rows if row.path.parent == folder and row.format in formats
    )
