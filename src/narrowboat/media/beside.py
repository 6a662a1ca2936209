"""Writing files so that a reader sees a whole one or none: beside their places, and then renamed.

Covers: text files for several targets at once, errors that say which output they are about. Loads in workers only.
Does not cover: what is written, how much space it needs (``disk``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from narrowboat import disk
from narrowboat.config import part_path
from narrowboat.errors import NarrowboatError, OutputError, UsageError

HINT = "free some, or write to another disk with --out"


def check_targets(paths: Sequence[Path]) -> None:
    """See that outputs can be in these places.

    Raises:
        UsageError: two would have the same. OutputError: one is a folder.
    """
    for path in paths:
        if path.is_dir():
            raise OutputError(f"{path} is a folder", path=str(path))
    if len(set(paths)) < len(paths):
        raise UsageError("two outputs would have the same path")


@contextlib.contextmanager
def written(paths: Sequence[Path]) -> Iterator[Sequence[TextIO]]:
    """Files to write the outputs to. They get their names when all are whole; after an error none does.

    Raises:
        OutputError: one can't be written (fact ``path``). DiskFull: there is no space for it.
    """
    parts = [part_path(path) for path in paths]
    try:
        with ExitStack() as stack:
            files = []
            for path, part in zip(paths, parts, strict=True):
                with explained(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    file = part.open("w", encoding="utf-8", newline="\n", errors="replace")
                    stack.callback(_close_anyway, file)
                    files.append(file)
            yield files
            for path, file in zip(paths, files, strict=True):
                with explained(path):
                    file.flush()
                    os.fsync(file.fileno())
                    file.close()
        for path, part in zip(paths, parts, strict=True):
            with explained(path):
                part.replace(path)
                sync_folder(path.parent)
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Says which output an error of the system is about."""
    try:
        yield
    except OSError as error:
        raise _explain(error, path) from None


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the file system knows how."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _explain(error: OSError, path: Path) -> NarrowboatError:
    if error.errno in disk.FULL:
        return disk.full(path, path.name, HINT)
    return OutputError(f"{path} can't be written: {error.strerror or error}", path=str(path))


def _close_anyway(file: TextIO) -> None:
    """After an error, what could not be written before can't be now, and the first error is the one to tell."""
    with contextlib.suppress(OSError):
        file.close()
