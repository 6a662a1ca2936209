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

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from narrowboat import context, disk
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
    """A piece, of pictures such as ``picture``, with timestamps in ``facts["unit"]`` seconds.

    It grows in memory, so that room on the disk is asked for as much as it needs: 1.4 MiB for a second at 1080 × 1920.
    """

    def __init__(self, picture: Picture, facts: dict[str, Any]) -> None:
        self._unit = Fraction(*facts["unit"])
        self._last = -(1 << 62)
        self._made = io.BytesIO()
        rate = Fraction(max(1.0, facts["rate"])).limit_denominator(1001)
        self._container = av.open(self._made, "w", format="nut")
        self._stream: Any = self._container.add_stream(ENCODER, rate=rate, options=_OPTIONS)
        coding: Any = self._stream.codec_context
        coding.width, coding.height = even(picture.width), even(picture.height)
        coding.pix_fmt = "yuvj420p" if picture.full_range else "yuv420p"
        coding.time_base = self._unit
        coding.thread_count, coding.thread_type = 1, "NONE"
        coding.gop_size = 1 << 20  # whole pictures where pieces begin, and nowhere else
        coding.sample_aspect_ratio = Fraction(picture.aspect).limit_denominator(255)
        source = picture.frame
        coding.colorspace, coding.color_primaries = source.colorspace, source.color_primaries
        coding.color_trc = source.color_trc

    def add(self, frame: Any, pts: int) -> None:
        """Encode a picture; ``pts`` is raised where it is not after the one before."""
        self._last = frame.pts = max(pts, self._last + 1)
        frame.time_base = self._unit
        self._container.mux(self._stream.encode(frame))

    def write(self, path: Path) -> None:
        """End the piece, and put it into a file in scratch.

        Raises:
            DiskFull: there is no room.
        """
        self._container.mux(self._stream.encode(None))
        self._container.close()
        piece = self._made.getbuffer()
        context.make_room(path, len(piece), "the overlay")
        try:
            path.write_bytes(piece)
        except OSError as error:
            if error.errno in disk.FULL:
                raise disk.full(path, "the overlay") from None
            raise
