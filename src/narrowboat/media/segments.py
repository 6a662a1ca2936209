"""Encoding pictures in pieces that can be joined without decoding. Loads in workers only.

Covers: one piece, a file that begins with a whole picture and needs nothing before it.
Does not cover: drawing (``overlay.py``), joining (``joining.py``).

The encoder is x264 as PyAV's wheels bring it, with what costs memory turned off. Measured at 1080 × 1920, in MiB
above what
decoding takes and CPU ms a picture: 39 and 7 as it is used here, 54 and 16 with the preset veryfast, 78 and 39 with
medium, all with one thread and no pictures ahead; by default, with threads and 40 pictures ahead, x264 takes 480
MiB. The coding of MPEG-4 part 2 would take 27 and 4, but browsers don't play it.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from narrowboat import disk
from narrowboat.media.overlay import even
from narrowboat.media.video import Picture

ENCODER = "libx264"
_OPTIONS = {
    "preset": "ultrafast",
    "tune": "zerolatency",
    "crf": "23",
    "x264-params": "threads=1:bframes=0:rc-lookahead=0:sync-lookahead=0:scenecut=0",
}


class Segment:
    """A piece that is being written, of pictures such as ``picture``, with timestamps in ``facts["unit"]`` seconds."""

    def __init__(self, path: Path, picture: Picture, facts: dict[str, Any]) -> None:
        self._path = path
        self._unit = Fraction(*facts["unit"])
        self._last = -(1 << 62)
        rate = Fraction(max(1.0, facts["rate"])).limit_denominator(1001)
        self._container = av.open(str(path), "w", format="nut")
        self._stream: Any = self._container.add_stream(ENCODER, rate=rate, options=_OPTIONS)
        coding: Any = self._stream.codec_context
        coding.width, coding.height = even(picture.width), even(picture.height)
        coding.pix_fmt = "yuvj420p" if picture.full_range else "yuv420p"
        coding.time_base = self._unit
        coding.thread_count, coding.thread_type = 1, "NONE"
        coding.gop_size = 1 << 20  # whole pictures where pieces begin, and nowhere else
        coding.sample_aspect_ratio = Fraction(picture.aspect).limit_denominator(255)
        source = picture.frame
        coding.colorspace, coding.color_primaries, coding.color_trc = (
            source.colorspace,
            source.color_primaries,
            source.color_trc,
        )

    def add(self, frame: Any, pts: int) -> None:
        """Encode a picture; ``pts`` is raised where it is not after the one before.

        Raises:
            DiskFull: there is no room.
        """
        self._last = frame.pts = max(pts, self._last + 1)
        frame.time_base = self._unit
        self._mux(frame)

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except OSError as error:
            if error.errno in disk.FULL:
                raise disk.full(self._path, "the overlay") from None
            raise

    def close(self) -> None:
        """Write what the encoder still holds, and the end of the file."""
        try:
            self._mux(None)
        finally:
            self._container.close()
