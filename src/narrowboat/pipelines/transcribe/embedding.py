"""The steps that make vectors of a transcript's passages. Loads in workers only.

Covers: which passages there are, a resumable stream of their vectors, the vectors of a few of them as one call.
Does not cover: the models (``engines/embedding``), what a passage is (``sentences``), the JSON (``media/vectors``).

Each reads the transcript from its beginning: ten hours take a tenth of a second and no memory that grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from narrowboat import context
from narrowboat.engines.embedding_models import TEXTS_AT_ONCE, embedding_model
from narrowboat.engines.language.wording import count_words
from narrowboat.media.caption_formats import UNSPACED
from narrowboat.pipelines.transcribe.sentences import Sentence, as_passages, as_sentences, read_segments
from narrowboat.values import Item, Json

#: Digits behind the point: of a vector of length one with 3,072 numbers they keep all products to 0.0001.
_DIGITS = 4


def count(inputs: dict[str, Any]) -> int:
    """A step: how many passages there are. Inputs: ``items`` (the path of a transcript's items), ``language``."""
    return sum(1 for _ in _passages(inputs))


def embed(inputs: dict[str, Any], cursor: Json) -> Iterator[Item]:
    """A resumable stream of vectors. Inputs: as for :func:`count`, ``model`` (as for ``--embed-model``), ``count``.

    Yields:
        Items of ``{"passages": [{"start", "end", "words", "vector"}]}``, with ``speaker`` where it is known. The cursor
        is the number of passages that are done.
    """
    done = cursor or 0
    passages = islice(_passages(inputs), done, None)
    while some := list(islice(passages, TEXTS_AT_ONCE)):
        done += len(some)
        yield Item({"passages": _embedded(inputs["model"], some)}, done)
        context.progress(done / max(inputs["count"], 1), "vectors")


def embed_some(inputs: dict[str, Any]) -> dict[str, Json]:
    """A call of a remote model: the vectors of some passages. Inputs: as for :func:`embed`, and ``part``, which ones.

    Returns what an item of :func:`embed` is.
    """
    first = inputs["part"] * TEXTS_AT_ONCE
    some = list(islice(_passages(inputs), first, first + TEXTS_AT_ONCE))
    return {"passages": _embedded(inputs["model"], some)}


def _passages(inputs: dict[str, Any]) -> Iterator[Sentence]:
    joiner = "" if inputs["language"] in UNSPACED else " "
    return as_passages(as_sentences(read_segments(Path(inputs["items"])), joiner), joiner)


def _embedded(name: str, passages: list[Sentence]) -> list[dict[str, Json]]:
    model = embedding_model(name)
    vectors = import_module(model.module).vectors(model.name, [passage["text"] for passage in passages])
    return [
        {
            **{key: passage[key] for key in ("start", "end", "speaker") if key in passage},
            "words": count_words(passage["text"]),
            "vector": [round(number, _DIGITS) for number in vector],
        }
        for passage, vector in zip(passages, vectors, strict=True)
    ]
