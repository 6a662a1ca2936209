"""A real model on real speech: the words, going on from any cursor, any number of streams."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
from speech_sounds import Samples, in_blocks, silence

from narrowboat.engines.catalogue import speech_model
from narrowboat.engines.speech.prepare import prepare_model, prepared
from narrowboat.engines.speech.transcribe import Chunk, transcribe
from narrowboat.engines.speech.weights import is_int8, read_contents
from narrowboat.errors import UsageError


def run(sound: Samples, model: Path, start: int = 0, language: str | None = "en", cores: int = 1) -> list[Chunk]:
    return list(
        transcribe(
            in_blocks(sound[start:]),
            model_dir=model,
            start_sample=start,
            language=language,
            cores=lambda: cores,
            most_cores=cores,
            duration=len(sound) / 16_000,
        )
    )


@pytest.fixture(scope="module")
def episode(two_cities: Samples) -> Samples:
    return np.concatenate([silence(2), two_cities[: 30 * 16_000], silence(65), two_cities[30 * 16_000 :]])


@pytest.fixture(scope="module")
def undisturbed(episode: Samples, tiny_model: Path) -> list[Chunk]:
    return run(episode, tiny_model)


def test_the_words_are_right(undisturbed: list[Chunk]) -> None:
    text = " ".join(cue["text"] for chunk in undisturbed for cue in chunk.segments).lower()
    for words in ("it was the best of times", "worst of times", "age of wisdom", "spring of hope"):
        assert words in text


def test_times_are_in_order_and_where_somebody_speaks(undisturbed: list[Chunk], episode: Samples) -> None:
    cues = [cue for chunk in undisturbed for cue in chunk.segments]
    fifths = episode[: len(episode) // 3200 * 3200].reshape(-1, 3200).astype(float)  # of a second
    loud = np.flatnonzero(np.sqrt((fifths**2).mean(axis=1)) > 250)
    assert cues[0]["start"] == pytest.approx(loud[0] / 5, abs=0.5)
    assert cues[-1]["end"] == pytest.approx((loud[-1] + 1) / 5, abs=0.5)
    assert cues[-1]["end"] <= len(episode) / 16_000
    assert all(one["end"] <= two["start"] for one, two in pairwise(cues))
    assert not [cue for cue in cues if 33.5 < cue["start"] < 96]  # a minute of silence
    assert all(0.0 < cue["confidence"] <= 1.0 for cue in cues)
    assert [chunk for chunk in undisturbed if not chunk.segments]
    assert undisturbed[-1].next_sample == len(episode)


def test_going_on_from_any_cursor(undisturbed: list[Chunk], episode: Samples, tiny_model: Path) -> None:
    for place, chunk in enumerate(undisturbed[:-1], 1):
        assert run(episode, tiny_model, chunk.next_sample, chunk.language) == undisturbed[place:]


def test_two_streams_give_the_same(undisturbed: list[Chunk], episode: Samples, tiny_model: Path) -> None:
    assert run(episode, tiny_model, cores=2) == undisturbed


def test_cores_may_change_and_few_chunks_are_held(undisturbed: list[Chunk], episode: Samples, tiny_model: Path) -> None:
    asked = count()
    read = 0

    def blocks() -> Iterator[Samples]:
        nonlocal read
        for block in in_blocks(episode):
            read += len(block)
            yield block

    found = []
    for chunk in transcribe(
        blocks(),
        model_dir=tiny_model,
        start_sample=0,
        language="en",
        cores=lambda: 1 + next(asked) % 2,
        most_cores=2,
        duration=0.0,
    ):
        found.append(chunk)
        assert read - chunk.next_sample < 4 * 90 * 16_000
    assert found == undisturbed


def test_stopping_early_leaves_nothing_running(episode: Samples, tiny_model: Path) -> None:
    chunks = transcribe(
        in_blocks(episode),
        model_dir=tiny_model,
        start_sample=0,
        language="en",
        cores=lambda: 2,
        most_cores=2,
        duration=0.0,
    )
    next(chunks)
    chunks.close()
    assert list(chunks) == []


def test_noise_gets_no_words(tiny_model: Path) -> None:
    hiss = np.random.default_rng(4).normal(0, 400, 20 * 16_000).astype(np.int16)
    hum = (3000 * np.sin(np.arange(20 * 16_000) * 0.05)).astype(np.int16)
    for sound in (silence(70), hiss, hum):
        chunks = run(sound, tiny_model)
        assert chunks[-1].next_sample == len(sound)
        assert [cue for chunk in chunks for cue in chunk.segments] == []


def test_a_prepared_model_is_made_once(tiny_model: Path, tmp_path: Path) -> None:
    contents = read_contents(tiny_model / "model.bin")
    assert is_int8(contents)
    ours = prepare_model({"model": str(tiny_model), "cache": str(tmp_path)})
    assert ours["path"] == str(tiny_model)  # 8 bits already: used where it is
    assert list(tmp_path.iterdir()) == []


def test_a_users_float_model_is_re_written_in_the_cache(tmp_path: Path, tiny_model: Path) -> None:
    from narrowboat.engines.packs import pack_path

    original = pack_path("whisper-tiny.en")
    if original is None:
        pytest.skip("needs the original files of whisper-tiny.en in the cache")
    path = prepared(speech_model(str(original)), tmp_path)
    assert path.is_relative_to(tmp_path)
    assert (path / "model.bin").read_bytes() == (tiny_model / "model.bin").read_bytes()
    assert prepared(speech_model(str(original)), tmp_path) == path
    assert not [entry for entry in path.parent.iterdir() if ".part-" in entry.name]


def test_a_model_that_can_not_be_loaded(tmp_path: Path, tiny_model: Path) -> None:
    for name in ("config.json", "vocabulary.txt"):
        (tmp_path / name).write_bytes((tiny_model / name).read_bytes())
    (tmp_path / "model.bin").write_bytes((tiny_model / "model.bin").read_bytes()[:100_000])
    with pytest.raises(UsageError, match="can't be loaded"):
        run(silence(1), tmp_path)
    with pytest.raises(UsageError, match="cut short"):
        prepare_model({"model": str(tmp_path), "cache": str(tmp_path / "cache")})
