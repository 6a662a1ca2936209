"""Speech that got no words: where it is found, and that it is recognised again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from speech_sounds import Samples, in_blocks, read_sound

from narrowboat.config import default_cache
from narrowboat.engines.catalogue import speech_model
from narrowboat.engines.speech.gaps import Spoken, filled, gaps
from narrowboat.engines.speech.prepare import prepared
from narrowboat.engines.speech.transcribe import transcribe
from narrowboat.engines.speech.voice import FRAME
from narrowboat.engines.speech.whisper import Word
from narrowboat.errors import PackError

SECOND = 62.5  # frames


def word(text: str, start: float, end: float, log_probability: float = -0.1) -> Word:
    return Word(text, start, end, log_probability, 1)


def speech(*turns: tuple[float, float], seconds: float = 20.0) -> Spoken:
    spoken = np.zeros(int(seconds * SECOND), np.bool_)
    for start, end in turns:
        spoken[int(start * SECOND) : int(end * SECOND)] = True
    return spoken


def sound_of(spoken: Spoken) -> Samples:
    """Samples that tell where they come from: the number of their frame."""
    return np.repeat(np.arange(len(spoken), dtype=np.int16), FRAME)


def test_a_long_word_and_a_long_pause_are_no_gaps() -> None:
    words = [word(" a", 0.5, 1.0), word(" longish", 1.0, 8.0), word(" b.", 8.0, 19.0)]
    assert gaps(words, speech((0.5, 2.9), (8.0, 9.0))) == []
    assert gaps([], speech((0.5, 18.0))) == []


def test_gaps_before_between_and_after_words() -> None:
    middle = [word(" one", 5.0, 5.5), word(" two.", 5.5, 12.0), word(" three", 12.0, 19.0)]
    found = gaps(middle, speech((0.3, 4.5), (5.0, 6.5), (7.0, 11.5), (12.0, 13.0), (14.0, 19.0)))
    assert [place for place, _, _ in found] == [0, 2, 3]
    seconds = [(first / SECOND, last / SECOND) for _, first, last in found]
    assert seconds[0] == pytest.approx((0.0, 5.0), abs=0.1)
    assert seconds[1] == pytest.approx((6.6, 12.0), abs=0.1)  # once the word is over, a little before the speech
    assert seconds[2] == pytest.approx((13.1, 20.0), abs=0.1)


def test_words_of_a_gap_are_put_in_their_place() -> None:
    spoken = speech((0.5, 2.0), (3.0, 9.0), (10.0, 11.0))
    heard: list[tuple[int, int]] = []

    def recognise(sound: Samples) -> list[Word]:
        heard.append((int(sound[0]), int(sound[-1])))
        if len(heard) == 1:
            return [word(" one", 0.5, 1.0), word(" two", 1.0, 10.0), word(" five", 10.0, 11.0)]
        return [word(" three", 0.5, 2.0), word(" four", 2.0, 4.0)]

    found = filled(recognise, sound_of(spoken), spoken)
    assert [item.text for item in found] == [" one", " two", " three", " four", " five"]
    assert heard[0] == (0, len(spoken) - 1)
    first, last = heard[1]
    assert (first / SECOND, last / SECOND) == pytest.approx((2.1, 10.0), abs=0.1)
    assert found[1].end == pytest.approx(first / SECOND)  # it lasts no longer than up to the gap
    assert found[2].start == pytest.approx(first / SECOND + 0.5)
    assert len(heard) == 2


def test_a_guess_is_not_taken() -> None:
    spoken = speech((0.5, 2.0), (3.0, 9.0))
    answers = [[word(" one", 0.5, 9.0)], [word(" thanks", 0.5, 1.0, log_probability=-1.5)]]
    asked = iter(answers)
    assert filled(lambda _: list(next(asked)), sound_of(spoken), spoken) == answers[0]
    assert next(asked, None) is None  # it was asked twice


def test_a_change_of_speakers_loses_no_sentence(shared_data: Path) -> None:
    """18 seconds of two readers, of whom the model passes over the second at first."""
    try:
        model = prepared(speech_model("local:whisper-base"), default_cache())
    except PackError as error:
        pytest.skip(f"needs the pack whisper-base: {error}")
    clips = shared_data / "speech" / "librispeech"
    names = ("1998-15444-0009.flac", "2033-164914-0000.flac", "2033-164914-0001.flac")
    sound = np.concatenate([read_sound(clips / name) for name in names])[4704:][: int(17.85 * 16_000)]
    chunks = transcribe(
        in_blocks(sound),
        model_dir=model,
        start_sample=0,
        language="en",
        cores=lambda: 1,
        most_cores=1,
        duration=0.0,
    )
    cues = [cue for chunk in chunks for cue in chunk.segments]
    text = " ".join(cue["text"] for cue in cues).lower()
    assert "narcotic poisoning" in text
    assert "folks are all sleeping" in text
    assert all(one["end"] <= two["start"] for one, two in pairwise(cues))
