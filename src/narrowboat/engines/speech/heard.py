"""What a remote engine has heard in a piece of sound.

Covers: the values that pass between an engine's own module and ``remote``.
Does not cover: times that make no sense (``timing``), asking.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from narrowboat.engines.speech.timing import Said


@dataclass(slots=True)
class Speaker:
    """Somebody who speaks.

    Attributes:
        label: as the segments have it, such as ``Host``.
        name: where it was said; likewise ``voice``, how it sounds. Empty where that is not known.
        said: a few words, by which others can tell who it is.
    """

    label: str
    name: str = ""
    voice: str = ""
    said: str = ""


@dataclass(slots=True)
class Heard:
    """An answer.

    Attributes:
        language: a code, where the engine tells.
        usage: what it counted: ``input_tokens``, ``output_tokens``, ``seconds``.
        finish: ``"length"``: it was cut off, and ``said`` is empty.
        timed: the times are the engine's own.
    """

    said: list[Said]
    language: str | None = None
    speakers: list[Speaker] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    finish: Literal["stop", "length"] = "stop"
    timed: bool = True


def one_line(value: Any, most: int = 100_000) -> str:
    """What a model wrote, on one line, shortened; empty for what is no text."""
    return " ".join(value.split())[:most].strip() if isinstance(value, str) else ""
