"""Chunks of an episode: all of it, each once, never too long, in pauses, the same from any of them on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes.decoding import RATE, Samples
from fakes.episode import Episode, build, read_clips
from fakes.made_up import clips

from narrowboat import context
from narrowboat.errors import DiskFull, SourceError
from narrowboat.media.audio import blocks
from narrowboat.media.flac import FlacFile, most_bytes
from narrowboat.pipelines.transcribe.cutting import cut, make_again, pieces
from narrowboat.values import Json

MANY = 25_000_000


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    return build(clips(), tmp_path_factory.mktemp("episode"), seconds=180, seed=4)


@pytest.fixture(scope="module")
def read_aloud(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Episode:
    """Books, read by five people: six and a half minutes."""
    folder = tmp_path_factory.mktemp("read")
    return build(read_clips(shared_data / "speech" / "librispeech"), folder, seconds=400, seed=7)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path) -> Iterator[Path]:
    before = context.current()
    context.enter(context.Context(tmp_path / "scratch"))
    yield tmp_path / "scratch"
    context.enter(before)


def asked(path: Path, seconds: float, duration: float, most: int = MANY) -> dict[str, Any]:
    return {"path": str(path), "stream": 0, "duration": duration, "chunk": seconds, "most_bytes": most}


def cut_all(
    episode: Episode, seconds: float, cursor: Json = None, most: int = MANY
) -> list[tuple[dict[str, Any], Json]]:
    given = asked(episode.flac, seconds, episode.seconds, most)
    return [(item.value, item.cursor) for item in cut(given, cursor)]


def heard(path: Path) -> Samples:
    return np.concatenate(list(blocks(path, 0)))


def flac(path: Path, sound: Samples) -> Path:
    with FlacFile(path) as file:
        file.write(sound)
    return path


def inside_words(episode: Episode, seconds: float) -> list[str]:
    """The words that a cut goes through."""
    place = round(seconds * RATE)
    return [word.text for word in episode.words if word.start < place < word.end]


@pytest.mark.parametrize("seconds", [15, 40, 100, 2700])
def test_every_sample_is_in_one_chunk(episode: Episode, scratch: Path, seconds: float) -> None:
    chunks = [value for value, _ in cut_all(episode, seconds)]
    assert [chunk["start"] for chunk in chunks] == [0, *(chunk["end"] for chunk in chunks[:-1])]
    assert all(chunk["end"] - chunk["start"] <= seconds for chunk in chunks)
    sound = np.concatenate([heard(scratch / chunk["file"]) for chunk in chunks])
    assert np.array_equal(sound, np.asarray(episode.samples))
    assert all((scratch / chunk["file"]).stat().st_size == chunk["bytes"] for chunk in chunks)


@pytest.mark.parametrize("seconds", [60, 75])
def test_no_cut_goes_through_a_word(episode: Episode, seconds: float) -> None:
    assert [word for chunk, _ in cut_all(episode, seconds) for word in inside_words(episode, chunk["end"])] == []


@pytest.mark.parametrize("seconds", [60, 150])
def test_no_cut_goes_through_a_word_that_is_read_aloud(read_aloud: Episode, seconds: float) -> None:
    assert [word for chunk, _ in cut_all(read_aloud, seconds) for word in inside_words(read_aloud, chunk["end"])] == []


def test_lengths_are_even(episode: Episode) -> None:
    lengths = [chunk["end"] - chunk["start"] for chunk, _ in cut_all(episode, 40)]
    assert max(lengths) - min(lengths) <= 0.5 * 40  # a quarter for each of the two cuts


def test_cutting_goes_on_from_any_chunk(episode: Episode, scratch: Path) -> None:
    whole = cut_all(episode, 30)
    kept = {chunk["file"]: (scratch / chunk["file"]).read_bytes() for chunk, _ in whole}
    assert len(whole) > 5
    for place, (_, cursor) in enumerate(whole[:-1], 1):
        assert cut_all(episode, 30, cursor) == whole[place:]
        assert {name: (scratch / name).read_bytes() for name in kept} == kept


def test_files_that_are_gone_are_made_again_to_the_byte(episode: Episode, scratch: Path) -> None:
    chunks = [chunk for chunk, _ in cut_all(episode, 30)]
    kept = {chunk["file"]: (scratch / chunk["file"]).read_bytes() for chunk in chunks}
    gone = [chunks[4], chunks[1], chunks[2]]
    for chunk in gone:
        (scratch / chunk["file"]).unlink()
    wanted = [{name: chunk[name] for name in ("start", "end", "file")} for chunk in gone]
    make_again({"path": str(episode.flac), "stream": 0, "chunks": wanted})
    assert {name: (scratch / name).read_bytes() for name in kept} == kept


def test_pieces_of_a_chunk_are_all_of_it(episode: Episode, scratch: Path) -> None:
    chunk, _ = cut_all(episode, 60)[1]
    length = chunk["end"] - chunk["start"]
    given = {**asked(scratch / chunk["file"], 0.6 * length, length), "first": round(chunk["start"] * RATE), "stem": "a"}
    made = pieces(given)
    assert [piece["file"] for piece in made] == ["chunks/a-1.flac", "chunks/a-2.flac"]
    assert [made[0]["start"], made[0]["end"], made[1]["end"]] == [chunk["start"], made[1]["start"], chunk["end"]]
    assert inside_words(episode, made[0]["end"]) == []
    sound = np.concatenate([heard(scratch / piece["file"]) for piece in made])
    assert np.array_equal(sound, heard(scratch / chunk["file"]))


def test_a_piece_that_is_made_again_from_the_episode_is_the_same(episode: Episode, scratch: Path) -> None:
    chunk, _ = cut_all(episode, 60)[1]
    length = chunk["end"] - chunk["start"]
    given = {**asked(scratch / chunk["file"], 0.6 * length, length), "first": round(chunk["start"] * RATE), "stem": "a"}
    piece = pieces(given)[1]
    before = (scratch / piece["file"]).read_bytes()
    (scratch / piece["file"]).unlink()
    make_again({"path": str(episode.flac), "stream": 0, "chunks": [piece]})
    assert (scratch / piece["file"]).read_bytes() == before


@pytest.mark.parametrize("most", [300_000, 700_000])
def test_no_file_is_larger_than_the_engine_takes(episode: Episode, most: int) -> None:
    chunks = [chunk for chunk, _ in cut_all(episode, 60, most=most)]
    assert all(0 < chunk["bytes"] <= most for chunk in chunks)
    assert chunks[-1]["end"] == episode.seconds


def test_how_large_a_file_can_get(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32767, 20 * RATE).astype(np.int16)
    size = flac(tmp_path / "noise.flac", noise).stat().st_size
    assert 2 * len(noise) <= size <= most_bytes(len(noise))


def test_where_nobody_speaks_there_is_no_file(scratch: Path, tmp_path: Path, episode: Episode) -> None:
    quiet = np.random.default_rng(3).normal(0, 30, 100 * RATE).astype(np.int16)
    sound = np.concatenate([quiet, np.asarray(episode.samples[: 60 * RATE])])
    path = flac(tmp_path / "quiet.flac", sound)
    chunks = [item.value for item in cut(asked(path, 50, len(sound) / RATE), None)]
    assert chunks[0]["file"] is None
    assert chunks[-1]["file"] is not None
    assert [file.name for file in (scratch / "chunks").iterdir()] != []
    assert len(list((scratch / "chunks").iterdir())) == sum(chunk["file"] is not None for chunk in chunks)
    assert chunks[-1]["end"] == len(sound) / RATE


def test_speech_without_a_pause_is_cut_all_the_same(tmp_path: Path, episode: Episode) -> None:
    longest = max((word for word in episode.words), key=lambda word: word.end - word.start)
    middle = episode.samples[longest.start + 2000 : longest.end - 2000]
    dense = np.tile(middle, 90 * RATE // len(middle))
    chunks = [item.value for item in cut(asked(flac(tmp_path / "d.flac", dense), 20, len(dense) / RATE), None)]
    assert all(chunk["end"] - chunk["start"] <= 20 for chunk in chunks)
    assert chunks[-1]["end"] == len(dense) / RATE


@pytest.mark.parametrize("duration", [0, 30, 500])
def test_a_wrong_duration_loses_nothing(episode: Episode, duration: float) -> None:
    chunks = [item.value for item in cut(asked(episode.flac, 50, duration), None)]
    assert chunks[-1]["end"] == episode.seconds
    assert all(0 < chunk["end"] - chunk["start"] <= 50 for chunk in chunks)


def test_the_end_of_the_speech_is_told(episode: Episode) -> None:
    for chunk, _ in cut_all(episode, 60):
        last = max(word.end for word in episode.words if word.end <= chunk["end"] * RATE + 1) / RATE
        assert chunk["speech_end"] == pytest.approx(last, abs=0.6)
        assert 0.4 < chunk["speech"] <= 1


def test_a_full_disk_is_told(episode: Episode, tmp_path: Path) -> None:
    def refuse(path: Path, size: int, what: str) -> None:
        raise DiskFull(f"{what} needs room")

    context.enter(context.Context(tmp_path / "full", ask_room=refuse))
    with pytest.raises(DiskFull, match="a chunk of the sound"):
        list(cut(asked(episode.flac, 60, 180), None))


def test_what_is_no_sound_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text.mp3"
    path.write_text("no sound\n" * 100)
    with pytest.raises(SourceError, match=r"text\.mp3"):
        list(cut(asked(path, 60, 10), None))
