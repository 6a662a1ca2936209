"""Clips that nobody has spoken, for episodes where no recording is at hand.

Covers: words as bursts of a buzzing tone, a pitch for each speaker, with the short gaps of speech between them and
pauses here and there; when each is said is known to the sample. Does not cover: anything that a speech model would
recognise.
"""

from __future__ import annotations

import random

import numpy as np

from fakes.decoding import RATE, Samples
from fakes.episode import Clip

SAID = """
the boat goes down a long canal and nobody on either bank knows whether its cargo is salt or slate
lock keeper morning rope water bridge windlass tunnel candle harbour ledger iron towpath kettle
"""
#: Seconds that a letter is said, between words, and in a pause.
LETTER, GAP, PAUSE = 0.055, 0.03, (0.3, 0.7)
PITCHES = (95, 118, 150, 187, 228)  # Hz


def clips(count: int = 12, *, speakers: int = 3, seed: int = 0) -> list[Clip]:
    """So many clips of 6 to 30 words; the same with the same arguments."""
    chance = random.Random(seed)
    return [_clip(chance, number % speakers) for number in range(count)]


def _clip(chance: random.Random, speaker: int) -> Clip:
    words = chance.choices(SAID.split(), k=chance.randint(6, 30))
    parts: list[Samples] = [_silence(0.1)]
    times, at = [], len(parts[0])
    for word in words:
        sound = _buzz(PITCHES[speaker], LETTER * (len(word) + 1))
        gap = _silence(chance.uniform(*PAUSE) if chance.random() < 0.12 else GAP)
        times.append((at, at + len(sound)))
        parts += [sound, gap]
        at += len(sound) + len(gap)
    return Clip(np.concatenate(parts), f"reader-{speaker}", words, times)


def _buzz(pitch: int, seconds: float) -> Samples:
    at = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * number * at) / number for number in range(1, 12))
    return np.asarray(5_000 * tone * np.hanning(len(at)) ** 0.25, np.int16)


def _silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)
