"""Features: the right band for a tone, silence, edges, and the same whatever the work space is."""

from __future__ import annotations

import numpy as np
import pytest
from speech_sounds import Samples, silence

from narrowboat.engines.speech import mel
from narrowboat.engines.speech.mel import FRAMES, HOP, RATE, WINDOW, log_mel, mel_filters


def tone(hertz: float, seconds: float) -> Samples:
    return (8000 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.int16)


@pytest.mark.parametrize("mels", [80, 128])
def test_filters_have_area_one(mels: int) -> None:
    area = mel_filters(mels).sum(axis=1) * (RATE / WINDOW)
    assert mel_filters(mels).shape == (mels, WINDOW // 2 + 1)
    assert np.median(area) == pytest.approx(1.0, abs=0.02)  # the narrowest are coarser than the transform


@pytest.mark.parametrize("hertz", [500.0, 1000.0, 3000.0])
def test_a_tone_is_loudest_in_its_band(hertz: float) -> None:
    features = log_mel(tone(hertz, 2.0))
    loudest = int(features[:, 100].argmax())
    centre = np.argmax(mel_filters(80)[loudest]) * RATE / WINDOW
    assert centre == pytest.approx(hertz, rel=0.05)


def test_one_frame_against_the_definition() -> None:
    sound = np.random.default_rng(1).normal(0, 3000, 5 * RATE).astype(np.int16)
    frame = 123
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    piece = sound[frame * HOP - WINDOW // 2 :][:WINDOW] / 32768 * window
    turns = np.exp(-2j * np.pi * np.outer(np.arange(WINDOW // 2 + 1), np.arange(WINDOW)) / WINDOW)
    expected = (np.log10(mel_filters(80) @ np.abs(turns @ piece) ** 2) + 4) / 4
    assert log_mel(sound)[:, frame] == pytest.approx(expected, abs=1e-4)


def test_silence_and_short_sound() -> None:
    assert log_mel(silence(1.0)) == pytest.approx(-1.5)
    assert log_mel(tone(440, 0.01)).shape == (80, FRAMES)
    assert log_mel(tone(440, 40.0)).shape == (80, FRAMES)
    features = log_mel(tone(440, 2.0))
    assert np.all(features[:, 300:] == features.max() - 2.0)  # eight decades down


def test_the_work_space_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.random.default_rng(2).normal(0, 3000, 7 * RATE).astype(np.int16)
    before = log_mel(sound)
    monkeypatch.setattr(mel, "_BLOCK", FRAMES)
    assert log_mel(sound) == pytest.approx(before, abs=1e-5)
