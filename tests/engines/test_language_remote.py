"""Remote models asked about passages: what they are told, answers of the wrong length, texts that are too long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import keys, openai_at, send_json
from fakes.running import EngineServer
from loopback import Request, Server, serve

from narrowboat import context
from narrowboat.engines.language.remote import complete
from narrowboat.errors import EngineError, UsageError

__all__ = ["keys", "serve"]
pytestmark = pytest.mark.usefixtures("keys")
PASSAGES = [
    {"start": 0.0, "end": 9.0, "text": "Coal cost nine pounds a bag.", "speaker": "Host"},
    {"start": 3725.0, "end": 3730.0, "text": "The mill took flour.", "speaker": "Guest"},
]


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path) -> Iterator[None]:
    before = context.current()
    context.enter(context.Context(tmp_path / "scratch"))
    yield
    context.enter(before)


def ask(model: str, **inputs: Any) -> dict[str, Any]:
    given = {"system": "Sum it up.", "prompt": "", "passages": PASSAGES, "words": None, "schema": None}
    return complete({"model": model, **given, "max_tokens": 100, **inputs})


class Told:
    """A server whose answers are the texts given, one after the other; a number is a status."""

    def __init__(self, *answers: str | int, most: int = 10**9) -> None:
        self.answers, self.most = list(answers), most
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> None:
        body = json.loads(request.body)
        self.asked.append(body)
        size = len(body["messages"][-1]["content"])
        if size > self.most:
            error = {"message": f"you asked for {size}", "code": "context_length_exceeded"}
            return send_json(request, {"error": error}, "400 Bad Request")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return send_json(request, {"error": {"message": "no"}}, f"{answer} No")
        usage = {"prompt_tokens": 10, "completion_tokens": 3}
        choice = {"message": {"content": answer}, "finish_reason": "stop"}
        send_json(request, {"choices": [choice], "usage": usage})


def words(count: int) -> str:
    return " ".join(["boat"] * count) + "."


def test_a_model_is_told_what_was_said_when_and_by_whom(engine_server: EngineServer) -> None:
    answer = ask(f"gemini:flash@{engine_server.url}", prompt="What did coal cost?")
    assert answer["made_by"] == {"model": f"gemini:flash@{engine_server.url}", "kind": "remote model"}
    (seen,) = engine_server.log("generate")
    (asked,) = seen["question"]["texts"]
    assert "[00:00:00] Host: Coal cost nine pounds a bag." in asked
    assert "[01:02:05] Guest: The mill took flour." in asked
    assert asked.rstrip().endswith("What did coal cost?")
    assert seen["question"]["system"] == "Sum it up."


def test_a_model_is_told_how_long_the_answer_is_to_be(serve: Callable[..., Server]) -> None:
    told = Told(words(25))
    answer = ask(openai_at(serve(told).url("")).name, words=[20, 30])
    assert "Write 20 to 30 words." in told.asked[0]["messages"][-1]["content"]
    assert len(told.asked) == 1
    assert answer["usage"] == {"input_tokens": 10, "output_tokens": 3}


@pytest.mark.parametrize(("first", "much"), [(90, "too many"), (3, "too few")])
def test_an_answer_of_another_length_is_asked_for_once_more(
    serve: Callable[..., Server], first: int, much: str
) -> None:
    told = Told(words(first), words(28))
    answer = ask(openai_at(serve(told).url("")).name, words=[20, 30])
    assert answer["text"] == words(28)
    assert answer["usage"] == {"input_tokens": 20, "output_tokens": 6}
    assert f"That has {first} words, which is {much}" in told.asked[1]["messages"][-1]["content"]
    assert words(first) in told.asked[1]["messages"][-1]["content"]


@pytest.mark.parametrize("second", [words(200), 503, 400])
def test_the_better_of_the_two_is_taken_and_nothing_is_lost(serve: Callable[..., Server], second: str | int) -> None:
    told = Told(words(50), second)
    assert ask(openai_at(serve(told).url("")).name, words=[20, 30])["text"] == words(50)
    assert len(told.asked) == 2


def test_a_text_that_is_too_long_is_asked_about_part_by_part(serve: Callable[..., Server]) -> None:
    passages = [{"start": float(n), "end": n + 1.0, "text": f"Boat {n} passed the lock at noon."} for n in range(200)]
    told = Told(words(40), most=4000)
    answer = ask(openai_at(serve(told).url("")).name, passages=passages, words=[30, 50])
    taken = [asked["messages"][-1]["content"] for asked in told.asked if len(asked["messages"][-1]["content"]) <= 4000]
    assert all(any(f"Boat {n} passed" in text for text in taken) for n in range(200))
    assert answer["text"] == words(40)
    assert answer["usage"]["input_tokens"] == 10 * len(taken)

    again = Told(words(40), most=4000)
    ask(openai_at(serve(again).url("")).name, passages=passages, words=[30, 50])
    assert len(again.asked) == len(told.asked), "another model is asked anew"


def test_parts_that_were_answered_are_not_asked_about_again(serve: Callable[..., Server]) -> None:
    passages = [{"start": float(n), "end": n + 1.0, "text": f"Boat {n} passed the lock at noon."} for n in range(200)]
    told = Told(*[words(40)] * 4, 400, words(40), most=4000)
    model = openai_at(serve(told).url("")).name
    with pytest.raises(EngineError):
        ask(model, passages=passages, words=[30, 50])
    before = len(told.asked)
    ask(model, passages=passages, words=[30, 50])
    texts = [asked["messages"][-1]["content"] for asked in told.asked]
    assert len({text for text in texts if len(text) <= 4000}) == len([text for text in texts if len(text) <= 4000]) - 1
    assert len(told.asked) > before


def test_a_model_that_takes_in_nothing_comes_to_an_end(serve: Callable[..., Server]) -> None:
    with pytest.raises(EngineError, match="takes in too little"):
        ask(openai_at(serve(Told("x", most=10)).url("")).name)


def test_other_models_are_not_for_it() -> None:
    with pytest.raises(UsageError, match="is no remote model"):
        ask("extractive")
