"""Choosing the pictures of a media file.

Covers: the video stream that a player shows, what of it is refused at once, how large its pictures may be. Loads in
workers only.
Does not cover: opening the file (``container.py``), decoding (``video.py``).
"""

from __future__ import annotations

from typing import Any

from narrowboat.errors import SourceError
from narrowboat.media.container import declared_duration

#: Pixels: 8K of television (7680 × 4320) and the larger one of cinemas (8192 × 4320).
MOST_PIXELS = 8192 * 4320
LEAST_SIDE = 16  # pixels: below nobody can be seen
_PROTECTED = {"encv", "drmi", "drms"}
_HINT = "give a video file, such as mp4, mov, mkv, webm or avi"


def video_stream(container: Any, name: str, index: int | None = None) -> Any:
    """The stream with the pictures: number ``index``, else the one that FFmpeg and players choose.

    Raises:
        SourceError: there is none, or it is protected, or nothing here can decode it, or its pictures are too large or
            too small. Fact ``reason``: ``no_video``, ``protected``, ``no_decoder``, ``too_large``, ``too_small``,
            ``damaged``.
    """
    streams = [s for s in container.streams.video if not s.disposition & type(s.disposition).attached_pic]
    if index is not None:
        streams = [s for s in streams if s.index == index]
    if not streams:
        held = "sound but no video" if container.streams.audio else "no video"
        raise SourceError(f"{name} holds {held}", hint=_HINT, reason="no_video")
    best = container.streams.best("video")
    ranked = sorted(streams, key=lambda s: s is not best)
    stream = next((s for s in ranked if s.codec_context is not None and s.codec_context.is_decoder), None)
    if stream is None:
        raise SourceError(f"{name} holds video in a coding that can't be decoded here", reason="no_decoder")
    if stream.codec_context.codec_tag in _PROTECTED:
        raise SourceError(
            f"{name} is protected (DRM) and can't be decoded", hint="use a copy without protection", reason="protected"
        )
    check_size(stream.codec_context.width, stream.codec_context.height, name)
    return stream


def check_size(width: int, height: int, name: str) -> None:
    """See that pictures of so many pixels can be worked on.

    Raises:
        SourceError: they can't.
    """
    size, most = f"{width} × {height} pixels", f"{MOST_PIXELS // 10**6} million pixels (8K)"
    if width <= 0 or height <= 0:
        # FFmpeg forgets sizes that it could not count the bytes of.
        raise SourceError(
            f"{name} holds no video that can be read: its pictures have no size, or one far above {most}",
            reason="damaged",
        )
    if width * height > MOST_PIXELS:
        raise SourceError(
            f"{name} has pictures of {size}: at most {most} are read",
            hint="scale it down first",
            reason="too_large",
        )
    if min(width, height) < LEAST_SIDE:
        raise SourceError(
            f"{name} has pictures of {size}: too small to see anybody, {LEAST_SIDE} are needed each way",
            reason="too_small",
        )


def limit_size(stream: Any, pixels: int = MOST_PIXELS) -> None:
    """Have the decoder refuse pictures with more pixels than that, before it makes room for one."""
    stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(pixels)}


def stream_length(container: Any, stream: Any) -> float | None:
    """Seconds that the stream's pictures must reach; None where the container does not say it of this stream."""
    if stream.duration is None or container.format.name == "matroska,webm":
        return None
    return declared_duration(container, stream)
