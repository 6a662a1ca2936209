"""How much memory a Whisper model takes, from the head of its file. Imports nothing heavy.

Covers: models that nobody has measured, those that users bring.
Does not cover: the packs, which were measured (``engines/catalogue.py``); what is really used (``memory/``).

From the shapes: 8-bit weights; in the encoder the attention of 1500 positions for each head of 64; in the decoder
keys and values of those positions and of up to 228 tokens for 5 beams, in each layer. Before the margin it gives
214 MiB for whisper-base where 227 were measured, and 154 for whisper-tiny.en where 176 were.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from narrowboat.errors import UsageError
from narrowboat.sizes import MIB

_HEAD = 8192  # bytes of a model file that name its first few variables
_EMBEDDINGS = b"decoder/embeddings/weight\0"
_BYTES_EACH = {0: 4, 1: 1, 2: 2, 4: 2, 5: 2}  # type number of the file -> bytes of a weight
_PROCESS = 30 * MIB  # libraries and decoded sound
_MARGIN = 1.25


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes (anonymous + shared) with one stream, and for each further stream."""

    first: int
    further: int


def footprint(model: Path) -> Footprint:
    """The footprint of a ``model.bin``, whatever the type of its weights: they are re-written as 8-bit ones.

    Raises:
        UsageError: the file is not a Whisper model.
    """
    with model.open("rb") as file:
        head = file.read(_HEAD)
    at = head.find(_EMBEDDINGS)
    if at < 0 or b"WhisperSpec" not in head:
        raise UsageError(f"{model} is not a Whisper model for ctranslate2", hint="convert the model again")
    _, words, width, kind = struct.unpack_from("<BIIB", head, at + len(_EMBEDDINGS))
    weights = model.stat().st_size / _BYTES_EACH.get(kind, 1)
    layers_by_width = (weights - words * width) / (
        28 * width
    )  # 12 width² weights in an encoder's layer, 16 in a decoder's
    attention = 1500 * 1500 * 4 * (width / 64) * 1.35  # with what else a layer holds
    keys_and_values = layers_by_width * 4 * 2 * (1500 + 5 * 228)
    stream = max(attention, keys_and_values) + 15 * MIB
    return Footprint(int(_MARGIN * (_PROCESS + 1.1 * weights + stream)), int(_MARGIN * stream))
