"""Answers from references: a recording that is cut anywhere, heard piece by piece, gives its own words back."""

from __future__ import annotations

import base64
import itertools
import json
import random
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fakes.decoding import RATE, Samples
from fakes.episode import Episode, build, read_clips
from fakes.made_up import clips
from fakes.questions import Question
from fakes.running import EngineServer
from fakes.shapes import answer_text
from fakes.transcripts import Segment, Spoken

openai = pytest.importorskip("openai")

SEGMENT = {"start": {"type": "number"}, "end": {"type": "number"}, "speaker": {"type": "string"}}
SCHEMA = {
    "type": "object",
    "properties": {
        "segments": {
            "type": "array",
            "items": {"type": "object", "properties": {**SEGMENT, "text": {"type": "string"}}},
        }
    },
}


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    """Three minutes of three speakers, in which every clip comes more than once."""
    return build(clips(), tmp_path_factory.mktemp("episode"), seconds=180, seed=4)


@pytest.fixture
def client(engine_server: EngineServer, episode: Episode) -> Iterator[Any]:
    engine_server.set(answer="hearing", episodes=[str(episode.folder)])
    with openai.OpenAI(api_key="key", base_url=engine_server.openai_url, max_retries=0, timeout=60) as client:
        yield client


def _flac(samples: Samples, path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE)
        stream.layout, stream.format = "mono", "s16"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples).reshape(1, -1), "s16", "mono")
        frame.rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _wave(samples: Samples, path: Path) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, len(samples), "NONE", ""))
        out.writeframes(samples.tobytes())
    return path


def _hear(client: Any, path: Path, **fields: Any) -> Any:
    both = ["word", "segment"]
    shape: dict[str, Any] = {"response_format": "verbose_json", "timestamp_granularities": both}
    return client.audio.transcriptions.create(model="whisper-1", file=path, **{**shape, **fields})


def _pauses(episode: Episode, seconds: float) -> list[int]:
    """Cuts about so far apart, each in a pause."""
    pairs = itertools.pairwise(episode.words)
    free = [(a.end + b.start) // 2 for a, b in pairs if b.start - a.end > RATE // 10]
    cuts = [0]
    while (wanted := cuts[-1] + seconds * RATE) < len(episode.samples):
        cuts.append(min((place for place in free if place > cuts[-1]), key=lambda place: abs(place - wanted)))
    return [*cuts, len(episode.samples)]


@pytest.mark.parametrize(("seconds", "write"), [(7, _flac), (31, _wave), (100, _flac)])
def test_cuts_in_pauses_lose_nothing(client: Any, episode: Episode, tmp_path: Path, seconds: int, write: Any) -> None:
    said, times = [], []
    for start, end in itertools.pairwise(_pauses(episode, seconds)):
        suffix = "flac" if write is _flac else "wav"
        heard = _hear(client, write(episode.samples[start:end], tmp_path / f"{start}.{suffix}"))
        said += [word.word for word in heard.words]
        times += [(word.start + start / RATE, word.end + start / RATE) for word in heard.words]
        assert heard.duration == pytest.approx((end - start) / RATE, abs=0.01)
    assert said == [word.text for word in episode.words]
    known = [(word.start / RATE, word.end / RATE) for word in episode.words]
    assert np.abs(np.array(times) - np.array(known)).max() < 0.01


def test_a_cut_in_a_word_says_it_twice_and_a_gap_drops_it(client: Any, episode: Episode, tmp_path: Path) -> None:
    before, word, after = episode.words[9:12]
    middle, behind = (word.start + word.end) // 2, (word.end + after.start) // 2
    left = _hear(client, _flac(episode.samples[:middle], tmp_path / "left.flac"))
    right = _hear(client, _flac(episode.samples[middle : middle + 20 * RATE], tmp_path / "right.flac"))
    assert (left.words[-1].word, right.words[0].word) == (word.text, word.text)
    assert right.words[0].start == 0
    assert left.words[-1].end == pytest.approx(middle / RATE, abs=0.001)
    front = _hear(client, _flac(episode.samples[: (before.end + word.start) // 2], tmp_path / "front.flac"))
    rest = _hear(client, _flac(episode.samples[behind : behind + 20 * RATE], tmp_path / "rest.flac"))
    assert (front.words[-1].word, rest.words[0].word) == (before.text, after.text)


def test_pieces_are_found_wherever_they_lie(
    client: Any, engine_server: EngineServer, episode: Episode, tmp_path: Path
) -> None:
    chance = random.Random(3)
    for _ in range(12):
        length = round(chance.choice([0.05, 0.4, 2.0, 25.0]) * RATE)
        start = chance.randrange(len(episode.samples) - length)
        _hear(client, _flac(episode.samples[start : start + length], tmp_path / "piece.flac"))
        about = engine_server.log("transcribe")[-1]["answer"]
        assert (about["first_sample"], about["last_sample"]) == (start, start + length)


def test_what_is_not_of_the_episode_is_refused(client: Any, episode: Episode, tmp_path: Path) -> None:
    changed = np.array(episode.samples[: 40 * RATE])
    changed[30 * RATE] += 1
    with pytest.raises(openai.BadRequestError, match="no episode has these"):
        _hear(client, _flac(changed, tmp_path / "changed.flac"))
    (tmp_path / "text.flac").write_text("no sound")
    with pytest.raises(openai.BadRequestError, match="can't be decoded"):
        _hear(client, tmp_path / "text.flac")


def test_speakers_with_a_sample_keep_their_names(client: Any, episode: Episode, tmp_path: Path) -> None:
    diarizing = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json", "chunking_strategy": "auto"}
    piece = _flac(episode.samples[60 * RATE : 120 * RATE], tmp_path / "piece.flac")
    said = episode.between(60 * RATE, 120 * RATE)
    guest = list(dict.fromkeys(word.speaker for word in said))[1]
    word = next(word for word in episode.words if word.speaker == guest)
    sample = _flac(episode.samples[word.start : word.start + 2 * RATE], tmp_path / "sample.flac")
    url = "data:audio/flac;base64," + base64.b64encode(sample.read_bytes()).decode()

    def hear(**known: Any) -> list[str]:
        heard = client.audio.transcriptions.create(file=piece, **diarizing, **known)
        return [segment.speaker for segment in heard.segments for _ in segment.text.split()]

    letters = dict(zip(dict.fromkeys(word.speaker for word in said), "ABC", strict=False))
    assert hear() == [letters[word.speaker] for word in said]
    names = dict(zip([each for each in letters if each != guest], "AB", strict=False)) | {guest: "guest"}
    known = {"known_speaker_names": ["guest"], "known_speaker_references": [url]}
    assert hear(**known) == [names[word.speaker] for word in said]
    with pytest.raises(openai.BadRequestError, match="one for each"):
        hear(known_speaker_names=["guest", "host"], known_speaker_references=[url])


# -- Gemini's shape, speakers -----------------------------------------------------------------------------------------


@pytest.fixture
def gemini(engine_server: EngineServer, episode: Episode) -> Iterator[Any]:
    genai = pytest.importorskip("google.genai")
    engine_server.set(answer="hearing", episodes=[str(episode.folder)])
    options = {"base_url": engine_server.url, "api_version": "v1beta", "timeout": 60_000}
    with genai.Client(api_key="key", http_options=options) as client:
        yield client


def _segments(gemini: Any, path: Path, prompt: str = "Write down what is said.") -> list[dict[str, Any]]:
    file = gemini.files.upload(file=path, config={"mime_type": "audio/flac"})
    config = {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
    answer = gemini.models.generate_content(model="gemini-2.5-flash", contents=[prompt, file], config=config)
    segments: list[dict[str, Any]] = json.loads(answer.text)["segments"]
    return segments


def test_segments_in_the_shape_of_a_schema(gemini: Any, episode: Episode, tmp_path: Path) -> None:
    end = _pauses(episode, 40)[1]
    segments = _segments(gemini, _flac(episode.samples[:end], tmp_path / "piece.flac"))
    assert " ".join(one["text"] for one in segments).split() == [word.text for word in episode.between(0, end)]
    assert all(0 <= one["start"] < one["end"] <= end / RATE for one in segments)
    plain = gemini.files.upload(file=tmp_path / "piece.flac", config={"mime_type": "audio/flac"})
    answer = gemini.models.generate_content(model="gemini-2.5-flash", contents=[plain])
    assert answer.text.startswith("[00:00:0")


def test_speakers_are_mixed_up_unless_the_prompt_tells_who_is_who(
    gemini: Any, episode: Episode, tmp_path: Path
) -> None:
    cuts = _pauses(episode, 45)
    named: list[dict[str, str]] = []
    prompt = "Write down what is said."
    for start, end in itertools.pairwise(cuts):
        by_utterance = {word.utterance: word.speaker for word in episode.between(start, end)}
        segments = _segments(gemini, _flac(episode.samples[start:end], tmp_path / f"{start}.flac"))
        named.append(dict(zip(by_utterance.values(), dict.fromkeys(one["speaker"] for one in segments), strict=False)))
    assert len({tuple(sorted(one.items())) for one in named}) > 1

    names = {"reader-0": "Host", "reader-1": "Guest", "reader-2": "Speaker 1"}
    roster = "\n".join(f'- {names[who]}: "{quote}"' for who, quote in _quotes(episode).items())
    for start, end in itertools.pairwise(cuts):
        segments = _segments(gemini, tmp_path / f"{start}.flac", f"{prompt}\nKnown speakers:\n{roster}")
        expected = [names[word.speaker] for word in episode.between(start, end)]
        assert [one["speaker"] for one in segments for _ in one["text"].split()] == expected


def _quotes(episode: Episode) -> dict[str, str]:
    """The first words of each speaker."""
    quotes: dict[str, list[str]] = {}
    for word in episode.words:
        quotes.setdefault(word.speaker, []).append(word.text)
    return {speaker: " ".join(words[:30]) for speaker, words in quotes.items()}


def test_those_who_are_not_in_the_roster_are_new(gemini: Any, episode: Episode, tmp_path: Path) -> None:
    speaker, quote = next(iter(_quotes(episode).items()))
    roster = f'Known:\n- Host: hoarse; has said "{quote}"\nLabel anybody else "New 1", "New 2", …'
    segments = _segments(gemini, _flac(episode.samples[: 90 * RATE], tmp_path / "piece.flac"), roster)
    said = episode.between(0, 90 * RATE)
    others = [one for one in dict.fromkeys(word.speaker for word in said) if one != speaker]
    names = {speaker: "Host"} | {one: f"New {number}" for number, one in enumerate(others, 1)}
    assert [one["speaker"] for one in segments for _ in one["text"].split()] == [names[word.speaker] for word in said]


def test_who_is_who(gemini: Any, episode: Episode) -> None:
    quotes = list(_quotes(episode).values())
    lines = [quotes[0], quotes[1], "nobody has said this", " ".join(quotes[0].split()[8:]), quotes[2]]
    asked = "Who is the same?\n" + "\n".join(f'{number}. Host, "{line}"' for number, line in enumerate(lines))
    members = {"type": "array", "items": {"type": "integer"}}
    group = {"type": "object", "properties": {"members": members, "ground": {"type": "string"}}}
    schema = {"type": "object", "properties": {"groups": {"type": "array", "items": group}}}
    config = {"response_mime_type": "application/json", "response_json_schema": schema}
    answer = gemini.models.generate_content(model="gemini-2.5-flash", contents=asked, config=config)
    assert json.loads(answer.text) == {"groups": [{"members": [0, 3], "ground": "the same words"}]}


@pytest.mark.parametrize(
    ("asked", "given"),
    [("MM:SS.s", "61:05.3"), ("MM:SS", "61:05"), ("H:MM:SS.mmm", "01:01:05.280"), ("", "01:01:05.280")],
)
def test_times_as_a_schema_describes_them(asked: str, given: str) -> None:
    properties = {"start": {"type": "string", "description": f"as {asked}"}, "who": {"type": "string"}}
    schema = {"type": "array", "items": {"type": "object", "properties": properties}}
    spoken = Spoken(4000, [Segment(3665.28, 3667, "So.", "Host")])
    (told,) = json.loads(answer_text(spoken, Question("generate", "", schema=schema)))
    assert told == {"start": given, "who": "Host"}


def test_scenes_of_two(tmp_path: Path) -> None:
    episode = build(clips(speakers=4), tmp_path, seconds=120, scene=30)
    heard = [{word.speaker for word in episode.between(at * RATE, (at + 10) * RATE)} for at in (10, 40, 70, 100)]
    assert all(len(speakers) <= 2 for speakers in heard)
    assert set().union(*heard) == {word.speaker for word in episode.words}


def test_wrong_times_and_loops(gemini: Any, engine_server: EngineServer, episode: Episode, tmp_path: Path) -> None:
    path = _flac(episode.samples[: 60 * RATE], tmp_path / "piece.flac")
    engine_server.set(faults=["wrong_times", "loop"])
    wrong = _segments(gemini, path)
    assert any(one["start"] > 60 for one in wrong)
    assert any(one["end"] < one["start"] for one in wrong)
    assert any(one["start"] < 0 for one in wrong)
    loop = [one["text"] for one in _segments(gemini, path)]
    assert loop[: len(wrong) // 2] == [one["text"] for one in wrong[: len(wrong) // 2]]
    assert loop[len(wrong) // 2 :] == [wrong[len(wrong) // 2]["text"]] * 400


# -- real speech ------------------------------------------------------------------------------------------------------


def test_words_of_real_clips_lie_where_somebody_speaks(shared_data: Path) -> None:
    ratios = []
    for clip in read_clips(shared_data / "speech" / "librispeech"):
        assert len(clip.times) == len(clip.words)
        assert all(start < end <= later for (start, end), (later, _) in itertools.pairwise(clip.times))
        said = np.zeros(len(clip.samples), bool)
        for start, end in clip.times:
            said[start:end] = True
        loudness = np.abs(clip.samples.astype(float))
        ratios.append(loudness[said].mean() / loudness[~said].mean())
    assert len(ratios) == 50
    assert min(ratios) > 2
    assert np.median(ratios) > 5
