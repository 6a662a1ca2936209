"""Words, terms and sentences of any language. Imports nothing heavy.

Covers: counting words, the terms that texts are compared by, where a text may be parted into sentences.
Does not cover: choosing among them (``extractive``), times (``pipelines/transcribe/sentences``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

# Scripts that are written without spaces between words: Thai and Lao, Burmese, Khmer, kana, Chinese characters.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’-][^\W_{_UNSPACED}]+)*")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”）]*")
_NO_END = re.compile(r"(?:^|[\s(\"'“])(?:[^\W\d_]|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|No|e\.g|i\.e|z\.B|d\.h)\.$")
_ENDED = re.compile(r"[.!?…。！？][\"'”’»)\]」』）]*$")
_ASKING = """
a all am an and any are be been by can could did do doe does each every find for from give had ha has have how i if in
into it its list many me much name of on or say should so that the their them there these they thi this those to tell
wa was were what when where which who whose why will with would you your als auf aus bei da das dem den der die ein
eine einem einen einer es für gib hat im ist mit nenne oder sich sind und von wann warum welche welcher welches wer
werden wie wird wo wurde zu zum zur au aux avec ce ces cette combien comment dan dans de des du en est et la le les ou
par pour pourquoi quand que quel quelle quelles qui quoi son sont sur un une y como con cual cuando cuanto cuál cuándo
cuánto cómo del donde dónde el las lo los para por quien quién qué se su sus una
"""
#: Words that ask, and those that tie others together, as terms: of English, German, French and Spanish.
ASKING = frozenset(_ASKING.split())


def count_words(text: str) -> int:
    """How many words there are; of scripts without spaces, characters."""
    return sum(1 for _ in _WORD.finditer(text))


def terms(text: str) -> Iterator[str]:
    """What a text is compared by: its words in one case; of scripts without spaces, pairs of characters."""
    words = [match[0].casefold() for match in _WORD.finditer(text)]
    for word, after in pairwise([*words, ""]):
        if not _IS_UNSPACED.match(word):
            yield _singular(word)
        elif _IS_UNSPACED.match(after):
            yield word + after


def _singular(word: str) -> str:
    """A word without the s of a plural or a possessive: boats, boat's and boat are one term."""
    word = word.removesuffix("'s").removesuffix("’s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "sui" else word


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of a text begin and end, as positions. The last may be unfinished."""
    begin = 0
    for match in _END.finditer(text):
        if _NO_END.search(text, begin, match.end()):
            continue
        yield begin, match.end()
        begin = match.end()
        while begin < len(text) and text[begin].isspace():
            begin += 1
    if begin < len(text):
        yield begin, len(text)


def is_finished(text: str) -> bool:
    """True when a text ends as a sentence does."""
    return bool(_ENDED.search(text)) and not _NO_END.search(text)
