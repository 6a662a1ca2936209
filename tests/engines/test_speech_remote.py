"""What is said in a chunk, asked of the fakes: words and times, speakers, answers that are cut, wrong or blocked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asking import keys, told  # noqa: F401 -- fixtures
from fakes.decoding import RATE
from fakes.episode import Episode, build
from fakes.made_up import clips
from fakes.running import EngineServer

from narrowboat.engines.speech.language_names import code_of
from narrowboat.engines.speech.remote import listen, who_is_who
from narrowboat.errors import EngineError, RemoteError
from narrowboat.media.flac import FlacFile

pytestmark = pytest.mark.usefixtures("keys", "told")
START = 600.0


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    return build(clips(), tmp_path_factory.mktemp("episode"), seconds=60, seed=4)


@pytest.fixture
def ask(engine_server: EngineServer, episode: Episode, tmp_path: Path) -> Any:
    """Ask about the first 40 seconds, as if they began ten minutes into an episode."""
    engine_server.set(answer="hearing", episodes=[str(episode.folder)])
    path = tmp_path / "chunk.flac"
    with FlacFile(path) as file:
        file.write(episode.samples[: 40 * RATE])

    def asked(model: str = "gemini:gemini-2.5-flash", **given: Any) -> dict[str, Any]:
        url = engine_server.url if model.startswith("gemini") else engine_server.openai_url
        usual = {"start": START, "end": START + 40, "language": None, "speakers": [], "speech": 0.8, "speech_end": None}
        return listen({"model": f"{model}@{url}", "path": str(path), **usual, **given})

    return asked


def words(heard: dict[str, Any]) -> list[str]:
    return [word.strip(".").lower() for segment in heard["segments"] for word in segment["text"].split()]


def spoken(episode: Episode) -> list[str]:
    return [word.text.strip(".").lower() for word in episode.between(0, 40 * RATE)]


GEMINI, WHISPER = "gemini:gemini-2.5-flash", "openai:whisper-1"
TEXT_ONLY, DIARIZING = "openai:gpt-4o-transcribe", "openai:gpt-4o-transcribe-diarize"


@pytest.mark.parametrize("model", [GEMINI, WHISPER, TEXT_ONLY, DIARIZING])
def test_all_words_are_heard(ask: Any, episode: Episode, model: str) -> None:
    heard = ask(model)
    assert words(heard) == spoken(episode)
    assert heard["finish"] == "stop"
    assert (heard["start"], heard["end"]) == (START, START + 40)


@pytest.mark.parametrize("model", [GEMINI, WHISPER, DIARIZING])
def test_times_are_of_the_whole_episode(ask: Any, episode: Episode, model: str) -> None:
    first, *_, last = ask(model)["segments"]
    assert first["start"] == pytest.approx(START + episode.words[0].start / RATE, abs=0.05)
    assert last["end"] == pytest.approx(START + min(40, episode.between(0, 40 * RATE)[-1].end / RATE), abs=0.05)


def test_text_alone_is_spread_over_the_chunk(ask: Any) -> None:
    segments = ask(TEXT_ONLY)["segments"]
    assert len(segments) > 2
    assert segments[0]["start"] == START
    assert START + 30 < segments[-1]["start"] < segments[-1]["end"] <= START + 40


@pytest.mark.parametrize("model", [GEMINI, DIARIZING])
def test_speakers_are_told_with_words_of_theirs(ask: Any, model: str) -> None:
    heard = ask(model)
    labels = list(dict.fromkeys(segment["speaker"] for segment in heard["segments"]))
    assert [speaker["label"] for speaker in heard["speakers"]] == labels
    for speaker in heard["speakers"]:
        texts = [segment["text"] for segment in heard["segments"] if segment["speaker"] == speaker["label"]]
        assert any(text.startswith(speaker["said"]) for text in texts)


def test_known_speakers_keep_their_labels(ask: Any) -> None:
    heard = ask()
    known = [{**speaker, "label": f"Old {place}"} for place, speaker in enumerate(heard["speakers"], 1)]
    assert [speaker["label"] for speaker in ask(speakers=known)["speakers"]] == [one["label"] for one in known]


def test_what_the_engine_counted_is_told(ask: Any) -> None:
    assert ask()["usage"]["input_tokens"] > 1000
    assert ask(WHISPER)["usage"]["seconds"] == 40


def test_the_language_is_told(ask: Any, engine_server: EngineServer) -> None:
    assert ask()["language"] == "en"
    assert ask(WHISPER)["language"] == "en"
    assert code_of("Chinese") == "zh"
    assert code_of("haitian creole") == "ht"
    assert code_of("pt-BR") == "pt"
    assert code_of("Klingon") is None


def test_the_language_is_asked_for(ask: Any, engine_server: EngineServer) -> None:
    ask(language="de")
    ask(WHISPER, language="de")
    generated, transcribed = engine_server.log("generate")[-1], engine_server.log("transcribe")[-1]
    assert "The language is de" in str(generated)
    assert transcribed["question"]["fields"]["language"] == "de"


# -- answers that are not as they should be ---------------------------------------------------------------------------


def test_wrong_times_lose_no_word(ask: Any, engine_server: EngineServer, episode: Episode) -> None:
    engine_server.set(faults=["wrong_times"])
    heard = ask()
    assert words(heard) == spoken(episode)
    starts = [segment["start"] for segment in heard["segments"]]
    assert starts == sorted(starts)
    assert all(START <= segment["start"] <= segment["end"] <= START + 40 for segment in heard["segments"])


def test_a_fence_around_the_json_does_no_harm(ask: Any, engine_server: EngineServer, episode: Episode) -> None:
    engine_server.set(faults=["fenced"])
    assert words(ask()) == spoken(episode)


@pytest.mark.parametrize("fault", ["truncated", "loop"])
def test_an_answer_that_is_cut_off_says_so(ask: Any, engine_server: EngineServer, fault: str) -> None:
    engine_server.set(faults=[fault])
    heard = ask()
    assert (heard["finish"], heard["segments"]) == ("length", [])
    assert heard["usage"]["output_tokens"] > 0  # it was paid for


@pytest.mark.parametrize("fault", ["not_json", "cut_json"])
def test_json_that_can_not_be_read_is_tried_again(ask: Any, engine_server: EngineServer, fault: str) -> None:
    engine_server.set(faults=[fault])
    with pytest.raises(RemoteError, match=r"00:10:00 to 00:10:40: .*no JSON"):
        ask()


@pytest.mark.parametrize("fault", ["blocked", "safety", "empty"])
def test_a_block_names_the_stretch(ask: Any, engine_server: EngineServer, fault: str) -> None:
    engine_server.set(faults=[fault])
    with pytest.raises(EngineError, match=r"00:10:00 to 00:10:40: gemini"):
        ask()


@pytest.mark.parametrize("told_text", ['{"segments": "none"}', '{"text": "a"}', "[1]", "5"])
def test_json_of_another_kind(ask: Any, engine_server: EngineServer, told_text: str) -> None:
    engine_server.set(answer={"text": told_text})
    if told_text == "[1]":
        assert ask()["segments"] == []  # a list without segments in it
    else:
        with pytest.raises(RemoteError, match="makes no sense"):
            ask()


def test_an_answer_that_ends_long_before_the_speech_says_so(ask: Any, engine_server: EngineServer) -> None:
    segment = {"start": "00:01.0", "end": "00:03.0", "speaker": "Host", "text": "Hello and welcome."}
    engine_server.set(answer={"json": {"language": "en", "speakers": [], "segments": [segment]}})
    late = {"start": 0.0, "end": 600.0, "speech_end": 598.0}
    assert ask(**late)["finish"] == "early"
    assert ask(**{**late, "speech_end": 30.0})["finish"] == "stop"  # nobody speaks after that
    assert ask(**late, speech=0.1)["finish"] == "stop"  # hardly anybody does: it may be a noise
    engine_server.set(answer={"json": {"language": "en", "speakers": [], "segments": []}})
    assert ask(**late)["finish"] == "early"


def test_a_server_that_knows_only_text_is_asked_for_that(ask: Any, engine_server: EngineServer) -> None:
    engine_server.set(answer={"json": {"text": "Hello there. How are you?"}})
    heard = ask(WHISPER)
    assert [segment["text"] for segment in heard["segments"]] == ["Hello there.", "How are you?"]


def test_a_format_that_a_server_refuses_is_not_needed(ask: Any, engine_server: EngineServer, episode: Episode) -> None:
    assert words(ask("openai:my-diarizer")) == spoken(episode)
    assert [entry["status"] for entry in engine_server.log("transcribe")] == [400, 200]


# -- who is who -------------------------------------------------------------------------------------------------------


def whose(engine_server: EngineServer) -> dict[str, Any]:
    model = f"gemini:gemini-2.5-flash@{engine_server.url}"
    return who_is_who({"model": model, "speakers": ["Anna, minute 1", "Bert, minute 1", "Anna, minute 9"]})


def test_who_is_who(engine_server: EngineServer) -> None:
    groups = [{"members": [0, 2], "ground": "both are Anna"}, {"members": "all", "ground": 1}, 7]
    engine_server.set(answer={"json": {"groups": groups}})
    found = whose(engine_server)
    assert found["groups"] == [{"members": [0, 2], "ground": "both are Anna"}, {"members": [], "ground": ""}]
    assert found["usage"]["output_tokens"] > 0
    assert "2. Anna, minute 9" in str(engine_server.log("generate")[-1])


def test_an_engine_that_will_not_say_leaves_all_apart(engine_server: EngineServer) -> None:
    engine_server.set(faults=["blocked"])
    found = whose(engine_server)
    assert found["groups"] == []
    assert "blocked" in found["why"]


def test_nonsense_about_who_is_who_is_tried_again(engine_server: EngineServer) -> None:
    engine_server.set(answer={"text": "nobody knows"})
    with pytest.raises(RemoteError, match="no JSON"):
        whose(engine_server)
