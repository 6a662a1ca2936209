"""Writing transcripts and captions: text, SubRip, WebVTT and JSON, and summaries, in constant memory.

Covers: the step :func:`write`. All targets are written beside their places first and then renamed, so that a reader
sees a whole file or none. Does not cover: where outputs go and how they are named (``pipelines/``), how each format
looks (``caption_formats.py``). Loads in workers only.

The known subtitle libraries were looked at first. Each builds all cues before it writes any: for ten hours of speech
pysubs2 1.8 adds 4.8 MiB, srt 3.5 3.1 and webvtt-py 0.6 10.8, growing with the length, and none writes all four formats;
this adds nothing measurable. The tests read our files back with pysubs2 and with FFmpeg.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from narrowboat import context, disk
from narrowboat.config import part_path
from narrowboat.errors import NarrowboatError, OutputError, UsageError
from narrowboat.media.caption_formats import FORMATS, Writer

_HINT = "free some, or write to another disk with --out"


def write(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the items in a file as captions.

    Inputs: ``items``, the path of a file with one JSON value a line: ``{"start", "end", "segments": [{"start", "end",
    "text", "confidence"}]}``, times in seconds; ``targets``, a list of ``{"format": "txt"|"srt"|"vtt"|"json"
    |"summary", "path"}``; ``summary`` where there is one; and for the JSON ``facts`` (of the media), ``source``,
    ``engine``, ``language`` (or None).

    Returns:
        ``outputs``: for each target ``format``, ``path``, ``bytes``.

    Raises:
        UsageError: an unknown format, or two targets in one place.
        OutputError: a target can't be written (fact ``path``). DiskFull: there is no space for it. Both leave
            nothing partial behind.
    """
    targets = [(str(target["format"]), Path(target["path"])) for target in inputs["targets"]]
    _check(targets)
    _check_space(Path(inputs["items"]), targets)
    parts = [part_path(path) for _, path in targets]
    try:
        _write_parts(inputs, targets, parts)
        for (_, path), part in zip(targets, parts, strict=True):
            with _explained(path):
                part.replace(path)
                _sync_folder(path.parent)
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return {"outputs": [{"format": kind, "path": str(path), "bytes": path.stat().st_size} for kind, path in targets]}


def _check(targets: list[tuple[str, Path]]) -> None:
    for kind, path in targets:
        if kind not in FORMATS:
            raise UsageError(f"{kind!r} is not an output format", hint=f"one of {', '.join(FORMATS)}")
        if path.is_dir():
            raise OutputError(f"{path} is a folder", path=str(path))
    if len({path for _, path in targets}) < len(targets):
        raise UsageError("two outputs would have the same path")


def _check_space(items: Path, targets: list[tuple[str, Path]]) -> None:
    """Captions are about as large as their items. They may have the last of the disk: they are what the job is for."""
    for folder in {path.parent for _, path in targets}:
        disk.require(folder, items.stat().st_size, "writing captions", floor=0, hint=_HINT)


def _write_parts(inputs: dict[str, Any], targets: list[tuple[str, Path]], parts: list[Path]) -> None:
    with ExitStack() as stack:
        writers: list[tuple[Path, Writer]] = []
        files = []
        for (kind, path), part in zip(targets, parts, strict=True):
            with _explained(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                file = part.open("w", encoding="utf-8", newline="\n", errors="replace")
                stack.callback(_close_anyway, file)
                writers.append((path, FORMATS[kind](file.write, inputs)))
                files.append((path, file))
        for segment in _segments(Path(inputs["items"])):
            for path, writer in writers:
                with _explained(path):
                    writer.push(segment)
        for path, writer in writers:
            with _explained(path):
                writer.finish()
        for path, file in files:
            with _explained(path):
                file.flush()
                os.fsync(file.fileno())
                file.close()


def _close_anyway(file: TextIO) -> None:
    """After an error, what could not be written before can't be now, and the first error is the one to tell."""
    with contextlib.suppress(OSError):
        file.close()


def _segments(items: Path) -> Iterator[dict[str, Any]]:
    size, done, told = max(1, items.stat().st_size), 0, 0
    with items.open("rb") as file:
        for line in file:
            done += len(line)
            if line.strip():
                yield from json.loads(line).get("segments") or ()
            if done - told > size // 20:
                told = done
                context.progress(done / size, "write")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Says which output an error of the system is about."""
    try:
        yield
    except OSError as error:
        raise _explain(error, path) from None


def _explain(error: OSError, path: Path) -> NarrowboatError:
    if error.errno in disk.FULL:
        return disk.full(path, path.name, _HINT)
    return OutputError(f"{path} can't be written: {error.strerror or error}", path=str(path))


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where the file system knows how."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
