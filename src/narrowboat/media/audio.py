"""Reading the sound of any audio or video file, in constant memory.

Covers: :func:`blocks` (16 kHz mono samples); the step :func:`probe` is here too, by name. Loads in workers only.
Does not cover: opening and choosing (``container.py``), whether the file is whole (``probe.py``), voice detection
(``engines/``).

Time: sample 0 is where the container starts, as for a player, so that captions fit a video whose sound begins
late. Where the timestamps leave out more than :data:`GAP` seconds (a muted call, lost packets, frames that can't
be decoded), silence is put in, up to :data:`LONGEST_GAP` seconds a gap and :data:`MOST_SILENCE` in all; a longer
jump is taken for a broken clock and ignored. Timestamps that run backwards never drop sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from narrowboat.media.container import (
    BARE,
    GAP,
    audio_stream,
    declared_duration,
    one_thread,
    opened,
    shown,
    undecodable,
)
from narrowboat.media.decoding import check_length, decoded
from narrowboat.media.probe import probe

__all__ = ["BLOCK", "RATE", "blocks", "probe"]

RATE = 16_000  # Hz, of the samples that blocks() gives
BLOCK = 8_000  # samples: 0.5 s
COLLECTED = 8_192  # samples of the source that are resampled at once
LONGEST_GAP = 3_600  # seconds
MOST_SILENCE = 86_400  # seconds

Samples = npt.NDArray[np.int16]


def blocks(path: str | Path, stream: int, start_sample: int = 0, name: str | None = None) -> Iterator[Samples]:
    """The sound of audio stream ``stream`` as mono int16 samples at 16 kHz, :data:`BLOCK` samples at a time.

    The last block is shorter. ``start_sample`` gives exactly the samples that a run from the start gives from
    there on: all before is decoded and thrown away (about 500 times as fast as it is spoken), since seeking is not
    exact in most formats. Messages call the file ``name``, else by its file name.

    Raises:
        SourceError: nothing, or less than the container declares, could be decoded, or too many of the frames are
            damaged. Fewer are skipped and logged.
    """
    name = name or shown(path)
    try:
        yield from _reblocked(_timeline(str(path), stream, name), start_sample)
    except av.error.MemoryError:
        raise MemoryError from None
    except (av.error.FFmpegError, ValueError) as error:
        raise undecodable(name, error) from None


def _reblocked(pieces: Iterator[Samples], skip: int) -> Iterator[Samples]:
    """Pieces of any length as blocks, without the first ``skip`` samples."""
    held: list[Samples] = []
    size = 0
    for samples in pieces:
        if skip >= len(samples):
            skip -= len(samples)
            continue
        held.append(samples[skip:])
        size += len(samples) - skip
        skip = 0
        if size >= BLOCK:
            joined = np.concatenate(held)
            full = size - size % BLOCK
            for at in range(0, full, BLOCK):
                yield joined[at : at + BLOCK].copy()
            held, size = [joined[full:]], size - full
    if size:
        yield np.concatenate(held)


def _timeline(path: str, index: int, name: str) -> Iterator[Samples]:
    """Decoded and resampled sound, with silence where the timestamps leave something out."""
    position = silence = 0  # samples given so far, and those of them that were put in
    last = 0.0  # seconds, as the timestamps say
    resampler = _Resampler()
    with opened(path, name) as container:
        stream = audio_stream(container, name, index)
        one_thread(stream)
        begin = None if container.start_time is None else container.start_time / av.time_base
        declared = _promise(container, stream)
        for frame in decoded(container, stream, name, "sound"):
            if frame.time is not None:
                begin = frame.time if begin is None else begin
                last = frame.time - begin
            if _missing(last, position + resampler.pending) and silence < MOST_SILENCE * RATE:
                # What the resampler still holds is sound from before the gap.
                for samples in resampler.flush():
                    position += len(samples)
                    yield samples
                missing = _missing(last, position)
                silence += missing
                position += missing
                yield from _silence(missing)
            for samples in resampler.push(frame):
                position += len(samples)
                yield samples
        for samples in resampler.flush():
            position += len(samples)
            yield samples
    reached = max(position / RATE, last)
    if declared is not None:
        check_length(name, "sound", reached, declared)


def _promise(container: Any, stream: Any) -> float | None:
    """The seconds of sound that must come; None where the container does not say it of this stream."""
    vague = container.format.name in BARE - {"flac"} | {"matroska,webm"}
    return None if vague else declared_duration(container, stream)


def _missing(time: float, position: int) -> int:
    """How many samples lie between ``position`` and ``time`` in seconds; 0 where that is no gap."""
    missing = round(time * RATE) - position
    return missing if GAP * RATE < missing <= LONGEST_GAP * RATE else 0


def _silence(samples: int) -> Iterator[Samples]:
    while samples > 0:
        yield np.zeros(min(samples, BLOCK), dtype=np.int16)
        samples -= BLOCK


class _Resampler:
    """To 16 kHz mono int16; goes on when the format changes in the middle of a file."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._resampler: Any = None
        self._fifo: Any = None
        self._in, self._rate = 0, RATE  # samples pushed, and their rate
        self._out = 0

    @property
    def pending(self) -> int:
        """Samples that have gone in and not come out."""
        return self._in * RATE // self._rate - self._out

    def push(self, frame: Any) -> Iterator[Samples]:
        """What comes out when ``frame`` goes in: often nothing, since frames are collected."""
        key = (frame.sample_rate, frame.format.name, frame.layout.name, frame.layout.nb_channels)
        if key != self._key:
            yield from self.flush()
            self._key = key
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            self._fifo = av.AudioFifo()
        frame.pts = None  # the timeline above keeps the time
        self._in, self._rate = self._in + frame.samples, frame.sample_rate
        self._fifo.write(frame)
        while self._fifo.samples >= COLLECTED:  # a call costs more than a frame
            yield from self._convert(self._fifo.read(COLLECTED))

    def flush(self) -> Iterator[Samples]:
        """What is still held back; the next frame starts afresh."""
        if self._resampler is not None:
            if self._fifo.samples:
                yield from self._convert(self._fifo.read(0, partial=True))
            yield from self._convert(None)
        self._resampler, self._fifo, self._in, self._out = None, None, 0, 0

    def _convert(self, frame: Any) -> Iterator[Samples]:
        for converted in self._resampler.resample(frame):
            samples: Samples = converted.to_ndarray().reshape(-1)
            self._out += len(samples)
            yield samples
