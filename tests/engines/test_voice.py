"""Cutting: every sample once, never too long, in the same places from any cut on and for any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from speech_sounds import Samples, in_blocks, silence

from narrowboat.engines.speech.voice import Stretch, stretches

RATE = 16_000


@pytest.fixture(scope="module")
def episode(two_cities: Samples) -> Samples:
    noise = np.random.default_rng(3).normal(0, 30, 20 * RATE).astype(np.int16)
    return np.concatenate([silence(130), two_cities, noise, two_cities[: 10 * RATE], silence(4), two_cities])


def same(one: Stretch, other: Stretch) -> bool:
    places = (one.start, one.end, one.sound_start) == (other.start, other.end, other.sound_start)
    return places and np.array_equal(one.sound, other.sound)


def test_every_sample_is_in_one_stretch(episode: Samples) -> None:
    found = list(stretches(in_blocks(episode), 0))
    assert [stretch.start for stretch in found] == [0, *(stretch.end for stretch in found[:-1])]
    assert found[-1].end == len(episode)
    for stretch in found:
        assert len(stretch.sound) <= 28.4 * RATE
        assert stretch.end - stretch.start <= 89 * RATE  # a minute of silence, then speech
        assert np.array_equal(stretch.sound, episode[stretch.sound_start :][: len(stretch.sound)])


def test_speech_is_kept_and_silence_is_not(episode: Samples, two_cities: Samples) -> None:
    found = list(stretches(in_blocks(episode), 0))
    assert [len(stretch.sound) for stretch in found[:2]] == [0, 0]  # two minutes in which nobody speaks
    assert sum(len(stretch.sound) for stretch in found) == pytest.approx(2 * len(two_cities) + 10 * RATE, rel=0.1)


def test_cutting_goes_on_from_any_cut(episode: Samples) -> None:
    found = list(stretches(in_blocks(episode), 0))
    assert len(found) > 5
    for place, stretch in enumerate(found[:-1], 1):
        rest = list(stretches(in_blocks(episode[stretch.end :]), stretch.end))
        assert len(rest) == len(found) - place
        assert all(same(one, other) for one, other in zip(rest, found[place:], strict=True))


@pytest.mark.parametrize("size", [997, 40_000, 10_000_000])
def test_blocks_do_not_matter(episode: Samples, size: int) -> None:
    found = list(stretches(in_blocks(episode), 0))
    other = list(stretches(in_blocks(episode, size), 0))
    assert all(same(one, two) for one, two in zip(found, other, strict=True))


def test_speech_without_a_pause_is_cut_all_the_same(two_cities: Samples) -> None:
    dense = np.concatenate([two_cities[5 * RATE : 7 * RATE]] * 40)
    assert all(len(stretch.sound) <= 28.4 * RATE for stretch in stretches(in_blocks(dense), 0))


def test_no_sound_gives_nothing() -> None:
    assert list(stretches([], 0)) == []
    assert [(s.start, s.end, len(s.sound)) for s in stretches(in_blocks(silence(0.01)), 5)] == [(5, 165, 0)]
