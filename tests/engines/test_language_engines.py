"""Every language engine behind the one interface: what goes in, what comes out, and what each may not do."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from asking import keys

from narrowboat.engines.language.extractive import complete, quoted
from narrowboat.engines.language.wording import count_words, sentences, terms
from narrowboat.engines.language_models import language_demand, language_model
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB

STORY = [
    {
        "start": 0.0,
        "end": 9.0,
        "text": "The narrow boat left the lock at dawn. Mr. Hale stood at the tiller and smiled.",
    },
    {"start": 9.0, "end": 15.0, "text": "His dog slept on the roof of the cabin, next to the coal."},
    {"start": 15.0, "end": 24.0, "text": "Coal for the boat cost nine pounds a bag that winter, he said."},
    {
        "start": 24.0,
        "end": 33.0,
        "text": "The boat carried coal, and the boat carried flour, along one canal to the mill.",
    },
    {"start": 33.0, "end": 36.0, "text": "Nobody asked him why."},
]
__all__ = ["keys"]
Engine = Callable[..., dict[str, Any]]


@pytest.fixture(params=["extractive", "gguf", "gemini", "openai"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """An engine by its model's name, called as the step is."""
    more: dict[str, Any] = {}
    if request.param == "gguf":
        more = {"path": str(request.getfixturevalue("smollm2"))}
        model = language_model("gguf:smollm2")
    elif request.param == "extractive":
        model = language_model("extractive")
    else:
        request.getfixturevalue("keys")
        url = request.getfixturevalue("engine_server").url
        model = language_model(f"gemini:flash@{url}" if request.param == "gemini" else f"openai:gpt-4o-mini@{url}/v1")
    module, function = model.function.split(":")
    found = getattr(importlib.import_module(module), function)

    def call(**inputs: Any) -> dict[str, Any]:
        given = {"system": "Answer from the text.", "prompt": "", "passages": STORY, "words": None, "schema": None}
        answer = found({"model": model.name, **more, **given, "max_tokens": 60, **inputs})
        assert answer["made_by"]["kind"] == model.kind
        assert isinstance(answer, dict)
        return answer

    return call


# -- what holds for each --------------------------------------------------------------------------------------------


def test_an_answer_has_what_the_interface_says(engine: Engine) -> None:
    answer = engine(prompt="What did coal cost?")
    assert answer["text"].strip()
    assert answer["finish"] in ("stop", "length")
    assert set(answer["usage"]) == {"input_tokens", "output_tokens"}
    assert set(answer["made_by"]) == {"model", "kind"}


def test_the_same_again_gives_the_same(engine: Engine) -> None:
    assert engine(words=[5, 20]) == engine(words=[5, 20])


def test_an_answer_has_an_end(engine: Engine) -> None:
    long = [{"start": float(n), "end": n + 1.0, "text": f"Boat {n} passed the lock at noon."} for n in range(50)]
    assert count_words(engine(passages=long, max_tokens=40)["text"]) <= 80


# -- quotes ---------------------------------------------------------------------------------------------------------


def quotes(**inputs: Any) -> list[dict[str, Any]]:
    return list(complete({"passages": STORY, "prompt": "", **inputs})["quotes"])


def test_quotes_are_word_for_word_with_their_places() -> None:
    found = quotes(words=[20, 40])
    assert 20 <= sum(count_words(quote["text"]) for quote in found) <= 40
    for quote in found:
        assert any(quote["text"] in passage["text"] and quote["start"] == passage["start"] for passage in STORY)
    assert [quote["start"] for quote in found] == sorted(quote["start"] for quote in found)


def test_a_prompt_is_answered_with_the_sentence_that_has_its_rarest_words() -> None:
    assert quotes(prompt="How many pounds was a bag?", words=[1, 13])[0]["text"].startswith("Coal for the boat cost")


def test_what_nothing_answers_is_not_answered() -> None:
    answer = complete({"passages": STORY, "prompt": "submarine", "words": None})
    assert (answer["text"], answer["quotes"], answer["finish"]) == ("", [], "stop")


@pytest.mark.parametrize("passages", [[], [{"text": ""}], [{"text": "… !"}]])
def test_nothing_to_quote(passages: list[dict[str, Any]]) -> None:
    assert complete({"passages": passages, "prompt": "", "words": [5, 10]})["quotes"] == []


def test_nothing_is_quoted_twice_when_it_is_said_twice() -> None:
    said = "We sail at dawn with coal and flour."
    found = quotes(
        passages=[{"text": said}, {"text": "The mill waits for its flour by noon."}, {"text": said}], words=[14, 16]
    )
    assert sorted(quote["text"] for quote in found) == ["The mill waits for its flour by noon.", said]


def test_a_quote_says_where_it_stands() -> None:
    assert quoted({"start": 3723.9, "end": 3730.0, "text": "So."}) == "[01:02:03] So."
    assert quoted({"page": 7, "text": "So."}) == "[p. 7] So."
    assert quoted({"text": "So."}) == "So."
    assert quoted({"start": 1.0, "speaker": "Host", "text": "So."}) == "[00:00:01] Host: So."


# -- words of any language ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. Hale met Dr. J. Smith. He left.", ["Mr. Hale met Dr. J. Smith.", "He left."]),
        ('He said "go." Then 3.5 miles', ['He said "go."', "Then 3.5 miles"]),
        ("今日は雨です。明日は?晴れ。", ["今日は雨です。", "明日は?晴れ。"]),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentences(text)] == parts


def test_words_are_counted_in_any_script() -> None:
    assert [count_words(text) for text in ("It's well-known, 9 am.", "今日は雨", "Ça va?", " – ")] == [4, 4, 2, 0]


def test_terms_compare_in_one_case_and_in_pairs_without_spaces() -> None:
    assert list(terms("Coal COAL")) == ["coal", "coal"]
    assert list(terms("今日は")) == ["今日", "日は"]


# -- the catalogue --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "gpt", "extractive2", "local:whisper-base"])
def test_an_unknown_model_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="extractive"):
        language_model(name)


def test_a_longer_transcript_asks_for_more() -> None:
    model = language_model("extractive")
    short, long = (language_demand(model, {"duration": hours * 3600.0}).bytes for hours in (0.1, 10))
    assert 32 * MIB < short < long < 128 * MIB
