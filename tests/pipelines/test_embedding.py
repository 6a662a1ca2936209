"""Vectors of passages: as a stream that goes on anywhere, in parts, and as a part of the JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from narrowboat.engines.embedding_models import TEXTS_AT_ONCE
from narrowboat.media.vectors import write_vectors
from narrowboat.pipelines.transcribe import embedding
from narrowboat.pipelines.transcribe.sentences import PASSAGE, as_passages

WORDS = "The boat passed the lock and the mill, and took on coal at noon."


@pytest.fixture
def transcript(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    segments = [{"start": n * 4.0, "end": n * 4.0 + 4, "text": f"{WORDS} It was number {n}."} for n in range(700)]
    path.write_text("".join(json.dumps({"segments": segments[at : at + 7]}) + "\n" for at in range(0, 700, 7)))
    return path


@pytest.fixture
def given(transcript: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """With a model that counts letters."""

    def vectors(model: str, texts: list[str]) -> list[list[float]]:
        rows = [[text.count(letter) + 1 / 3 for letter in "abcd"] for text in texts]
        return [[number / math.hypot(*row) for number in row] for row in rows]

    monkeypatch.setattr("narrowboat.engines.embedding.remote.vectors", vectors)
    return {"items": str(transcript), "language": "en", "model": "openai:m@http://127.0.0.1:1/v1"}


def test_passages_are_of_a_speaker_and_not_too_long() -> None:
    said = [{"start": n, "end": n + 1, "text": WORDS, "speaker": "Host" if n < 20 else "Guest"} for n in range(40)]
    passages = list(as_passages(said))
    assert all(len(passage["text"].split()) <= PASSAGE for passage in passages)
    assert [passage["speaker"] for passage in passages] == ["Host"] * 3 + ["Guest"] * 3
    assert [(passage["start"], passage["end"]) for passage in passages][::2] == [(0, 8), (16, 20), (28, 36)]


def test_a_stream_goes_on_anywhere_and_parts_are_the_same(given: dict[str, Any]) -> None:
    count = embedding.count(given)
    assert count > 2 * TEXTS_AT_ONCE
    items = list(embedding.embed({**given, "count": count}, None))
    assert sum(len(item.value["passages"]) for item in items) == count
    for at, item in enumerate(items):
        again = list(embedding.embed({**given, "count": count}, item.cursor))
        assert again == items[at + 1 :]
        assert embedding.embed_some({**given, "part": at}) == item.value
    first = items[0].value["passages"][0]
    assert (first["start"], first["words"], len(first["vector"])) == (0.0, first["words"], 4)
    assert all(round(number, 4) == number for number in first["vector"])


def test_the_json_has_them_and_the_whole(tmp_path: Path) -> None:
    path, out = tmp_path / "vectors.jsonl", []  # type: tuple[Path, list[str]]
    some = [{"start": 0.0, "end": 1.0, "words": 3, "vector": [1.0, 0.0]}]
    more = [{"start": 1.0, "end": 2.0, "words": 1, "vector": [0.0, 1.0]}]
    path.write_text("".join(json.dumps({"passages": passages}) + "\n" for passages in (some, more)))
    write_vectors(out.append, {"model": "m", "version": "1"}, path)
    made = json.loads("".join(out))
    assert made == {
        "model": "m",
        "version": "1",
        "passages": some + more,
        "dimensions": 2,
        "whole": [round(3 / math.sqrt(10), 4), round(1 / math.sqrt(10), 4)],
    }


def test_where_nothing_was_said_there_is_no_whole(tmp_path: Path) -> None:
    path, out = tmp_path / "vectors.jsonl", []  # type: tuple[Path, list[str]]
    path.touch()
    write_vectors(out.append, {}, path)
    assert json.loads("".join(out)) == {"passages": [], "dimensions": 0, "whole": None}
