"""Tokens to words, words to cues."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from narrowboat.engines.speech.cues import LONGEST, MOST_CHARACTERS, cues
from narrowboat.engines.speech.vocabulary import Vocabulary
from narrowboat.engines.speech.whisper import Word, repeats, word_ends
from narrowboat.errors import UsageError

MARKS = ["<|endoftext|>", "<|startoftranscript|>"]


def folder_with(path: Path, tokens: list[str], kind: str = "txt") -> Path:
    text = "".join(f"{token}\n" for token in tokens) if kind == "txt" else json.dumps(tokens)
    (path / f"vocabulary.{kind}").write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("kind", ["txt", "json"])
def test_tokens_to_text(tmp_path: Path, kind: str) -> None:
    tokens = ["Ġthe", "ĠcafÃ", "©", "ðŁ", "ĺĢ", "Ċ", *MARKS, "<|notimestamps|>"]
    vocabulary = Vocabulary(folder_with(tmp_path, tokens, kind))
    assert vocabulary.text([0, 1, 2]) == " the café"
    assert vocabulary.text([3, 4]) == "😀"
    assert vocabulary.text([0, 3]) == " the"  # half a character is left out
    assert vocabulary.text([0, 6, 7, 8]) == " the"
    assert vocabulary.prompt(None) == [7, 8]


def test_a_multilingual_prompt(tmp_path: Path) -> None:
    filler = [f"t{number}" for number in range(51_860)]
    marks = [*MARKS, "<|de|>", "<|transcribe|>", "<|notimestamps|>"]
    vocabulary = Vocabulary(folder_with(tmp_path, [*filler, *marks]))
    assert vocabulary.multilingual
    assert vocabulary.prompt("de") == [51_861, 51_862, 51_863, 51_864]
    assert vocabulary.knows_language("de")
    assert not vocabulary.knows_language("fr")


def test_a_foreign_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="startoftranscript"):
        Vocabulary(folder_with(tmp_path, ["a", "<|endoftext|>"]))
    (tmp_path / "vocabulary.json").write_text("{")
    with pytest.raises(UsageError):
        Vocabulary(tmp_path)


def test_words_begin_at_spaces_and_never_inside_a_character() -> None:
    assert word_ends([b" one", b" tw", b"o", b" three"], False) == [(0, 1), (1, 3), (3, 4)]
    euro = "€".encode()
    assert word_ends([euro[:1], euro[1:], b" x"], False) == [(0, 2), (2, 3)]
    assert word_ends([euro[:1], euro[1:2], euro[2:], euro], True) == [(0, 3), (3, 4)]
    assert word_ends([b"\xff", b" a"], False) == [(0, 1), (1, 2)]  # not UTF-8 at all
    assert word_ends([], False) == []


def test_repeated_text_is_noticed() -> None:
    assert repeats(" and so on" * 30)
    assert not repeats("It was the best of times, it was the worst of times, it was the age of wisdom.")
    assert not repeats("")


def spoken(text: str, pace: float = 0.3, start: float = 0.0) -> list[Word]:
    words = text.split(" ")
    return [
        Word(f" {word}", start + place * pace, start + (place + 1) * pace, -0.1, 1) for place, word in enumerate(words)
    ]


LONG = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity. We had everything before us. Yes."
)


def test_cues_are_short_in_order_and_whole() -> None:
    found = cues(spoken(LONG), 100.0)
    assert " ".join(cue["text"] for cue in found) == LONG
    assert all(len(cue["text"]) <= MOST_CHARACTERS for cue in found)
    assert all(0 < cue["end"] - cue["start"] <= LONGEST + 0.01 for cue in found)
    assert all(one["end"] <= two["start"] for one, two in pairwise(found))
    assert found[0]["start"] == 100.0
    assert all(cue["confidence"] == 0.905 for cue in found)


def test_cues_end_with_sentences_and_clauses() -> None:
    texts = [cue["text"] for cue in cues(spoken(LONG), 0.0)]
    assert all(text[-1] in ",." for text in texts)
    assert "We had everything before us." in texts


def test_a_point_before_a_small_letter_ends_nothing() -> None:
    assert [cue["text"] for cue in cues(spoken("Come at ten a.m. for the meeting."), 0.0)] == [
        "Come at ten a.m. for the meeting."
    ]


def test_a_pause_ends_a_cue_and_a_short_sentence_joins_the_next() -> None:
    words = [*spoken("Wait for"), *spoken("it there", start=3.0)]
    assert [cue["text"] for cue in cues(words, 0.0)] == ["Wait for", "it there"]
    assert [cue["text"] for cue in cues(spoken("Yes. I think so."), 0.0)] == ["Yes. I think so."]


def test_words_without_length_still_give_cues_that_last() -> None:
    found = cues([Word(" Oh.", 1.0, 1.0, 0.0, 1)], 0.0)
    assert found[0]["end"] > found[0]["start"]
    assert found[0]["confidence"] == 1.0
    assert cues([], 0.0) == []
    assert cues([Word(" ", 0.0, 1.0, 0.0, 1)], 0.0) == []
