"""When the words of a clip are said, told from its loudness.

Covers: the stretches of a clip in which somebody speaks, and its words spread over them by their letters, so that none
spans a pause. Does not cover: real alignment: the times are good to a few tenths of a second, and exact as a reference
for what is answered from them.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from fakes.decoding import RATE, Samples

FRAME = RATE // 100  # 10 ms
#: Pauses shorter than this are within a word; sounds shorter than that are none, in frames.
SHORTEST_PAUSE, SHORTEST_SOUND = 15, 5
#: A frame is loud when it is above this share of the way from the quiet ones to the loud ones, in decibels.
SHARE = 0.3

Span = tuple[int, int]


def stretches(samples: Samples) -> list[Span]:
    """Where somebody speaks, in samples; at least one stretch."""
    count = len(samples) // FRAME
    frames = samples[: count * FRAME].reshape(count, FRAME).astype(np.float32)
    decibels = 10 * np.log10(np.mean(frames * frames, axis=1) + 1)
    low, high = np.percentile(decibels, [10, 95])
    spans = _spans(decibels > low + SHARE * (high - low))
    joined: list[Span] = []
    for start, end in spans:
        if joined and start - joined[-1][1] < SHORTEST_PAUSE:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    kept = [(start * FRAME, end * FRAME) for start, end in joined if end - start >= SHORTEST_SOUND]
    return kept or [(0, len(samples))]


def _spans(loud: npt.NDArray[np.bool_]) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def spread(words: list[str], spans: list[Span]) -> list[Span]:
    """When each word is said: start and end in samples, in order, none outside of a stretch or over two."""
    weights = np.array([len(word) + 1 for word in words], np.float64)
    middles = (np.cumsum(weights) - weights / 2) / weights.sum()
    lengths = np.array([end - start for start, end in spans], np.float64)
    which = np.searchsorted(np.cumsum(lengths) / lengths.sum(), middles)
    timed: list[Span] = []
    for number, (start, end) in enumerate(spans):
        inside = weights[which == number]
        edges = start + np.concatenate([[0.0], np.cumsum(inside)]) / max(inside.sum(), 1) * (end - start)
        timed += [(round(a), round(b)) for a, b in itertools.pairwise(edges)]
    return timed
