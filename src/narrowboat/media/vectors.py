"""The embeddings of a transcript as a part of its JSON, in constant memory. Loads in workers only.

Covers: passages with their vectors, one a line, and the vector of the whole.
Does not cover: making them (``pipelines/transcribe/embedding``), the rest of the JSON (``caption_formats``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_vectors(out: Callable[[str], Any], made: dict[str, Any], path: Path) -> None:
    """Write the object: ``model``, ``version``, ``dimensions``, ``passages``, ``whole``.

    The whole is the mean of its passages, each counted by its words, made of length one: what is said longest counts
    most. None when nothing was said.

    Args:
        made: what stands in it beside.
        path: JSON lines of ``{"passages": [{"start", "end", "words", "vector"}]}``.
    """
    fields = "".join(f"{json.dumps(key)}: {json.dumps(value)}, " for key, value in made.items())
    out(f'{{{fields}"passages": [')
    whole: list[float] = []
    with path.open("rb") as file:
        for line in file:
            for passage in json.loads(line)["passages"]:
                out((",\n" if whole else "\n") + json.dumps(passage, ensure_ascii=False))
                weight, vector = passage["words"] or 1, passage["vector"]
                before = whole or [0.0] * len(vector)
                whole = [sum_ + weight * number for sum_, number in zip(before, vector, strict=True)]
    length = math.sqrt(sum(number * number for number in whole)) or 1.0
    mean = [round(number / length, 4) for number in whole] or None
    out(f'\n], "dimensions": {len(whole)}, "whole": {json.dumps(mean)}}}')
