"""Language models through the command: what they write, what it costs, what is told, and that keys are nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_harness import Cli, Done, cut
from fakes.running import EngineServer
from loopback import Request, Server, serve

__all__ = ["serve"]
TINY = ("--model", "local:whisper-tiny.en", "--formats", "txt,json", "--summary", "--summary-words", "5-9")
KEYS = {"GEMINI_API_KEY": "AIzaPlanted-1d2e3f4a5b6c", "OPENAI_API_KEY": "sk-planted-6b5a4f3e2d1c"}


@pytest.fixture
def clip(speech: Path, tmp_path: Path) -> Path:
    return cut(speech, tmp_path / "clip.wav", 0, 20)


def nowhere(cli: Cli, *done: Done) -> None:
    """No key, nor half of one, is in what was written or said."""
    said = [one.out.encode() + one.err.encode() for one in done]
    files = [path for folder in (cli.home, cli.out) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 2
    for content in [*said, *(path.read_bytes() for path in files)]:
        for key in KEYS.values():
            assert key[:12].encode() not in content
            assert key[-12:].encode() not in content


def test_a_model_that_is_far_away_sums_up(cli: Cli, clip: Path, engine_server: EngineServer) -> None:
    engine_server.set(answer={"text": "It was the best and the worst of times."})
    model = f"gemini:flash@{engine_server.url}"
    done = cli.run("transcribe", clip, *TINY, "--summary-model", model, **KEYS)
    assert done.code == 0, done.err
    summary = json.loads((cli.out / "clip.json").read_text())["summary"]
    assert summary["text"] == "It was the best and the worst of times."
    assert summary["made_by"] == {"model": model, "kind": "remote model"}
    assert summary["usage"]["output_tokens"] > 0
    assert (cli.out / "clip.summary.txt").read_text().startswith(f"Summary (written by {model})")
    (seen,) = engine_server.log("generate")
    (asked,) = seen["question"]["texts"]
    assert "[00:00:00] It was the best of times" in asked
    assert "Write 5 to 9 words." in asked
    assert not seen["key_in_url"]

    again = cli.run("transcribe", clip, *TINY, "--summary-model", model, "--json", **KEYS)
    assert again.json["jobs"][0]["state"] == "done"
    assert len(engine_server.log()) == 1, "what was paid for is not asked again"
    nowhere(cli, done, again, cli.run("show", "j1"), cli.run("show", "j1", "--json"))


def test_a_server_that_shows_the_key_gives_it_to_nobody(cli: Cli, clip: Path, serve: Callable[..., Server]) -> None:
    def echo(request: Request) -> None:
        key = request.headers["authorization"]
        assert KEYS["OPENAI_API_KEY"] in key
        body = json.dumps({"error": {"message": f"You sent {key}, {key[7:]}"}}).encode()
        request.send("401 No", body, Connection="close")

    model = f"openai:small@{serve(echo).url('/v1')}"
    done = cli.run("transcribe", clip, *TINY, "--summary-model", model, **KEYS)
    assert done.code == 1
    assert "does not know the key (401)" in done.err + done.out
    assert (cli.out / "clip.txt").exists(), "the transcript is there when the summary can't be had"
    report = cli.run("transcribe", clip, *TINY, "--summary-model", model, "--json", **KEYS)
    assert report.json["jobs"][0]["reason"]["code"] == "engine"
    nowhere(cli, done, report, cli.run("show", "j1"), cli.run("jobs", "--json"))


def test_a_small_model_on_this_machine_sums_up(cli: Cli, clip: Path) -> None:
    pulled = cli.run("models", "pull", "gguf:smollm2")
    if pulled.code != 0:
        pytest.skip(f"the pack can't be had: {pulled.err.strip()}")
    done = cli.run("transcribe", clip, *TINY, "--summary-model", "gguf:smollm2")
    assert done.code == 0, done.err
    summary: dict[str, Any] = json.loads((cli.out / "clip.json").read_text())["summary"]
    assert summary["made_by"] == {"model": "gguf:smollm2", "kind": "small local model"}
    assert "check it against the transcript" in (cli.out / "clip.summary.txt").read_text().splitlines()[0]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gemini:flash", "gemini:flash needs a key"),
        ("openai:small@host:8000/v1", "begins with http"),
        ("gguf:nothing", "there is no language model gguf:nothing"),
        ("gguf:/no/such.gguf", "there is no file /no/such.gguf"),
    ],
)
def test_a_model_that_can_not_be_had_is_told_before_anything_starts(cli: Cli, model: str, said: str) -> None:
    done = cli.run("transcribe", "missing.mp3", *TINY, "--summary-model", model, GEMINI_API_KEY="", GOOGLE_API_KEY="")
    assert done.code == 2
    assert said in done.err
    assert not cli.home.exists()


def test_models_tells_of_those_that_are_far_away(cli: Cli) -> None:
    done = cli.run("models", **{**KEYS, "OPENAI_API_KEY": ""})
    assert "gguf:smollm2" in done.out
    assert any("gemini:MODEL" in line and "GEMINI_API_KEY is set" in line for line in done.out.splitlines())
    assert any("openai:MODEL" in line and "OPENAI_API_KEY is not set" in line for line in done.out.splitlines())
    remote = {engine["name"]: engine["key"] for engine in cli.run("models", "--json", **KEYS).json["remote"]}
    assert remote == {"gemini:MODEL": True, "openai:MODEL": True}
    assert KEYS["GEMINI_API_KEY"] not in done.out
