"""Where speech is, and where to cut it: blocks of sound to stretches that fit the model.

Covers: cutting in pauses so that each stretch holds at most 28 s of sound.
Does not cover: what is speech and what is a pause (``speech/pauses.py``), what is said (``speech/whisper.py``).

A stretch that is cut in its longest pause seldom begins inside a sentence or holds the end of another speaker's
turn, which the model is apt to pass over. With whisper-base, cutting in the next pause after 18 s instead gave a
word error rate of 12.1 % in place of 11.7 on readings by turns (14.5 without ``speech/gaps.py``), 5.3 in place of 5.2
on dictation, and took more stretches.

The detector starts anew at each cut, and a cut depends on the samples since the one before it, not on how they
came in blocks: so cutting from any cut on gives the same stretches as cutting from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from earshot import Detector

from narrowboat.engines.speech.pauses import FRAME, ONSET, SPEECH, Samples, frames, longest_pause

__all__ = ["FRAME", "Samples", "Stretch", "stretches"]

LEAD = frames(0.32)  # sound kept before the first speech, and after the last
LONGEST = frames(28.0)  # a stretch that gets here is cut, in its longest pause after SHORTEST
SHORTEST = frames(16.0)
ENOUGH_SILENCE = frames(3.0)  # after speech, ends the stretch
MOST_SILENCE = frames(60.0)  # without speech, is a stretch of its own: progress and cursor move on


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound between two cuts.

    Attributes:
        start: sample of the whole file at which it begins.
        end: sample at which the next one begins.
        sound_start: sample at which ``sound`` begins.
        sound: what to recognise, int16 mono 16 kHz, at most 28 s; empty when nobody speaks.
        spoken: of each ``FRAME`` samples of ``sound``, whether somebody speaks.
    """

    start: int
    end: int
    sound_start: int
    sound: Samples
    spoken: npt.NDArray[np.bool_]


def stretches(blocks: Iterable[Samples], start: int) -> Iterator[Stretch]:
    """Cut ``blocks`` (int16, mono, 16 kHz), the first of which begins at sample ``start``."""
    cutter = _Cutter(start)
    for block in blocks:
        yield from cutter.add(block)
    last = cutter.finish()
    if last is not None:
        yield last


class _Cutter:
    """Sound since the last cut, and how likely each frame of it is speech. Leading silence is dropped early."""

    def __init__(self, start: int) -> None:
        self._sound = np.zeros(0, np.int16)
        self._restart(start)

    def _restart(self, start: int) -> None:
        self._start = start
        self._detector = Detector()
        self._dropped = 0  # frames of leading silence that are no longer held
        self._speech: list[float] = []  # of the frames held
        self._onset: int | None = None  # first frame of speech, among those held

    def add(self, block: Samples) -> Iterator[Stretch]:
        self._sound = np.concatenate([self._sound, block])
        while (len(self._speech) + 1) * FRAME <= len(self._sound):
            at = len(self._speech) * FRAME
            self._speech.append(self._detector.predict_i16(self._sound[at : at + FRAME]))
            cut = self._cut()
            if cut is not None:
                yield self._take(cut * FRAME)

    def finish(self) -> Stretch | None:
        """What is left at the end of the sound."""
        if not len(self._sound) and not self._dropped:
            return None
        return self._take(len(self._sound))

    def _cut(self) -> int | None:
        """How many of the frames held make a stretch, if it is to be cut now."""
        held = self._speech
        if self._onset is None:
            if len(held) >= ONSET and min(held[-ONSET:]) > SPEECH:
                self._onset = max(0, len(held) - ONSET - LEAD)
            elif self._dropped + len(held) >= MOST_SILENCE:
                return len(held)
            elif len(held) > LEAD + ONSET:
                self._drop(1)
            return None
        length = len(held) - self._onset
        if length >= LONGEST:
            return longest_pause(self._speech, self._onset + SHORTEST)
        if length >= ENOUGH_SILENCE + LEAD and max(held[-ENOUGH_SILENCE:]) < SPEECH:
            return len(held) - LEAD
        return None

    def _drop(self, count: int) -> None:
        self._dropped += count
        del self._speech[:count]
        self._sound = self._sound[count * FRAME :]

    def _take(self, samples: int) -> Stretch:
        spoken = np.asarray(self._speech[: samples // FRAME]) > SPEECH
        places = np.flatnonzero(spoken)
        sound_start = self._start + self._dropped * FRAME
        end = sound_start + samples
        sound = np.zeros(0, np.int16)
        if self._onset is not None and len(places):
            first, last = max(0, int(places[0]) - LEAD), int(places[-1]) + 1 + LEAD
            sound = self._sound[first * FRAME : min(samples, last * FRAME)].copy()
            spoken = spoken[first:last]
            sound_start += first * FRAME
        stretch = Stretch(self._start, end, sound_start, sound, spoken)
        self._sound = self._sound[samples:].copy()
        self._restart(end)
        return stretch
