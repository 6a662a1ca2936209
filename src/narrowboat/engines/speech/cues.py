"""Words to cues: the lines of a few seconds that captions are made of.

Covers: splitting at sentences, pauses and clauses, so that a cue has at most 7 seconds and 84 characters (two lines of
42, which is the custom for subtitles), and how sure the model was of each.
Does not cover: files (``media/``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from narrowboat.engines.speech.whisper import Word

LONGEST = 7.0  # seconds
MOST_CHARACTERS = 84
PAUSE = 0.8  # seconds between words that end a cue
_SHORT = 1.2  # seconds; a cue as short as this joins the next sentence, if both fit
_SHORTEST = 0.1  # seconds that a cue lasts at least
_SENTENCE_ENDS = (".", "?", "!", "。", "？", "！", "…", "؟", "।")
_CLAUSE_ENDS = (",", ";", ":", "，", "、", "；", "：", "،", "–", "—")
Words = Sequence[Word]


def cues(words: Words, offset: float) -> list[dict[str, Any]]:
    """Cues as {start, end, text, confidence}; times in seconds with ``offset`` added, in order, not overlapping.

    ``confidence`` is the geometric mean of the probabilities that the model gave to the tokens, 0 to 1.
    """
    found: list[dict[str, Any]] = []
    last = 0.0
    for group in _joined([part for sentence in _sentences(words) for part in _fitted(sentence)]):
        text = "".join(word.text for word in group).strip()
        if not text:
            continue
        start = max(last, group[0].start)
        last = max(group[-1].end, start + _SHORTEST)
        likely = sum(word.log_probability for word in group) / sum(word.tokens for word in group)
        found.append(
            {
                "start": round(offset + start, 3),
                "end": round(offset + last, 3),
                "text": text,
                "confidence": round(min(1.0, math.exp(likely)), 3),
            }
        )
    return found


def _sentences(words: Words) -> list[Words]:
    """Words up to the end of a sentence or a pause."""
    parts: list[Words] = []
    begin = 0
    for place in range(1, len(words) + 1):
        if place == len(words) or _sentence_ends(words, place) or _gap(words, place) > PAUSE:
            parts.append(words[begin:place])
            begin = place
    return parts


def _sentence_ends(words: Words, place: int) -> bool:
    """Whether a sentence ends before ``words[place]``: not where a small letter follows, as after "a.m."."""
    return _ends(words[place - 1], _SENTENCE_ENDS) and not words[place].text.strip()[:1].islower()


def _fitted(words: Words) -> list[Words]:
    """A sentence split in as few even parts as fit, at clauses and pauses where there are any."""
    if _fits(words) or len(words) < 2:
        return [words]
    cut = max(range(1, len(words)), key=lambda place: _goodness(words, place))
    return [*_fitted(words[:cut]), *_fitted(words[cut:])]


def _goodness(words: Words, place: int) -> float:
    """How good a cut before ``words[place]`` is: near the middle, after a clause, in a pause."""
    before = _characters(words[:place])
    balance = 1.0 - abs(2.0 * before / max(1, _characters(words)) - 1.0)
    clause = 0.5 if _ends(words[place - 1], _CLAUSE_ENDS) else 0.0
    return balance + clause + min(_gap(words, place), 0.5)


def _joined(parts: list[Words]) -> list[Words]:
    """Very short cues joined to the one after them, when there is no pause between and both fit."""
    done: list[Words] = []
    for part in parts:
        if done and _seconds(done[-1]) < _SHORT:
            both = [*done[-1], *part]
            if _fits(both) and _gap(both, len(done[-1])) <= PAUSE:
                done[-1] = both
                continue
        done.append(part)
    return done


def _fits(words: Words) -> bool:
    return _seconds(words) <= LONGEST and _characters(words) <= MOST_CHARACTERS


def _seconds(words: Words) -> float:
    return words[-1].end - words[0].start


def _characters(words: Words) -> int:
    return len("".join(word.text for word in words).strip())


def _gap(words: Words, place: int) -> float:
    return words[place].start - words[place - 1].end


def _ends(word: Word, marks: tuple[str, ...]) -> bool:
    return word.text.rstrip("\"'”’)]»").endswith(marks)
