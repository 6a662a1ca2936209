"""The step of transcribe that is its own: sound to segments. Loads in workers only.

Covers: joining the audio reader and the speech engine, and the cursor.
Does not cover: decoding (``media/audio``), recognising (``engines/speech``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from narrowboat import context
from narrowboat.engines.speech.transcribe import transcribe
from narrowboat.media.audio import blocks
from narrowboat.values import Item, Json


def recognise(inputs: dict[str, Any], cursor: Json) -> Iterator[Item]:
    """A resumable stream: the segments of an episode, chunk by chunk.

    Inputs: ``path``, ``stream`` and ``duration`` (seconds) as the probe gave them, ``model_dir``, ``language`` (a code,
    or None to find out).

    Yields:
        Items of ``{"start", "end", "segments": [{"start", "end", "text", "confidence"}]}``, seconds of the whole
        episode. The cursor is ``{"sample", "language"}``: where the next chunk begins at 16 kHz, and what was found.
    """
    start = cursor["sample"] if cursor else 0
    chunks = transcribe(
        blocks(inputs["path"], inputs["stream"], start),
        model_dir=Path(inputs["model_dir"]),
        start_sample=start,
        language=cursor["language"] if cursor else inputs["language"],
        cores=context.cores,
        most_cores=context.most_cores(),
        duration=inputs["duration"],
    )
    for chunk in chunks:
        value = {"start": chunk.start, "end": chunk.end, "segments": chunk.segments}
        yield Item(value, {"sample": chunk.next_sample, "language": chunk.language})
