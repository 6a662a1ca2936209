"""Models that say the same again and again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import keys, openai_at
from fakes.running import EngineServer

from narrowboat.engines.speech.loops import LOOP, without_loops
from narrowboat.engines.speech.remote import listen
from narrowboat.engines.speech.timing import Said

__all__ = ["keys"]


def texts(*said: str) -> list[str]:
    return [one.text for one in without_loops(Said(text) for text in said)]


def test_what_nobody_says_is_kept_once() -> None:
    loop = ["Thank you.", "thank you"] * (LOOP // 2)
    assert texts("Well.", *loop, "And then?") == ["Well.", "Thank you.", "And then?"]


def test_what_people_say_stays() -> None:
    few = ["No."] * (LOOP - 1)
    assert texts(*few, "Yes.", *few) == [*few, "Yes.", *few]
    assert texts(*["So.", "What?"] * LOOP) == ["So.", "What?"] * LOOP


def test_two_who_say_the_same_are_two() -> None:
    said = [Said("Present.", speaker=f"pupil {number}") for number in range(2 * LOOP)]
    assert list(without_loops(said)) == said


@pytest.fixture
def heard(keys: None, engine_server: EngineServer, tmp_path: Path) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """What the step makes of the segments of an answer about 400 s in which somebody speaks to the end."""
    path = tmp_path / "chunk.flac"
    path.write_bytes(b"fLaC" + bytes(1000))

    def hear(segments: list[dict[str, Any]]) -> dict[str, Any]:
        engine_server.set(answer={"json": {"text": "", "language": "english", "segments": segments}})
        given = {"path": str(path), "start": 0.0, "end": 400.0, "language": None, "speakers": [], "samples": []}
        speech = {"speech": 1.0, "speech_end": 399.0}
        result = listen({"model": openai_at(engine_server.openai_url, "whisper-1").name, **given, **speech})
        return json.loads(json.dumps(result))  # type: ignore[no-any-return]

    return hear


def test_a_loop_to_the_end_is_no_whole_answer(heard: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
    good = [{"start": 10.0 * at, "end": 10.0 * at + 9, "text": f"Sentence {at}."} for at in range(20)]
    loop = [{"start": 200.0 + 2 * at, "end": 202.0 + 2 * at, "text": "Thank you."} for at in range(100)]
    found = heard([*good, *loop])
    assert [segment["text"] for segment in found["segments"]] == [*(one["text"] for one in good), "Thank you."]
    assert found["finish"] == "early"


def test_a_loop_on_the_way_costs_nothing_else(heard: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
    loop = [{"start": 2.0 * at, "end": 2.0 * at + 2, "text": "Music."} for at in range(50)]
    good = [{"start": 100.0 + 10 * at, "end": 109.0 + 10 * at, "text": f"Sentence {at}."} for at in range(30)]
    found = heard([*loop, *good])
    assert [segment["text"] for segment in found["segments"]] == ["Music.", *(one["text"] for one in good)]
    assert found["finish"] == "stop"
