"""The samples of a sound file, as they are in it.

Covers: FLAC, WAV and what else PyAV reads, as mono 16-bit samples in blocks. Does not cover: other rates than 16 kHz,
which are refused: where a chunk lies is found by its samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from fakes.questions import NotHeard

Samples = npt.NDArray[np.int16]
RATE = 16_000


def blocks(path: Path, what: str = "the file") -> Iterator[Samples]:
    """The samples, frame by frame.

    Raises:
        NotHeard: it can't be decoded, or is not mono at 16 kHz.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise NotHeard(f"{what} has no sound")
            stream = container.streams.audio[0]
            if stream.rate != RATE or stream.channels != 1:
                raise NotHeard(f"{what} has {stream.rate} Hz and {stream.channels} channels, not 16000 Hz and one")
            resampler = av.AudioResampler("s16", "mono", RATE)
            for frame in container.decode(stream):
                for part in resampler.resample(frame):
                    yield part.to_ndarray().reshape(-1).astype(np.int16, copy=False)
    except av.error.FFmpegError as error:
        raise NotHeard(f"{what} can't be decoded: {error}") from None
