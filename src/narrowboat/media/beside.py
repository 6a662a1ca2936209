"""Writing files so that a reader sees a whole one or none: beside their places, and then renamed.

Covers: what a step that writes is given and returns; several targets at once, as text or by their paths; errors that
say which output they are about. Loads in workers only.
Does not cover: what is written, how much space it needs (``disk``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from narrowboat import disk
from narrowboat.config import part_path
from narrowboat.errors import NarrowboatError, OutputError, UsageError

HINT = "free some, or write to another disk with --out"
Target = tuple[str, Path]  # the format and the place of an output


def targets_of(inputs: dict[str, Any], known: Collection[str]) -> list[Target]:
    """The targets of a step that writes: its input ``targets``, a list of ``{"format", "path"}``.

    Raises:
        UsageError: a format that is not known, or two targets in one place. OutputError: a target is a folder.
    """
    targets = [(str(target["format"]), Path(target["path"])) for target in inputs["targets"]]
    for kind, _ in targets:
        if kind not in known:
            raise UsageError(f"{kind!r} is not an output format", hint=f"one of {', '.join(known)}")
    check_targets([path for _, path in targets])
    return targets


def outputs(targets: list[Target]) -> dict[str, Any]:
    """What a step that writes returns: ``outputs``, for each target ``format``, ``path``, ``bytes``."""
    return {"outputs": [{"format": kind, "path": str(path), "bytes": path.stat().st_size} for kind, path in targets]}


def require_space(targets: list[Target], size: int, what: str) -> None:
    """Refuse when ``size`` bytes don't fit where a target goes. Outputs may have the last of the disk.

    Raises:
        DiskFull: with the numbers.
    """
    for folder in {path.parent for _, path in targets}:
        disk.require(folder, size, what, floor=0, hint=HINT)


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
def placed(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """Where to write the outputs first. They get their names when all are whole; after an error none does.

    Raises:
        OutputError: one can't be written (fact ``path``). DiskFull: there is no space for it.
    """
    parts = [part_path(path) for path in paths]
    try:
        for path in paths:
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        yield parts
        for path, part in zip(paths, parts, strict=True):
            with explained(path):
                _sync(part)
        for path, part in zip(paths, parts, strict=True):
            with explained(path):
                part.replace(path)
                sync_folder(path.parent)
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def written(paths: Sequence[Path]) -> Iterator[Sequence[TextIO]]:
    """Text files to write the outputs to, with names and errors as :func:`placed` has them."""
    with placed(paths) as parts, ExitStack() as stack:
        files = []
        for path, part in zip(paths, parts, strict=True):
            with explained(path):
                file = part.open("w", encoding="utf-8", newline="\n", errors="replace")
                stack.callback(_close_anyway, file)
                files.append(file)
        yield files
        for path, file in zip(paths, files, strict=True):
            with explained(path):
                file.close()


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
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
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
