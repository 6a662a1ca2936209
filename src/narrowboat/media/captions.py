"""Writing transcripts and captions: text, SubRip, WebVTT and JSON, and summaries, in constant memory.

Covers: the step :func:`write`. All targets are written beside their places first and then renamed, so that a reader
sees a whole file or none. Does not cover: where outputs go and how they are named (``pipelines/``), how each format
looks (``caption_formats.py``). Loads in workers only.

The known subtitle libraries were looked at first. Each builds all cues before it writes any: for ten hours of speech
pysubs2 1.8 adds 4.8 MiB, srt 3.5 3.1 and webvtt-py 0.6 10.8, growing with the length, and none writes all four formats;
this adds nothing measurable. The tests read our files back with pysubs2 and with FFmpeg.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from narrowboat import context
from narrowboat.media import beside
from narrowboat.media.caption_formats import FORMATS


def write(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the items in a file as captions.

    Inputs: ``items``, the path of a file with one JSON value a line: ``{"start", "end", "segments": [{"start", "end",
    "text"}]}``, times in seconds, with ``confidence`` and ``speaker`` where they are known; ``targets``, a list of
    ``{"format": "txt"|"srt"|"vtt"|"json"|"summary", "path"}``; ``summary`` where there is one; and for the JSON
    ``facts`` (of the media), ``source``, ``engine``, ``language`` (or None), and where there are any ``usage`` (what an
    engine counted), ``unheard`` (``[{"start", "end"}]``, speech without words), ``embeddings`` (what is told of them)
    and ``vectors`` (the path of their JSON lines).

    Returns:
        ``outputs``: for each target ``format``, ``path``, ``bytes``.

    Raises:
        UsageError: an unknown format, or two targets in one place.
        OutputError: a target can't be written (fact ``path``). DiskFull: there is no space for it. Both leave
            nothing partial behind.
    """
    targets = beside.targets_of(inputs, FORMATS)
    # Captions are about as large as their items.
    beside.require_space(targets, Path(inputs["items"]).stat().st_size, "writing captions")
    with beside.written([path for _, path in targets]) as files:
        writers = []
        for (kind, path), file in zip(targets, files, strict=True):
            with beside.explained(path):
                writers.append((path, FORMATS[kind](file.write, inputs)))
        for segment in _segments(Path(inputs["items"])):
            for path, writer in writers:
                with beside.explained(path):
                    writer.push(segment)
        for path, writer in writers:
            with beside.explained(path):
                writer.finish()
    return beside.outputs(targets)


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
