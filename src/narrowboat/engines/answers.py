"""What remote engines are asked with, and what they answer. Imports nothing heavy.

Covers: the values that pass between an engine's client and whoever asks it; JSON that comes in a fence.
Does not cover: asking (``gemini``, ``openai_compatible``), which engines there are (``remote``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class File:
    """A part of a question that lies on disk.

    Attributes:
        path: the file; it is read in pieces, never whole where the engine's protocol allows that.
        mime: its type, such as ``audio/flac``.
    """

    path: Path
    mime: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A text that an engine wrote.

    Attributes:
        text: empty only where it was cut off before it began.
        finish: ``"length"`` when it was cut off at the most tokens that it may have; else ``"stop"``.
        usage: ``input_tokens`` and ``output_tokens`` as the engine counted them, thoughts among the latter; None
            where it did not.
    """

    text: str
    finish: Literal["stop", "length"]
    usage: dict[str, int | None]


_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)


def unfenced(text: str) -> str:
    """The JSON in a text: what stands in the fence that some models put around it, among words; else the text."""
    found = None if text.lstrip()[:1] in ("{", "[") else _FENCE.search(text)
    return found[1].strip() if found else text
