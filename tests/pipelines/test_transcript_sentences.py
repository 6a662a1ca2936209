"""Segments of a transcript as sentences, and what is asked of a summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowboat.pipelines.transcribe.sentences import LONGEST, as_sentences
from narrowboat.pipelines.transcribe.summary import asked_words, summarise


def said(*parts: tuple[float, float, str], **more: Any) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "text": text, **more} for start, end, text in parts]


def texts(segments: list[dict[str, Any]], joiner: str = " ") -> list[tuple[float, float, str]]:
    return [(s["start"], s["end"], s["text"]) for s in as_sentences(segments, joiner)]


def test_a_sentence_over_two_segments_is_one_and_two_in_a_segment_are_two() -> None:
    segments = said((0.0, 2.0, " It was the best"), (2.0, 6.0, "of times. It was the worst."))
    assert texts(segments) == [(0.0, 3.333, "It was the best of times."), (3.481, 6.0, "It was the worst.")]


def test_a_pause_ends_a_sentence_and_so_does_another_speaker() -> None:
    assert [s[2] for s in texts(said((0.0, 1.0, "So I"), (3.5, 4.0, "well")))] == ["So I", "well"]
    two = said((0.0, 1.0, "and then"), speaker="Host") + said((1.0, 2.0, "yes"), speaker="Guest")
    assert [(s["speaker"], s["text"]) for s in as_sentences(two)] == [("Host", "and then"), ("Guest", "yes")]


def test_what_never_ends_is_ended() -> None:
    found = texts(said(*((float(n), n + 1.0, "on and on and on") for n in range(100))))
    assert all(len(text.split()) <= LONGEST + 5 for _, _, text in found)


@given(st.lists(st.text(alphabet='ab .!?…"。', max_size=30), max_size=12))
def test_no_word_is_lost_and_none_added(parts: list[str]) -> None:
    found = texts(said(*((float(n), n + 1.0, text) for n, text in enumerate(parts))))
    assert "".join("".join(text for _, _, text in found).split()) == "".join("".join(parts).split())
    assert [start for start, _, _ in found] == sorted(start for start, _, _ in found)


@pytest.mark.parametrize(
    ("words", "there", "asked"),
    [([400, 600], 9000, [400, 600]), ([400, 600], 900, [200, 300]), ([400, 600], 0, [1, 1]), ([5, 5], 9, [3, 3])],
)
def test_a_summary_is_shorter_than_what_it_sums_up(words: list[int], there: int, asked: list[int]) -> None:
    assert asked_words(words, there) == asked


def test_a_summary_says_what_it_has_and_what_was_asked_for(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    lines = [said((n * 4.0, n * 4.0 + 4, f"Lock {n} was the {n}th one that we passed by noon.")) for n in range(30)]
    items.write_text("".join(json.dumps({"segments": line}) + "\n" for line in lines))
    found = summarise({"items": str(items), "model": "extractive", "words": [40, 60], "language": "en"})
    assert found["asked_words"] == [40, 60]
    assert 40 <= found["words"] <= 60
    assert found["made_by"] == {"model": "extractive", "kind": "quotes"}
    assert found["words"] == sum(len(quote["text"].split()) for quote in found["quotes"])
    assert found["text"].count("\n") == len(found["quotes"]) - 1
