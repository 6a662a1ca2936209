"""Whether somebody speaks, and the best place to cut: in the longest pause.

Covers: voice detection frame by frame, and the place for a cut among frames.
Does not cover: what is cut, and how long it may be (``speech/voice``, ``pipelines/transcribe/cutting``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from earshot import Detector

from narrowboat.engines.speech.mel import RATE

Samples = npt.NDArray[np.int16]

FRAME = 256  # samples that the detector takes at a time


def frames(seconds: float) -> int:
    """How many frames last so long."""
    return round(seconds * RATE / FRAME)


SPEECH = 0.5  # the detector's probability from which on a frame counts as speech
ONSET = 3  # speech frames in a row that are speech; fewer are a click
PAUSE = frames(0.13)  # a shorter silence is none; without any, the quietest place is taken
PAUSE_BELOW = 0.4  # the detector's probability in each frame of a pause
LAG = frames(0.1)  # by which the detector hears a beginning and an end late
_QUIET = 8  # frames on either side over which quietness is averaged


class Ear:
    """Hears one stretch of sound, whose beginning is the beginning of all it knows.

    Attributes:
        spoken: somebody has spoken.
        frames: how many were heard, and ``speech`` how many of them are speech.
        last: the number of frames up to the end of the last one that is speech; 0 before.
    """

    def __init__(self) -> None:
        self._detector = Detector()
        self._in_a_row = 0
        self.spoken = False
        self.frames = self.speech = 0
        self.last = 0

    def hear(self, samples: Samples) -> list[float]:
        """How likely each whole frame of what comes next is speech, 0 to 1."""
        found = [self._detector.predict_i16(frame) for frame in _whole(samples)]
        for likely in found:
            self.frames += 1
            self._in_a_row = self._in_a_row + 1 if likely > SPEECH else 0
            self.spoken = self.spoken or self._in_a_row >= ONSET
            if likely > SPEECH:
                self.speech, self.last = self.speech + 1, self.frames
        return found


def _whole(samples: Samples) -> Iterator[Samples]:
    for at in range(0, len(samples) - FRAME + 1, FRAME):
        yield samples[at : at + FRAME]


def longest_pause(speech: Sequence[float], first: int) -> int:
    """The middle of the longest pause from frame ``first`` on: where a sentence or a speaker's turn ends.

    ``speech`` is how likely each frame is. Without a pause it is the quietest place.
    """
    quiet = np.asarray([0.0, *(value < PAUSE_BELOW for value in speech[first:]), 0.0])
    change = np.diff(quiet)
    starts, ends = np.flatnonzero(change > 0), np.flatnonzero(change < 0)
    if not len(starts) or (ends - starts).max() < PAUSE:
        return _quietest(speech, first)
    place = int(np.argmax(ends - starts))
    return first + int(starts[place] + ends[place] + 1) // 2


def _quietest(speech: Sequence[float], first: int) -> int:
    first = max(first, _QUIET)
    means = np.convolve(speech[first - _QUIET :], np.ones(2 * _QUIET + 1), "valid")
    return first + int(np.argmin(means))
