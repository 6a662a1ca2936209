"""Finding out what an audio or video file is, and whether it is whole, before anything is computed.

Covers: the step :func:`probe`; the walk over the packets of bare streams. Loads in workers only.
Does not cover: what structure shows (``whole.py``; it says what can't be detected), decoding (``audio.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import av

from narrowboat.errors import SourceError
from narrowboat.media import whole
from narrowboat.media.container import (
    BARE,
    audio_stream,
    declared_duration,
    has_video,
    one_thread,
    opened,
    shown,
    truncated,
    undecodable,
    whole_file,
)


def probe(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the facts of the audio or video file ``inputs["path"]``. Only its first and last frame are decoded.

    ``inputs["name"]`` is what messages call the file; by default its file name.

    Returns:
        ``duration`` (seconds; exact but for containers that only say it roughly), ``container``, ``codec``,
        ``sample_rate`` (Hz), ``channels``, ``stream`` (the one to give to :func:`blocks`), ``streams`` (how many
        carry audio), ``bytes``, ``bit_rate`` (bits a second, of the file), ``has_video``, ``title`` (or None),
        ``index_entries`` (what an open file keeps in memory, at 40 bytes each: 17 MiB for three hours of MP4).

    Raises:
        SourceError: missing, empty, not media, no audio, protected, without a decoder, silent (0 s), or cut short.
            Fact ``reason`` is one of ``empty``, ``not_media``, ``no_audio``, ``no_decoder``, ``protected``,
            ``damaged``, ``truncated``.
    """
    path = str(inputs["path"])
    name = inputs.get("name") or shown(path)
    with whole_file(path, name) as (file, size):
        return _facts(path, name, size, file)


def _facts(path: str, name: str, size: int, file: BinaryIO) -> dict[str, Any]:
    with opened(path, name) as container:
        stream = audio_stream(container, name)
        codec = stream.codec_context
        facts = {
            "container": container.format.name,
            "codec": codec.codec.canonical_name,
            "sample_rate": codec.sample_rate,
            "channels": codec.channels,
            "stream": stream.index,
            "streams": len(container.streams.audio),
            "bytes": size,
            "has_video": has_video(container),
            "index_entries": sum(len(each.index_entries) for each in container.streams),
            "title": _title(container.metadata),
        }
        duration = declared_duration(container, stream)
        bare = container.format.name in BARE
    _first_frame(path, name, facts["stream"])
    if bare or duration is None or duration * 12 > size:  # below 100 bits a second nobody speaks
        duration = _walk(path, name, facts["stream"], size, whole.declared(file))
    if duration <= 0:
        raise SourceError(f"{name} holds no sound (0 s)", reason="no_audio")
    return {"duration": round(duration, 6), **facts, "bit_rate": round(size * 8 / duration)}


def _title(metadata: dict[str, str]) -> str | None:
    title = next((value for key, value in metadata.items() if key.lower() == "title"), "")
    return "".join(c for c in title if c.isprintable()).strip()[:200] or None


def _first_frame(path: str, name: str, index: int) -> None:
    """Decode until the first frame comes, so that what only looks like media is refused."""
    with opened(path, name) as container:
        stream = audio_stream(container, name, index)
        one_thread(stream)
        try:
            for count, packet in enumerate(container.demux(stream)):
                try:
                    if packet.decode():
                        return
                except av.error.InvalidDataError:
                    pass
                if count > 500:
                    break
        except av.error.FFmpegError as error:
            raise undecodable(name, error) from None
    raise SourceError(f"{name} holds no sound that can be decoded", reason="not_media")


@dataclass(slots=True)
class _Walked:
    """What a walk over the packets found."""

    kind: str  # FFmpeg's name of the decoder
    frames: int = 0
    first: int | None = None  # timestamps in the stream's time base
    end: int = 0
    last: Any = None  # packet
    seconds: float = 0.0


def _walk(path: str, name: str, index: int, size: int, promised: whole.Declared) -> float:
    """Go through all packets, undecoded, and hold them against what the header promises; the seconds found."""
    with opened(path, name) as container:
        stream = audio_stream(container, name, index)
        trimmed = float(stream.duration * stream.time_base) if stream.duration else None
        walked = _Walked(kind=stream.codec_context.name)
        try:
            _take_packets(container, stream, walked)
        except av.error.FFmpegError as error:
            raise undecodable(name, error) from None
        if walked.last is None or walked.first is None:
            return 0.0
        walked.seconds = float((walked.end - walked.first) * stream.time_base)
        why = _short_stream(walked, promised, size, stream.codec_context.sample_rate) or _short_frame(walked)
        if why is None and walked.kind == "flac" and not _flac_frame_is_whole(stream, walked.last):
            why = "its last frame is incomplete"
        if why:
            raise truncated(name, why)
    # With such a header the demuxer knows what the encoder padded with, to the sample.
    exact = walked.kind.startswith("mp3") and promised.frames is not None and walked.frames <= promised.frames + 1
    return trimmed if exact and trimmed else walked.seconds


def _take_packets(container: Any, stream: Any, walked: _Walked) -> None:
    for packet in container.demux(stream):
        if not packet.size:
            continue
        walked.frames += 1
        walked.last = packet
        if packet.pts is not None:
            walked.first = packet.pts if walked.first is None else walked.first
            walked.end = packet.pts + (packet.duration or 0)


def _short_stream(walked: _Walked, promised: whole.Declared, size: int, rate: int) -> str | None:
    if walked.kind.startswith("mp3") and promised.frames is not None:
        # Encoders differ on whether the header's own frame counts, so one frame alone proves nothing.
        if promised.bytes is None:
            short = walked.frames < 0.99 * promised.frames - 1
        else:
            short = walked.frames < promised.frames - 1 and size - promised.at < promised.bytes
        return f"its header promises {promised.frames} frames, and {walked.frames} are there" if short else None
    found = round(walked.seconds * rate)
    if promised.samples is not None and found < promised.samples - 1:
        return f"its header promises {promised.samples} samples, and {found} are there"
    return None


def _short_frame(walked: _Walked) -> str | None:
    start = bytes(walked.last)[:8]
    length = whole.adts_frame_bytes(start) if walked.kind.startswith("aac") else None
    if walked.kind.startswith(("mp1", "mp2", "mp3")):
        length = whole.mpeg_frame_bytes(start)
    missing = (length or 0) - walked.last.size
    return f"it ends within a frame, {missing} bytes before the end of that" if missing > 0 else None


def _flac_frame_is_whole(stream: Any, packet: Any) -> bool:
    decoder = av.CodecContext.create("flac", "r")
    decoder.extradata = stream.codec_context.extradata
    decoder.options = {"err_detect": "crccheck+explode"}
    try:
        decoder.decode(packet)
    except av.error.FFmpegError:
        return False
    return True
