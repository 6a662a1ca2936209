"""What remote speech engines take, and what a call of one costs. Imports nothing heavy.

Covers: how long and how large a piece of sound may be, which engines tell speakers apart, memory as measured.
Does not cover: names and keys of remote models (``remote``), asking them (``speech/remote``).
"""

from __future__ import annotations

from dataclasses import dataclass

from narrowboat.engines.remote import RemoteModel
from narrowboat.errors import UsageError

#: Changes whenever the same answers, or the same question asked again, would give another transcript: prompts, parsing.
REMOTE_SPEECH = "1"
#: Seconds of a chunk: what is taken if nothing is said, and what may be.
DEFAULT_CHUNK, LEAST_CHUNK, MOST_CHUNK = 600.0, 60.0, 2700.0
#: OpenAI takes 25 MiB a request, and its newer models 1400 s (whisper-1 any length); so do servers like it.
_OPENAI_BYTES, _OPENAI_SECONDS = 25_000_000, 1390.0
#: Gemini takes far more: 2 GB a file and 9.5 hours. A model's answer is what ends first.
_GEMINI_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class SpeechLimits:
    """What an engine takes in one call.

    Attributes:
        seconds: of sound.
        bytes: of a file.
        speakers: it tells speakers apart.
        asks: it answers questions in words too, so that it can be asked who is who.
    """

    seconds: float
    bytes: int
    speakers: bool
    asks: bool


def speech_limits(model: RemoteModel) -> SpeechLimits:
    """What a model takes in one call."""
    if model.vendor == "gemini":
        return SpeechLimits(MOST_CHUNK, _GEMINI_BYTES, speakers=True, asks=True)
    newer = model.model.startswith("gpt-")
    return SpeechLimits(
        _OPENAI_SECONDS if newer else MOST_CHUNK, _OPENAI_BYTES, speakers="diarize" in model.model, asks=False
    )


def check_chunk(seconds: float) -> float:
    """The seconds of a chunk that ``--chunk`` asks for.

    Raises:
        UsageError: too short or too long.
    """
    if not LEAST_CHUNK <= seconds <= MOST_CHUNK:
        raise UsageError(
            f"--chunk: {seconds:g} s are too {'many' if seconds > MOST_CHUNK else 'few'}",
            hint=f"{LEAST_CHUNK / 60:.0f}m to {MOST_CHUNK / 60:.0f}m are possible",
        )
    return seconds
