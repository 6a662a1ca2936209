"""A transcript's segments as sentences with times. Loads in workers only.

Covers: joining what recognition cut in the middle of a sentence, parting what holds several; passages of sentences.
Does not cover: what is done with them (``summary``), how sentences end (``engines/language/wording``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from narrowboat.engines.language.wording import count_words, is_finished, sentences

PAUSE = 2.0  # seconds of silence that end a sentence
LONGEST = 60  # words after which one is taken to have ended
PASSAGE = 120  # words of a passage: less than a minute of speech, and what models of text take for one thought

Sentence = dict[str, Any]


def read_segments(items: Path) -> Iterator[dict[str, Any]]:
    """The segments in a file of items, one a line: ``{"segments": [{"start", "end", "text"}]}``."""
    with items.open("rb") as file:
        for line in file:
            if line.strip():
                yield from json.loads(line).get("segments") or ()


def as_sentences(segments: Iterable[dict[str, Any]], joiner: str = " ") -> Iterator[Sentence]:
    """``{"start", "end", "text"}`` in seconds, and ``speaker`` where it is known.

    Inside a segment times are by characters. ``joiner`` stands between the pieces of a sentence.
    """
    begun: Sentence | None = None
    for piece in (piece for segment in segments for piece in _pieces(segment)):
        if begun is not None and (
            piece["start"] - begun["end"] >= PAUSE or piece.get("speaker") != begun.get("speaker")
        ):
            yield begun
            begun = None
        begun = piece if begun is None else _joined(begun, piece, joiner)
        if is_finished(begun["text"]) or count_words(begun["text"]) >= LONGEST:
            yield begun
            begun = None
    if begun is not None:
        yield begun


def as_passages(sentences: Iterable[Sentence], joiner: str = " ") -> Iterator[Sentence]:
    """Sentences of one speaker joined up to :data:`PASSAGE` words: with fewer places a text is easier to take in."""
    begun: Sentence | None = None
    count = 0
    for sentence in sentences:
        more = count_words(sentence["text"])
        same = begun is not None and sentence.get("speaker") == begun.get("speaker")
        if begun is not None and (not same or count + more > PASSAGE):
            yield begun
            begun = None
        begun, count = (sentence, more) if begun is None else (_joined(begun, sentence, joiner), count + more)
    if begun is not None:
        yield begun


def _pieces(segment: dict[str, Any]) -> Iterator[Sentence]:
    text = " ".join(str(segment["text"]).split())
    start, length = float(segment["start"]), float(segment["end"]) - float(segment["start"])
    for begin, end in sentences(text):
        piece: Sentence = {
            "start": round(start + length * begin / len(text), 3),
            "end": round(start + length * end / len(text), 3),
            "text": text[begin:end],
        }
        yield {**piece, "speaker": segment["speaker"]} if segment.get("speaker") else piece


def _joined(one: Sentence, other: Sentence, joiner: str) -> Sentence:
    return {**one, "end": other["end"], "text": f"{one['text']}{joiner}{other['text']}"}
