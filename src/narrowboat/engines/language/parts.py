"""Texts that are longer than a model takes in at once: part by part, and what came of the parts again.

Covers: parting passages evenly by an estimate of their tokens, answers about parts, answers about those, until there is
one; what was answered before in this job, so that an attempt that was ended does not ask it again.
Does not cover: asking (``gguf``, ``remote``), wording (``asking``).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from narrowboat import context
from narrowboat.engines.language.wording import count_words
from narrowboat.errors import EngineError
from narrowboat.values import Json

Passage = dict[str, Json]
Words = tuple[int, int] | None

#: Characters of a token; of scripts beyond ASCII a model may take more than one token for each.
_ASCII, _OTHERS = 3.5, 1 / 1.5
_PLACE = 10  # tokens of a passage's place
#: Words of a text about one part: a word for so many tokens of what it is about, and no more than so many.
_TOKENS_A_WORD, _MOST_WORDS = 10, 600
#: Words below which a part of a text says nothing.
_SHORTEST = 40
#: What is left of the room when a question was too long after all.
_LESS = 0.7


class TooLong(Exception):
    """A question has more tokens than the model takes in."""


@dataclass(frozen=True, slots=True)
class Text:
    """What was written, whether it was cut off, and the tokens that it took; None where nobody counted."""

    text: str
    cut: bool = False
    tokens_in: int | None = None
    tokens_out: int | None = None


Ask = Callable[[Sequence[Passage], Words], Text]


def tokens(text: str) -> int:
    """About how many tokens a text has: more rather than less."""
    plain = sum(1 for character in text if character.isascii())
    return int(plain / _ASCII + (len(text) - plain) / _OTHERS) + 1


def over_all(
    ask: Ask, passages: Sequence[Passage], words: Words, room: int | None, *, key: Json, one_text: bool = True
) -> Text:
    """What a model writes about all passages.

    Args:
        ask: asks about a part; raises TooLong when it is more than the model takes in.
        words: of the answer.
        room: tokens of passages that are taken in at once; None when nobody knows.
        key: what an answer depends on beside the part: the model, what is asked.
        one_text: what is said of the parts is made one text; without, texts about the parts one after the other do.

    Raises:
        EngineError: the model takes in so little that this comes to no end.
    """
    used: list[Text] = []
    while True:
        before = sum(tokens(str(passage["text"])) for passage in passages)
        try:
            parts = [list(passages)] if room is None else parted(passages, room)
            if len(parts) == 1:
                return _with(used, ask(parts[0], words))
            joins = not one_text and words is not None and len(parts) * _SHORTEST <= words[1]
            each = _share(words, len(parts)) if joins else _about_a_part(room or before)
            answers = [_remembered(ask, part, each, key, number / len(parts)) for number, part in enumerate(parts)]
        except TooLong:
            room = int((room or before) * _LESS)
            if room < 2 * _SHORTEST:
                raise EngineError("the model takes in too little to answer", hint="use another one") from None
            continue
        used += answers
        if joins:
            return _with(used[: -len(answers)], _joined(answers))
        passages = [_about(part, answer) for part, answer in zip(parts, answers, strict=True)]
        if sum(tokens(str(passage["text"])) for passage in passages) >= before:
            raise EngineError("the model writes more than it reads, and comes to no end", hint="use another one")


def parted(passages: Sequence[Passage], room: int) -> list[list[Passage]]:
    """Parts of about the same size, each of at most so many tokens; a passage that is longer alone is a part itself."""
    sizes = [tokens(str(passage["text"])) + _PLACE for passage in passages]
    goal = sum(sizes) / max(1, math.ceil(sum(sizes) / max(room, 1)))
    parts: list[list[Passage]] = [[]]
    held = done = 0
    for passage, size in zip(passages, sizes, strict=True):
        if parts[-1] and (held + size > room or done + size / 2 > goal * len(parts)):
            parts.append([])
            held = 0
        parts[-1].append(passage)
        held, done = held + size, done + size
    return parts


def _about_a_part(room: int) -> Words:
    most = max(_TOKENS_A_WORD, min(_MOST_WORDS, room // _TOKENS_A_WORD))
    return most // 2, most


def _share(words: Words, count: int) -> Words:
    return None if words is None else (words[0] // count, words[1] // count)


def _about(part: Sequence[Passage], answer: Text) -> Passage:
    """What was written about a part, in its place."""
    first, last = part[0], part[-1]
    place = {"start": first["start"], "end": last["end"]} if "start" in first else {}
    return {**({"page": first["page"]} if "page" in first else {}), **place, "text": answer.text}


def _joined(answers: Sequence[Text]) -> Text:
    text = "\n\n".join(answer.text for answer in answers if answer.text)
    return _with(answers, Text(text, any(answer.cut for answer in answers)), counted=False)


def _with(before: Sequence[Text], last: Text, *, counted: bool = True) -> Text:
    """The last text, with the tokens of those before."""
    all_of_them = [*before, last] if counted else list(before)
    ins = [text.tokens_in for text in all_of_them if text.tokens_in is not None]
    outs = [text.tokens_out for text in all_of_them if text.tokens_out is not None]
    return Text(last.text, last.cut, sum(ins) if ins else None, sum(outs) if outs else None)


def _remembered(ask: Ask, part: Sequence[Passage], words: Words, key: Json, done: float) -> Text:
    """What is said about a part: in this attempt or an earlier one. It is kept in the job's scratch."""
    context.progress(done, "reading")
    asked = json.dumps([key, part, words], sort_keys=True)
    folder = context.scratch() / "parts"
    path = folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"
    if path.exists():
        return Text(**json.loads(path.read_bytes()))
    found = ask(part, words)
    if not count_words(found.text):
        raise EngineError("the model wrote nothing about a part of the text", hint="use another one")
    folder.mkdir(exist_ok=True)
    value = {"text": found.text, "cut": found.cut, "tokens_in": found.tokens_in, "tokens_out": found.tokens_out}
    part_path = path.with_suffix(f".{os.getpid()}")
    part_path.write_text(json.dumps(value), "utf-8")
    part_path.replace(path)
    return found
