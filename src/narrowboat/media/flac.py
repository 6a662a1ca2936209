"""Writing 16 kHz mono sound as FLAC, as it comes, in constant memory.

Covers: the encoder and its file; how large a file can get. Loads in workers only.
Does not cover: where a file begins and ends (``pipelines/transcribe/cutting``), reading it (``audio.py``).

FLAC loses nothing, every speech engine takes it, and it is the cheapest to make: two hours cost 3 CPU s beside the
4 of decoding an mp3, where Opus costs three times as much and MP3 five. On 20 minutes of dictation, CPU seconds and MB
by compression level: 0: 1.4 and 17.8 (its frames are tiny at 16 kHz); 3: 0.50 and 15.4; 5: 0.53 and 15.3; 8: 0.87 and
15.1.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from narrowboat import allocator
from narrowboat.media.audio import RATE, Samples

MIME = "audio/flac"
_LEVEL = "5"
#: Bytes of the file beside its frames: marks, stream information, and what FFmpeg leaves for tags.
_HEAD = 8_256
#: What noise costs: a sample is two bytes, and each frame of 1152 has a head of its own.
_WORST = 2.02


def most_bytes(samples: int) -> int:
    """How large a file of so many samples can get, of sound that does not compress at all."""
    return _HEAD + round(samples * _WORST)


class FlacFile:
    """A FLAC file being written; a context manager that closes it. The same samples give the same bytes.

    Attributes:
        bytes: how large the file is, without the samples that the encoder waits for more of.
    """

    def __init__(self, path: Path) -> None:
        allocator.keep_small()  # an encoder takes 7 MiB; in the heap the next one does not always fit where it was
        self.bytes = _HEAD
        self._given = 0  # samples
        self._rest = np.zeros(0, np.int16)
        # Without bitexact there would be FFmpeg's version in it.
        self._output: Any = av.open(str(path), "w", format="flac", options={"fflags": "+bitexact"})
        self._stream: Any = self._output.add_stream("flac", rate=RATE, layout="mono")
        self._stream.codec_context.format = "s16"
        self._stream.codec_context.options = {"compression_level": _LEVEL}
        self._stream.codec_context.open()
        self._output.start_encoding()  # the file is there from now on

    def write(self, samples: Samples) -> None:
        """Add samples. How they are parted does not matter."""
        self._rest = np.concatenate([self._rest, samples])
        size = self._stream.codec_context.frame_size
        whole = len(self._rest) - len(self._rest) % size
        for at in range(0, whole, size):
            self._encode(self._rest[at : at + size])
        self._rest = self._rest[whole:].copy()

    def __enter__(self) -> FlacFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is None:
                if len(self._rest):
                    self._encode(self._rest)
                self._mux(None)
        finally:
            self._output.close()
            self._stream = self._output = None  # they hold each other, and the encoder's 7 MB

    def _encode(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, self._given
        self._given += len(samples)
        self._mux(frame)

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self.bytes += packet.size
            self._output.mux(packet)
