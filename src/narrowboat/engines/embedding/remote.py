"""Embeddings of remote models: Gemini, OpenAI and servers that speak as it does. Loads in workers only.

Covers: vectors of length one, whatever the server gives. Does not cover: asking (``engines/gemini``,
``engines/openai_compatible``), trying again (``runner/calls``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module

from narrowboat.engines.refusals import malformed
from narrowboat.engines.remote import remote_model
from narrowboat.errors import UsageError

_CLIENTS = {"gemini": "narrowboat.engines.gemini", "openai": "narrowboat.engines.openai_compatible"}


def vectors(model: str, texts: Sequence[str]) -> list[list[float]]:
    """The vector of each text.

    Raises:
        EngineError, RemoteError, Interrupted: see the clients.
    """
    asked = remote_model(model)
    if asked is None:
        raise UsageError(f"{model!r} is no remote model")
    found: list[list[float]] = import_module(_CLIENTS[asked.vendor]).embed(asked, texts)
    lengths = [math.sqrt(sum(number * number for number in vector)) for vector in found]
    if len({len(vector) for vector in found}) > 1 or not all(math.isfinite(length) and length for length in lengths):
        raise malformed(asked, "its vectors have no length, or not the same number of numbers")
    return [[number / length for number in vector] for vector, length in zip(found, lengths, strict=True)]
