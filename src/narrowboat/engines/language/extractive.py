"""The language engine without a model: it answers with quotes.

Covers: choosing the sentences that answer a prompt, or without one those that the whole is about, word for word and
with their places. Does not cover: writing anything that is not in the text; that takes a model (``gguf``, ``remote``).

How: sentences are vectors of their terms, weighted by how rare a term is among the sentences (the weight of BM25).
With a prompt a sentence counts by the weight of the prompt's terms in it, and only where it has a fair share of them:
"set" alone answers nothing about how margins are set. Without, it counts by its cosine with the sum of all
(the centroid). They are taken one after the other, each next one counting less by what it has in common with one that
was taken (maximal marginal relevance, Carbonell and Goldstein 1998), until the words are reached. Equal texts give
equal quotes. Measured: ten hours of speech take 16 MiB and 0.4 s.

Why terms and not embeddings: with multilingual-e5-small in 4 bits a manual of 122 pages takes 71 s in the place of 0.3,
and its cosines don't tell what fits from what does not: 0.874 for the best sentence on a question that the manual
answers, 0.834 for one about something else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from narrowboat.engines.language.wording import ASKING, count_words, sentences, terms
from narrowboat.values import Json

MADE_BY = {"model": "extractive", "kind": "quotes"}
#: Words of a sentence: what is shorter says little, what is longer is no sentence.
_SHORT, _LONG = 6, 80
#: How much being central weighs against being unlike what was taken.
_CENTRAL = 0.7
_SAME = 0.9  # cosine from which a sentence says what another has said
_WORDS = (0, 150)  # when no range is given
_WORDS_A_TOKEN = 0.75

#: The share of a prompt's weight that a sentence has to have: that of so many of its terms on average, half of it at
#: most and a quarter at least.
_FEW_TERMS, _MOST_SHARE, _LEAST_SHARE = 2, 0.5, 0.25

Vector = Mapping[str, float]


def complete(inputs: dict[str, Json]) -> dict[str, Json]:
    """A step; see :mod:`narrowboat.engines.language`. ``system`` and ``schema`` mean nothing to it.

    Returns also ``quotes``: passages with their places, cut to a sentence each, in the order of the text; empty when no
    sentence has enough of the prompt.
    """
    found = list(_sentences(inputs["passages"]))
    low, high = inputs.get("words") or _WORDS
    most = inputs.get("max_tokens")
    if most:
        high = min(high, int(most * _WORDS_A_TOKEN))
    chosen = sorted(_choose(found, str(inputs.get("prompt") or ""), (low + high) / 2, high))
    quotes = [found[number] for number in chosen]
    return {
        "text": "\n".join(quoted(quote) for quote in quotes),
        "quotes": quotes,
        "finish": "stop",
        "usage": {"input_tokens": None, "output_tokens": None},
        "made_by": dict(MADE_BY),
    }


def quoted(quote: Mapping[str, Any]) -> str:
    """A quote on one line, behind its place and, where it is known, who said it."""
    text = f"{quote['speaker']}: {quote['text']}" if quote.get("speaker") else str(quote["text"])
    if "start" in quote:
        at = int(quote["start"])
        return f"[{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}] {text}"
    return f"[p. {quote['page']}] {text}" if "page" in quote else text


def _sentences(passages: list[dict[str, Json]]) -> Iterator[dict[str, Json]]:
    for passage in passages:
        text = str(passage["text"])
        for begin, end in sentences(text):
            yield {**passage, "text": text[begin:end]}


def _choose(found: list[dict[str, Json]], prompt: str, enough: float, high: float) -> list[int]:
    """The numbers of the best sentences, the best first, of at most ``high`` words together."""
    lengths = [count_words(sentence["text"]) for sentence in found]
    weights = _Weights([sentence["text"] for sentence in found])
    vectors = [_vector(sentence["text"], weights) for sentence in found]
    worth = _answering(vectors, prompt, weights) if prompt else _central(vectors)
    shortest = _SHORT if any(length >= _SHORT for length in lengths) else 1
    left = {n for n, length in enumerate(lengths) if shortest <= length <= _LONG and worth[n] > 0}
    best = max((worth[n] for n in left), default=1.0)
    alike = dict.fromkeys(left, 0.0)
    chosen: list[int] = []
    words = 0
    while words < enough:
        left = {n for n in left if words + lengths[n] <= high and alike[n] < _SAME}
        if not left:
            break
        taken = max(left, key=lambda n: (_CENTRAL * worth[n] / best - (1 - _CENTRAL) * alike[n], -n))
        left.discard(taken)
        chosen.append(taken)
        words += lengths[taken]
        for n in left:
            alike[n] = max(alike[n], _product(vectors[n], vectors[taken]))
    return chosen


class _Weights(dict[str, float]):
    """Of terms, by how few sentences have them; one that none has is as rare as one that a single sentence has."""

    def __init__(self, texts: list[str]) -> None:
        in_how_many = Counter(term for text in texts for term in set(terms(text)))
        self._count = len(texts)
        super().__init__({term: self._weight(n) for term, n in in_how_many.items()})

    def __missing__(self, term: str) -> float:
        return self._weight(1)

    def _weight(self, n: int) -> float:
        return math.log(1 + (self._count - n + 0.5) / (n + 0.5))


def _vector(text: str, weights: _Weights) -> Vector:
    """Of length one; empty for a text without terms."""
    vector = {term: count * weights[term] for term, count in Counter(terms(text)).items()}
    length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
    return {term: value / length for term, value in vector.items()}


def _central(vectors: list[Vector]) -> list[float]:
    centroid: Counter[str] = Counter()
    for vector in vectors:
        centroid.update(vector)
    return [_product(vector, centroid) for vector in vectors]


def _answering(vectors: list[Vector], prompt: str, weights: _Weights) -> list[float]:
    asked = dict.fromkeys([term for term in terms(prompt) if term not in ASKING] or terms(prompt), 1.0)
    whole = sum(weights[term] for term in asked)
    share = min(_MOST_SHARE, max(_LEAST_SHARE, _FEW_TERMS / len(asked))) if asked else 0.0
    enough = [sum(weights[term] for term in asked if term in vector) >= share * whole for vector in vectors]
    return [_product(vector, asked) if fits else 0.0 for vector, fits in zip(vectors, enough, strict=True)]


def _product(one: Vector, other: Vector) -> float:
    small, large = (one, other) if len(one) < len(other) else (other, one)
    return sum(value * large[term] for term, value in small.items() if term in large)
