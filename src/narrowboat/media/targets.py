"""Putting outputs in their places, whole or not at all.

Covers: what a step that writes is given and returns; files made beside their places and then renamed, so that a
reader sees a whole file or none; errors that name the output.
Does not cover: what is in them, where outputs go and how they are named (``pipelines/``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from narrowboat import disk
from narrowboat.config import part_path
from narrowboat.errors import NarrowboatError, OutputError, UsageError

_HINT = "free some, or write to another disk with --out"
Target = tuple[str, Path]  # the format and the place of an output


def targets_of(inputs: dict[str, Any], known: Collection[str]) -> list[Target]:
    """The targets of a step that writes: its input ``targets``, a list of ``{"format", "path"}``.

    Raises:
        UsageError: a format that is not known, or two targets in one place. OutputError: a target is a folder.
    """
    targets = [(str(target["format"]), Path(target["path"])) for target in inputs["targets"]]
    for kind, path in targets:
        if kind not in known:
            raise UsageError(f"{kind!r} is not an output format", hint=f"one of {', '.join(known)}")
        if path.is_dir():
            raise OutputError(f"{path} is a folder", path=str(path))
    if len({path for _, path in targets}) < len(targets):
        raise UsageError("two outputs would have the same path")
    return targets


def written(targets: list[Target]) -> dict[str, Any]:
    """What a step that writes returns: ``outputs``, for each target ``format``, ``path``, ``bytes``."""
    return {"outputs": [{"format": kind, "path": str(path), "bytes": path.stat().st_size} for kind, path in targets]}


def require_space(targets: list[Target], size: int, what: str) -> None:
    """Refuse when ``size`` bytes don't fit where a target goes.

    Raises:
        DiskFull: with the numbers.
    """
    for folder in {path.parent for _, path in targets}:
        disk.require(folder, size, what, floor=0, hint=_HINT)


@contextlib.contextmanager
def put_in_place(targets: list[Target]) -> Iterator[list[Path]]:
    """Files to write, one for each target; when the block ends well they are synced and renamed, else they go.

    Raises:
        OutputError: a target can't be written (fact ``path``). DiskFull: there is no space for it.
    """
    parts = [part_path(path) for _, path in targets]
    try:
        for _, path in targets:
            with explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        yield parts
        for (_, path), part in zip(targets, parts, strict=True):
            with explained(path):
                _sync(part)
        for (_, path), part in zip(targets, parts, strict=True):
            with explained(path):
                part.replace(path)
                with contextlib.suppress(OSError):  # makes the rename last through a power cut, where that can be had
                    _sync(path.parent)
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


def _explain(error: OSError, path: Path) -> NarrowboatError:
    if error.errno in disk.FULL:
        return disk.full(path, path.name, _HINT)
    return OutputError(f"{path} can't be written: {error.strerror or error}", path=str(path))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
