"""Speech that got no words: found, and recognised again on its own.

Covers: the words of a stretch, with a second try where the model passed over a sentence, as it sometimes does
where the speaker changes.
Does not cover: one decoding (``speech/whisper.py``), where speech is (``speech/voice.py``).

A word holds at most 1.6 s of detected speech in ordinary recordings (870 words of dictation, 860 of books read
aloud), its pauses not counted; a sentence that was passed over held 7.4 s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from narrowboat.engines.speech.mel import RATE
from narrowboat.engines.speech.voice import FRAME, Samples
from narrowboat.engines.speech.whisper import UNLIKELY, Word

Spoken = npt.NDArray[np.bool_]

MOST_IN_A_WORD = 2.5  # seconds of speech from which on words are missing
_WORD_ENDS = 0.2  # seconds of silence that end the word before a gap
_FRAME_SECONDS = FRAME / RATE
_LEAD = round(0.1 / _FRAME_SECONDS)  # frames of that silence that the gap's own sound begins with


def filled(recognise: Callable[[Samples], list[Word]], sound: Samples, spoken: Spoken) -> list[Word]:
    """The words of ``sound``; where speech got none, those that ``recognise`` finds in the gap alone.

    ``spoken`` tells of each :data:`FRAME` samples of ``sound`` whether somebody speaks. Sound in which ``recognise``
    finds no words at all is taken to hold none.
    """
    words = recognise(sound)
    for place, first, last in reversed(gaps(words, spoken)):
        found = recognise(sound[first * FRAME : last * FRAME])
        if sum(word.log_probability for word in found) >= UNLIKELY * sum(word.tokens for word in found):
            words[place:place] = _moved(found, first * _FRAME_SECONDS)
            if place:  # the word before lasts until the gap, not through it
                before = words[place - 1]
                words[place - 1] = replace(before, end=min(before.end, first * _FRAME_SECONDS))
    return words


def gaps(words: Sequence[Word], spoken: Spoken) -> list[tuple[int, int, int]]:
    """(place, first, last): before ``words[place]``, the frames ``first`` to ``last`` hold speech without words."""
    if not words:
        return []
    bounds = [0, *(round(word.start / _FRAME_SECONDS) for word in words), len(spoken)]
    found = []
    for place, (begin, last) in enumerate(pairwise(bounds)):
        first = _silence(spoken, begin, last) if place else begin
        if spoken[first:last].sum() * _FRAME_SECONDS > MOST_IN_A_WORD:
            found.append((place, first, last))
    return found


def _silence(spoken: Spoken, first: int, last: int) -> int:
    """Where the word that begins at ``first`` is over: in the first silence, at ``last`` if there is none."""
    need = round(_WORD_ENDS / _FRAME_SECONDS)
    begun = False
    silent = 0
    for frame in range(first, last):
        silent = 0 if spoken[frame] else silent + 1
        begun = begun or bool(spoken[frame])
        if begun and silent >= need:
            return frame + 1 - min(_LEAD, need)
    return last


def _moved(words: Sequence[Word], seconds: float) -> list[Word]:
    return [replace(word, start=word.start + seconds, end=word.end + seconds) for word in words]
