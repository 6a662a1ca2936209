"""Finding out what a video file is before anything is computed.

Covers: the step :func:`probe_video`. Only the first picture is decoded. Loads in workers only.
Does not cover: which files are refused for what their structure shows (``whole.py``), reading pictures (``video.py``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from narrowboat.errors import SourceError
from narrowboat.media.container import declared_duration, one_thread, opened, shown, undecodable, whole_file
from narrowboat.media.video_stream import check_size, limit_size, video_stream

_MOST_RATE = 1000.0  # pictures a second; what claims more has a broken header
_ALIGNED = 128  # pixels that decoders may add each way
_TRIED = 500  # packets in which the first picture must come


def probe_video(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the facts of the video file ``inputs["path"]``, which messages call ``inputs["name"]``.

    Returns:
        ``duration`` (seconds, as declared; 0 when it is not), ``rate`` (pictures a second, the mean where it varies),
        ``frames`` (about how many), ``width`` and ``height`` (pixels as seen, after turning), ``coded_pixels`` (of a
        picture in the decoder, at most), ``quarters`` (quarter turns against the clock that make it upright),
        ``aspect`` (a pixel's width by its height, as seen), ``interlaced``, ``unit`` (seconds of a timestamp's step,
        as two numbers), ``codec``, ``pixel_format``, ``stream``, ``audio`` (name of the coding of its sound, or
        None), ``container``, ``bytes``.

    Raises:
        SourceError: missing, empty, not media, no video, protected, without a decoder, cut short, too large or too
            small.
    """
    path = str(inputs["path"])
    name = inputs.get("name") or shown(path)
    with whole_file(path, name) as (_, size):
        return {**_facts(path, name), "bytes": size}


def _facts(path: str, name: str) -> dict[str, Any]:
    with opened(path, name) as container:
        stream = video_stream(container, name)
        limit_size(stream)
        one_thread(stream)
        try:
            frame = _first(container, stream, name)
        except av.error.MemoryError:
            raise MemoryError from None
        except av.error.FFmpegError as error:
            raise undecodable(name, error) from None
        check_size(frame.width, frame.height, name)
        quarters = round(frame.rotation / 90) % 4
        rate = _rate(stream)
        duration = max(0.0, declared_duration(container, stream) or 0.0)
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        audio = container.streams.best("audio")
        turned = bool(quarters % 2)
        return {
            "duration": round(duration, 6),
            "rate": rate,
            "frames": stream.frames or round(duration * rate),
            "width": frame.height if turned else frame.width,
            "height": frame.width if turned else frame.height,
            "coded_pixels": (frame.width + _ALIGNED) * (frame.height + _ALIGNED),
            "quarters": quarters,
            "aspect": 1 / aspect if turned else aspect,
            "interlaced": bool(frame.interlaced_frame),
            "codec": stream.codec_context.codec.canonical_name,
            "pixel_format": frame.format.name,
            "stream": stream.index,
            "unit": [stream.time_base.numerator, stream.time_base.denominator],
            "audio": None if audio is None else audio.codec_context.name,
            "container": container.format.name,
        }


def _rate(stream: Any) -> float:
    """The mean where the container knows it, else what it guesses, else 25."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= _MOST_RATE:
            return float(Fraction(rate))
    return 25.0


def _first(container: Any, stream: Any, name: str) -> Any:
    damage: SourceError | None = None
    for count, packet in enumerate(container.demux(stream)):
        try:
            if frames := packet.decode():
                return frames[0]
        except av.error.InvalidDataError as error:
            damage = damage or undecodable(name, error)
        if count > _TRIED:
            break
    raise damage or SourceError(f"{name} holds no pictures that can be decoded", reason="not_media")
