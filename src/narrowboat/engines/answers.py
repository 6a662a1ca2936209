"""What remote engines are asked with, and what they answer. Imports nothing heavy.

Covers: the values that pass between an engine's client and whoever asks it.
Does not cover: asking (``gemini``, ``openai_compatible``), which engines there are (``remote``).
"""

from __future__ import annotations

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
        text: never empty.
        finish: ``"length"`` when it was cut off at the most tokens that it may have; else ``"stop"``.
        usage: ``input_tokens`` and ``output_tokens`` as the engine counted them, thoughts among the latter; None
            where it did not.
    """

    text: str
    finish: Literal["stop", "length"]
    usage: dict[str, int | None]
