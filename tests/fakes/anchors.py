"""Finding a piece of sound again by its samples.

Covers: anchors, places that the 16 samples around them choose, whatever file they stand in: about eight a second. The
same sound in an episode and in a piece of it has the same ones, so that one look-up says where the piece lies; every
sample is compared then.
Does not cover: sound that was changed: not one sample may differ.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fakes.decoding import Samples

WINDOW = 16
#: One window in so many is an anchor.
SPACING = 2_048
_FACTOR = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1

Numbers = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


def anchors(samples: Samples) -> tuple[Numbers, Places]:
    """The hashes of the anchors in a stretch of samples, and where each begins."""
    if len(samples) < WINDOW:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    hashes = samples.astype(np.uint16).astype(np.uint64) + np.uint64(1)
    factor, width = _FACTOR, 1
    while width < WINDOW:  # the hash of twice as many samples, from two of half as many
        hashes = hashes[:-width] * np.uint64(factor) + hashes[width:]
        factor, width = factor * factor & _MASK, 2 * width
    mixed = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    places = np.flatnonzero(mixed % np.uint64(SPACING) == 0)
    return mixed[places], places


def all_anchors(samples: Samples, block: int = 1 << 20) -> tuple[Numbers, Places]:
    """The anchors of a long recording, block by block, sorted by their hashes."""
    found = [
        (hashes, places + at)
        for at in range(0, len(samples), block)
        for hashes, places in [anchors(samples[at : at + block + WINDOW - 1])]
    ]
    hashes, places = (np.concatenate(one) for one in zip(*found, strict=True))
    order = np.argsort(hashes, kind="stable")
    return hashes[order], places[order]


class Finder:
    """Where pieces of one recording lie."""

    def __init__(self, samples: Samples, hashes: Numbers, places: Places) -> None:
        self._samples = samples
        self._hashes = hashes
        self._places = places

    def offsets(self, piece: Samples) -> Iterator[int]:
        """Where the piece may begin, the likeliest first: an anchor of it lies there, and all its samples fit."""
        tried = set()
        for number, place in zip(*anchors(piece), strict=True):
            first = int(np.searchsorted(self._hashes, number, "left"))
            last = int(np.searchsorted(self._hashes, number, "right"))
            for offset in (int(self._places[at]) - int(place) for at in range(first, last)):
                if offset not in tried and self.fits(piece, offset):
                    yield offset
                tried.add(offset)

    def anywhere(self, piece: Samples) -> Iterator[int]:
        """Where a piece too short for anchors lies, looked for sample by sample."""
        places = np.flatnonzero(self._samples[: len(self._samples) - len(piece) + 1] == piece[0])
        for at in range(1, min(len(piece), WINDOW)):
            places = places[self._samples[places + at] == piece[at]]
        return (int(place) for place in places if self.fits(piece, int(place)))

    def fits(self, piece: Samples, offset: int) -> bool:
        """Whether the recording has exactly these samples there."""
        if offset < 0 or offset + len(piece) > len(self._samples):
            return False
        return bool(np.array_equal(self._samples[offset : offset + len(piece)], piece))
