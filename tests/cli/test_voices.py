"""Speakers whom an engine tells apart anew in each chunk: samples of the first ones' voices go with the others."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable

import pytest
from command_harness import Cli, Done
from fakes.decoding import RATE
from fakes.episode import Episode, build
from fakes.made_up import clips
from fakes.running import EngineServer

MODEL = "openai:gpt-4o-transcribe-diarize"
Hear = Callable[[], Done]


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Episode:
    """Four minutes, in which two speak for 80 seconds, then one of them and a third, then that one and the first."""
    return build(clips(18), tmp_path_factory.mktemp("episode"), seconds=240, seed=2, scene=80)


@pytest.fixture
def hear(cli: Cli, engine_server: EngineServer, episode: Episode) -> Hear:
    engine_server.set(answer="hearing", episodes=[str(episode.folder)])
    options = ("--model", f"{MODEL}@{engine_server.openai_url}", "--chunk", "1m", "--formats", "json")
    return lambda: cli.run("transcribe", episode.flac, *options, OPENAI_API_KEY="sk-planted")


def labels(cli: Cli, episode: Episode) -> dict[str, set[str]]:
    """What each speaker is called in the transcript."""
    found: dict[str, set[str]] = defaultdict(set)
    words = iter(episode.words)
    transcript = json.loads((cli.out / "episode.json").read_text())
    for segment in transcript["segments"]:
        for word in segment["text"].split():
            said = next(words)
            assert said.text == word
            found[said.speaker].add(segment["speaker"])
    return found


def test_the_first_ones_keep_their_labels_and_nobody_else_gets_them(
    hear: Hear, cli: Cli, episode: Episode, engine_server: EngineServer
) -> None:
    assert hear().code == 0
    first = {word.speaker for word in episode.between(0, 60 * RATE)}
    called = labels(cli, episode)
    assert [len(called[speaker]) for speaker in first] == [1] * len(first)
    assert all(one.isdisjoint(other) for one in called.values() for other in called.values() if one is not other)
    names = [entry["question"]["fields"].get("known_speaker_names[]") for entry in engine_server.log("transcribe")]
    assert names[0] is None
    assert all(len(known) == len(first) for known in names[1:])


def test_a_server_that_takes_no_samples_mixes_nobody_up(
    hear: Hear, cli: Cli, episode: Episode, engine_server: EngineServer
) -> None:
    engine_server.set(voices=False)
    assert hear().code == 0
    called = labels(cli, episode)
    assert all(one.isdisjoint(other) for one in called.values() for other in called.values() if one is not other)


def test_samples_are_gone_with_the_job(hear: Hear, cli: Cli) -> None:
    assert hear().code == 0
    assert list(cli.home.rglob("*.flac")) == []
