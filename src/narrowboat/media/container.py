"""Opening a media file and choosing its audio stream.

Covers: which containers are let in, one clear sentence for a file that can't be opened, the right stream of a
video file. Loads in workers only.
Does not cover: how one sees that a file is whole (``whole.py``), decoding (``audio.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.logging

from narrowboat.errors import SourceError
from narrowboat.media import whole

#: Demuxers that read one local file as media. Playlists, image sequences, subtitles, raw video and everything
#: that can open further files or addresses are left out.
CONTAINERS = (
    "3dostr,aac,ac3,aea,aiff,amr,amrnb,amrwb,ape,asf,au,avi,avr,caf,dsf,dss,dts,dtshd,dv,eac3,flac,flv,gsm,gxf,hcom,"
    "iff,ircam,loas,lxf,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,mxf,nistsphere,nut,ogg,oma,pvf,"
    "qcp,rm,shn,sox,spx,tak,truehd,tta,voc,w64,wav,wtv,wv,xwma"
)
#: Sample entries of protected tracks: Common Encryption, FairPlay, Audible.
PROTECTED = {"enca", "drms", "drmi", "aavd", "adrm"}
MOST_CHANNELS = 64
MOST_RATE = 768_000  # Hz; the highest that any container here is made for
#: Streams without a container's index: their length is only known by going through the packets.
BARE = {"mp3", "aac", "flac", "ac3", "eac3", "amr", "amrnb", "amrwb", "loas"}
AGAIN = "fetch or export the file again"
#: Seconds; less is rounding, more is sound that is not there.
GAP = 0.1
_HINT = "give an audio or video file, such as mp3, m4a, wav, flac, ogg, mp4 or mkv"

logging.getLogger("libav").addHandler(logging.NullHandler())
logging.getLogger("libav").propagate = False
av.logging.set_level(av.logging.ERROR)


def shown(path: str | Path) -> str:
    """The file's name as it can be printed: bytes that are no UTF-8 are replaced."""
    return Path(path).name.encode("utf-8", "replace").decode()


def last_words(error: BaseException) -> str:
    """What FFmpeg said last, or else ``error`` in words; never a path."""
    said = av.logging.get_last_error()[1]
    text = said[2].strip() if said else getattr(error, "strerror", None) or str(error)
    return text.rstrip(".") or type(error).__name__


def _cannot_open(name: str, path: str, error: BaseException) -> SourceError:
    with Path(path).open("rb") as file:
        start = file.read(512)
    if b"ftyp" in start[:12] or b"moov" in start[:12]:
        return SourceError(
            f"{name} is cut short or damaged: the index of this MP4 file is missing or unreadable",
            hint="fetch or export the file again",
            reason="truncated",
        )
    if isinstance(error, av.error.ArgumentError) or _is_text(start):
        return SourceError(f"{name} is not media: it reads as text or a playlist", hint=_HINT, reason="not_media")
    return SourceError(f"{name} is not media that can be read: {last_words(error)}", hint=_HINT, reason="not_media")


def _is_text(start: bytes) -> bool:
    text = start.decode("utf-8", errors="ignore")
    return bool(text) and len(text.encode()) > 0.9 * len(start) and all(c.isprintable() or c.isspace() for c in text)


@contextmanager
def whole_file(path: str, name: str) -> Iterator[tuple[BinaryIO, int]]:
    """The open file and its size in bytes, once its structure shows nothing missing.

    Raises:
        SourceError: it can't be read, is empty (``reason`` ``empty``) or cut short (``truncated``).
    """
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, 2)
            if size == 0:
                raise SourceError(f"{name} is empty (0 bytes)", reason="empty")
            if why := whole.cut(file, size):
                raise truncated(name, why)
            yield file, size
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror or error}") from None


@contextmanager
def opened(path: str, name: str | None = None) -> Iterator[Any]:
    """The file as an ``av`` input container, closed at the end.

    Raises:
        SourceError: it can't be opened as media; ``name`` (else the file's name) is in the sentence.
    """
    name = name or shown(path)
    try:
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        container = av.open(path, options=options, metadata_errors="replace")
    except av.error.MemoryError:
        raise MemoryError from None
    except OSError as error:
        if isinstance(error, av.error.FileNotFoundError | av.error.PermissionError):
            raise SourceError(f"{name} can't be read: {error.strerror}") from None
        raise _cannot_open(name, path, error) from None
    except (av.error.FFmpegError, ValueError) as error:
        raise _cannot_open(name, path, error) from None
    with container:
        yield container


def audio_stream(container: Any, name: str, index: int | None = None) -> Any:
    """The audio stream to hear: number ``index``, else the one that FFmpeg and players choose.

    That is the default one of several, then the one with the most channels and the highest bit rate.

    Raises:
        SourceError: there is none, or it is protected, or nothing here can decode it.
    """
    streams = list(container.streams.audio)
    if not streams:
        held = "video but no sound" if has_video(container) else "no audio"
        raise SourceError(f"{name} holds {held}", hint=_HINT, reason="no_audio")
    if index is not None:
        chosen = next((s for s in streams if s.index == index), None)
        if chosen is None:
            raise SourceError(f"{name} has no audio stream {index}", reason="no_audio")
        streams = [chosen]
    best = container.streams.best("audio") if index is None else streams[0]
    ranked = [best, *(s for s in streams if s is not best)] if best is not None else streams
    stream = next((s for s in ranked if _decoder(s)), None)
    if stream is None:
        raise SourceError(f"{name} holds audio in a coding that can't be decoded here", reason="no_decoder")
    _check(stream.codec_context, name)
    return stream


def _decoder(stream: Any) -> bool:
    context = stream.codec_context
    return context is not None and context.is_decoder


def _check(context: Any, name: str) -> None:
    if context.codec_tag in PROTECTED:
        raise SourceError(
            f"{name} is protected (DRM) and can't be decoded",
            hint="use a copy without protection",
            reason="protected",
        )
    if not 0 < context.sample_rate <= MOST_RATE:
        raise SourceError(
            f"{name} holds no sound that can be read (sample rate {context.sample_rate} Hz)", reason="damaged"
        )
    if not 0 < context.channels <= MOST_CHANNELS:
        raise SourceError(
            f"{name} has {context.channels} audio channels; 1 to {MOST_CHANNELS} can be read", reason="damaged"
        )


def has_video(container: Any) -> bool:
    """Whether there are moving pictures; cover art does not count."""
    return any(not s.disposition & type(s.disposition).attached_pic for s in container.streams.video)


def declared_duration(container: Any, stream: Any) -> float | None:
    """Seconds from the container's start to the end of its sound, as far as headers say."""
    if container.format.name == "matroska,webm" or stream.duration is None:
        if not container.duration:
            return None
        # Matroska counts from 0, wherever its first timestamp is.
        late = max(0, container.start_time or 0) if container.format.name == "matroska,webm" else 0
        return float(container.duration - (late if late > GAP * av.time_base else 0)) / av.time_base
    late = 0.0
    if stream.start_time is not None and container.start_time is not None:
        late = max(0.0, float(stream.start_time * stream.time_base) - container.start_time / av.time_base)
    return float(stream.duration * stream.time_base) + (late if late > GAP else 0.0)


def one_thread(stream: Any) -> None:
    """Decode in this thread alone."""
    # More threads cost a buffer each and gain nothing on audio.
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"


def truncated(name: str, why: str) -> SourceError:
    """The error for a file that is not all there; ``why`` is half a sentence."""
    return SourceError(f"{name} is cut short: {why}", hint=AGAIN, reason="truncated")


def undecodable(name: str, error: BaseException) -> SourceError:
    """The error for sound that breaks off or can't be decoded at all."""
    return SourceError(f"{name} can't be decoded: {last_words(error)}", hint=AGAIN, reason="damaged")
