"""Makes small media files of every kind, from a seeded signal."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

#: suffix -> container format, codec, sample rate, channels, with moving pictures
KINDS: dict[str, tuple[str, str, int, str, bool]] = {
    "wav": ("wav", "pcm_s16le", 44100, "stereo", False),
    "aiff": ("aiff", "pcm_s16be", 22050, "mono", False),
    "flac": ("flac", "flac", 44100, "mono", False),
    "mp3": ("mp3", "libmp3lame", 44100, "stereo", False),
    "aac": ("adts", "aac", 44100, "mono", False),
    "m4a": ("mp4", "aac", 44100, "mono", False),
    "ogg": ("ogg", "libopus", 48000, "mono", False),
    "webm": ("webm", "libopus", 48000, "stereo", False),
    "mka": ("matroska", "flac", 16000, "mono", False),
    "mp4": ("mp4", "aac", 48000, "stereo", True),
    "mkv": ("matroska", "aac", 44100, "mono", True),
    "avi": ("avi", "pcm_s16le", 16000, "mono", True),
}


@cache
def signal(seconds: float, rate: int, tone: float = 440.0) -> Any:
    """A tone with a little noise, so that no coder finds it too easy."""
    times = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(1).standard_normal(len(times)) * 500
    return (8000 * np.sin(2 * np.pi * tone * times) + noise).astype(np.int16)


def frames(samples: Any, rate: int, layout: str, start: int = 0, size: int = 1024) -> Any:
    for at in range(0, len(samples), size):
        piece = samples[at : at + size]
        if layout == "stereo":
            piece = np.repeat(piece, 2)
        frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        frame.pts = start + at
        yield frame


def encode(container: Any, stream: Any, samples: Any, start: int = 0) -> None:
    """Samples into an audio stream, from position ``start``."""
    for frame in frames(samples, stream.rate, stream.layout.name, start):
        container.mux(stream.encode(frame))


def make(path: Path, seconds: float = 5.0, kind: str | None = None, **options: str) -> Path:
    """A file with ``seconds`` of sound; ``kind`` is the suffix unless given."""
    container, codec, rate, layout, pictures = KINDS[kind or path.suffix[1:]]
    with av.open(str(path), "w", format=container, options=options) as output:
        video = video_stream(output) if pictures else None
        stream = output.add_stream(codec, rate=rate, layout=layout)
        if video:
            add_pictures(output, video, seconds)
        encode(output, stream, signal(seconds, rate))
        output.mux(stream.encode(None))
    return path


def video_stream(output: Any) -> Any:
    video = output.add_stream("mpeg4", rate=10)
    video.width = video.height = 32
    video.pix_fmt = "yuv420p"
    return video


def add_pictures(output: Any, video: Any, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        output.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
    output.mux(video.encode(None))
