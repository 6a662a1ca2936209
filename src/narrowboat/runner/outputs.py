"""Where a job's outputs go.

Covers: choosing file names so that nothing is overwritten that is not the job's own; formats that go to several places.
Does not cover: writing them (a pipeline's step) or remembering them (``journal/``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import OutputRow
from narrowboat.values import Json


@dataclass(frozen=True, slots=True)
class Form:
    """A format as one job wants it.

    Attributes:
        format: its name.
        ending: of its files.
        shape: see :class:`~narrowboat.runner.pipeline.Pipeline`.
    """

    format: str
    ending: str
    shape: Json = None


async def want_outputs(journal: Journal, job_id: str, folder: Path, stem: str, forms: Sequence[Form]) -> set[Path]:
    """Note that a job's outputs are wanted in ``folder``; those of them that are not there yet in that shape.

    They are ``stem.ending``; where another job or another program has a file of that name, all formats of this job
    become ``stem-2.ending``, and so on. A job that was asked for the same before keeps its names.
    """
    known = await journal.outputs(job_id)
    for base in _bases(known, folder, stem, {form.format: form.ending for form in forms}):
        paths = {folder / f"{base}.{form.ending}": form for form in forms}
        if not all([await _is_free(journal, job_id, path) for path in paths]):
            continue
        for path, form in paths.items():
            await journal.want_output(job_id, form.format, path, form.shape)
        written = {row.path for row in await journal.outputs(job_id) if row.written}
        return {path for path in paths if path not in written or not path.exists()}
    raise AssertionError("there is always another number")


def each_once(targets: list[dict[str, Json]]) -> list[list[dict[str, Json]]]:
    """Targets in as few lists as it takes to have no format twice in one."""
    rounds: list[dict[str, dict[str, Json]]] = []
    for target in targets:
        free = next((some for some in rounds if target["format"] not in some), None)
        if free is None:
            rounds.append(free := {})
        free[target["format"]] = target
    return [list(some.values()) for some in rounds]


def _bases(known: Sequence[OutputRow], folder: Path, stem: str, endings: Mapping[str, str]) -> Iterator[str]:
    """Names without ending: first those that the job has in the folder already."""
    ours = re.compile(re.escape(stem) + r"(-\d+)?")
    here = [row for row in known if row.path.parent == folder]
    had = [row.path.name.removesuffix(f".{endings.get(row.format, row.format)}") for row in here]
    yield from dict.fromkeys(base for base in had if ours.fullmatch(base))
    yield stem
    yield from (f"{stem}-{number}" for number in itertools.count(2))


async def _is_free(journal: Journal, job_id: str, path: Path) -> bool:
    owner = await journal.output_owner(path)
    return owner == job_id or (owner is None and not path.exists())
