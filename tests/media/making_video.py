"""Makes small videos of every kind: a square that moves, so that each picture differs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from making import encode, signal


def square(number: int, width: int, height: int) -> tuple[int, int, int]:
    """Where the square of a picture is: left, top, side."""
    side = max(1, height // 3)
    return (7 * number) % max(1, width - side), (3 * number) % max(1, height - side), side


def picture(number: int, width: int, height: int) -> Any:
    """A grey picture with a bright square whose place tells the number."""
    pixels = np.full((height, width, 3), 60, np.uint8)
    left, top, side = square(number, width, height)
    pixels[top : top + side, left : left + side] = (230, 120 + number % 100, 40)
    return av.VideoFrame.from_ndarray(pixels, format="rgb24")


@contextlib.contextmanager
def _scheduled_as_before() -> Iterator[None]:
    """SVT-AV1 makes the whole process a real-time one where that is root's. What later tests start would be one too,
    and the guard gets no turn while a hog of theirs runs.
    """
    policy, how = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, how)


def make_video(
    path: Path,
    frames: int = 30,
    size: tuple[int, int] = (128, 96),
    *,
    codec: str = "libx264",
    container: str | None = None,
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    times: Sequence[int] | None = None,
    turned: int = 0,
    sound: str | None = None,
    index_first: bool = False,
    **options: str,
) -> Path:
    """A video of so many pictures.

    Args:
        times: of the pictures in milliseconds, for a varying rate.
        turned: degrees for players.
        sound: codec of its sound.
        index_first: of an MP4 file, as for the web.
    """
    muxing = {"movflags": "faststart"} if index_first else {}
    with _scheduled_as_before(), av.open(str(path), "w", format=container, options=muxing) as output:
        video: Any = output.add_stream(codec, rate=rate, options={"threads": "1", **options})
        video.width, video.height = size
        video.pix_fmt = pix_fmt
        if turned:
            video.set_display_rotation(turned)
        if times:
            video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        audio: Any = output.add_stream(sound, rate=48000, layout="mono") if sound else None
        for number in range(frames):
            frame = picture(number, *size).reformat(format=pix_fmt)
            frame.pts = times[number] if times else number
            frame.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio:
            encode(output, audio, signal(frames / rate, 48000))
            output.mux(audio.encode(None))
    return path
