"""Long texts part by part: all of it is read, once, and the parts are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowboat import context
from narrowboat.engines.language.parts import Passage, Text, TooLong, Words, over_all, parted, tokens
from narrowboat.errors import EngineError


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path) -> Iterator[None]:
    before = context.current()
    context.enter(context.Context(tmp_path / "scratch"))
    yield
    context.enter(before)


def told(count: int) -> list[Passage]:
    return [{"start": float(n), "end": n + 1.0, "text": f"This is what was said as number {n}."} for n in range(count)]


class Model:
    """Writes as many words as are asked for; takes in so many tokens."""

    def __init__(self, most: int = 10**9) -> None:
        self.most = most
        self.asked: list[tuple[list[Passage], Words]] = []

    def __call__(self, passages: Sequence[Passage], words: Words) -> Text:
        self.asked.append((list(passages), words))
        if sum(tokens(str(passage["text"])) for passage in passages) > self.most:
            raise TooLong
        return Text(" ".join(["word"] * (words or (20, 20))[1]), False, 5, 2)


@given(st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=60), st.integers(1, 400))
def test_parts_hold_all_of_it_in_order(texts: list[str], room: int) -> None:
    passages = [{"text": text} for text in texts]
    parts = parted(passages, room)
    assert [passage for part in parts for passage in part] == passages
    for part in parts:
        assert len(part) == 1 or sum(tokens(passage["text"]) + 10 for passage in part) <= room


def test_parts_are_alike() -> None:
    sizes = [len(part) for part in parted(told(1000), 2000)]
    assert max(sizes) - min(sizes) <= 3


def test_what_fits_is_asked_about_at_once() -> None:
    model = Model()
    assert over_all(model, told(5), (10, 20), 1000, key="k") == Text(" ".join(["word"] * 20), False, 5, 2)
    assert model.asked == [(told(5), (10, 20))]


def test_texts_about_parts_share_the_words() -> None:
    model = Model()
    text = over_all(model, told(60), (400, 600), 300, key="k", one_text=False)
    count = len(model.asked)
    assert count > 2
    assert all(words == (400 // count, 600 // count) for _, words in model.asked)
    assert len(text.text.split()) == 600 // count * count
    assert text.tokens_in == 5 * count


def test_where_there_are_too_many_parts_they_are_taken_together_first() -> None:
    model = Model()
    text = over_all(model, told(2000), (100, 200), 500, key="k", one_text=False)
    assert len(text.text.split()) <= 200
    assert {passage["start"] for part, _ in model.asked for passage in part} >= {float(n) for n in range(2000)}


def test_one_text_comes_of_many_parts_with_their_places() -> None:
    model = Model(most=900)
    text = over_all(model, told(400), (100, 200), 800, key="k")
    assert len(text.text.split()) == 200
    last, words = model.asked[-1]
    assert words == (100, 200)
    assert (last[0]["start"], last[-1]["end"]) == (0.0, 400.0)


def test_an_estimate_that_was_too_small_is_corrected() -> None:
    model = Model(most=200)
    assert over_all(model, told(100), (10, 20), 1000, key="k").text
    assert over_all(Model(most=200), told(100), (10, 20), None, key="k").text


@pytest.mark.parametrize("most", [1, 10])
def test_what_comes_to_no_end_is_ended(most: int) -> None:
    with pytest.raises(EngineError, match="takes in too little"):
        over_all(Model(most=most), told(20), (10, 20), None, key="k")


def test_a_model_that_writes_more_than_it_reads_is_ended() -> None:
    def chatty(passages: Sequence[Passage], words: Words) -> Text:
        return Text("word " * 3000)

    with pytest.raises(EngineError, match="more than it reads"):
        over_all(chatty, told(40), (10, 20), 200, key="k")


def test_what_was_answered_before_is_not_asked_again() -> None:
    class Fails(Model):
        def __call__(self, passages: Sequence[Passage], words: Words) -> Text:
            if len(self.asked) == 3:
                raise EngineError("no")
            return super().__call__(passages, words)

    first, second, third = Fails(), Model(), Model()
    with pytest.raises(EngineError):
        over_all(first, told(200), (10, 20), 300, key="k")
    text = over_all(second, told(200), (10, 20), 300, key="k")
    assert [asked for asked in second.asked if asked in first.asked] == []
    assert over_all(third, told(200), (10, 20), 300, key="another") == text
    assert len(third.asked) == len(second.asked) + 3


def test_a_part_that_is_answered_with_nothing_is_an_error() -> None:
    def silent(passages: Sequence[Passage], words: Words) -> Any:
        return Text("…")

    with pytest.raises(EngineError, match="wrote nothing"):
        over_all(silent, told(200), (10, 20), 300, key="k")


@pytest.mark.parametrize(("text", "least", "most"), [("", 1, 1), ("boat " * 100, 100, 200), ("船" * 100, 100, 200)])
def test_tokens_are_estimated_on_the_safe_side(text: str, least: int, most: int) -> None:
    assert least <= tokens(text) <= most
