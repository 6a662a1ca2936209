"""Sound for the tests of the speech engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


def in_blocks(sound: Samples, size: int = 8000) -> Iterator[Samples]:
    for start in range(0, len(sound), size):
        yield sound[start : start + size]


def read_sound(path: Path) -> Samples:
    """A whole file as int16 mono 16 kHz; short files only."""
    parts = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", 16_000)
        for frame in container.decode(audio=0):
            parts += [out.to_ndarray()[0] for out in resampler.resample(frame)]
        parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(parts)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * 16_000), np.int16)
