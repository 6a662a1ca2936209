"""The step that makes one transcript of what was heard chunk by chunk. Loads in workers only.

Covers: the segments of all chunks in order, with the names of those who speak.
Does not cover: who is who (``speakers_workflow``), hearing (``engines/speech/remote``), files (``media/captions``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from narrowboat.values import Item, Json


def join(inputs: dict[str, Any], cursor: Json) -> Iterator[Item]:
    """A resumable stream: the segments of an episode, chunk by chunk.

    Inputs: ``results``, the path of a file with what was heard in each chunk, one JSON a line, in order; ``names``, for
    each of them what its labels of speakers are shown as; ``totals``, JSON that is kept with the transcript.

    Yields:
        Items of ``{"start", "end", "segments": [{"start", "end", "text", "speaker"}]}``, seconds of the whole episode.
        The cursor is ``{"done", "totals"}``, how many chunks there are so far and what was given.
    """
    done = cursor["done"] if cursor else 0
    with Path(inputs["results"]).open(encoding="utf-8") as file:
        for number, (line, names) in enumerate(zip(file, inputs["names"], strict=True)):
            if number < done:
                continue
            heard = json.loads(line)
            segments = [_named(segment, names) for segment in heard["segments"]]
            value = {"start": heard["start"], "end": heard["end"], "segments": segments}
            yield Item(value, {"done": number + 1, "totals": inputs["totals"]})


def _named(segment: dict[str, Json], names: dict[str, str]) -> dict[str, Json]:
    label = segment.get("speaker")
    return segment if label is None else {**segment, "speaker": names.get(label, label)}
