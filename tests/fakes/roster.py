"""Who is who: labels for the speakers of a piece, and which labels of different pieces are one person.

Covers: labels that change from piece to piece; a roster in the prompt that fixes them. A line of a roster names a label
and quotes what that speaker has said: ``Host: "there's iron they say in all our blood"``; from the words the fake knows
the voice, as a model would from the sound. Lines with numbers that quote speakers are sorted into groups, one for each
voice. Does not cover: what was said (``hearing``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache

from fakes.episode import Episode, Word
from fakes.questions import Question

LINE = re.compile(r"^[\W\d]*(?P<label>[A-Z][\w .]{0,40}?)[ \t]*(?::|—|–|\||=|\bsaid\b)(?P<words>.+)$", re.MULTILINE)
NUMBERED = re.compile(r"^\W*(?P<number>\d+)[.):](?P<words>.+)$", re.MULTILINE)
#: Words in a row that tell a voice.
QUOTE = 4


def labels(
    words: list[Word], question: Question, episode: Episode, start: int, sampled: dict[str, str]
) -> dict[str, str]:
    """A label for each speaker among the words: as the prompt or ``sampled`` names them, else one that is free."""
    speakers = list(dict.fromkeys(word.speaker for word in words))
    known = roster(question.text, episode) | sampled
    named = {speaker: known[speaker] for speaker in speakers if speaker in known}
    count = len(speakers) + len(known)
    names = ["Host", "Guest", *(f"Speaker {number}" for number in range(1, count + 1))]
    if known and "New 1" in question.text:  # as the prompt asks for those whom it does not know
        names = [f"New {number}" for number in range(1, count + 1)]
    free = [name for name in names if name not in known.values()]
    new = [speaker for speaker in speakers if speaker not in named]
    turn = start % max(1, len(new)) if not known else 0
    return named | dict(zip(new[turn:] + new[:turn], free, strict=False))


def roster(text: str, episode: Episode) -> dict[str, str]:
    """The label of each speaker whom a prompt quotes."""
    known: dict[str, str] = {}
    for line in LINE.finditer(text):
        if (speaker := _quoted(line["words"], episode)) is not None:
            known.setdefault(speaker, line["label"].strip())
    return known


def groups(text: str, episodes: list[Episode]) -> list[list[int]]:
    """The numbers of lines that quote the same speaker, where there are several."""
    found: dict[str, list[int]] = defaultdict(list)
    for line in NUMBERED.finditer(text):
        said = (_quoted(line["words"], episode) for episode in episodes)
        if (speaker := next((one for one in said if one is not None), None)) is not None:
            found[speaker].append(int(line["number"]))
    return [numbers for numbers in found.values() if len(numbers) > 1]


def _quoted(text: str, episode: Episode) -> str | None:
    """Whose words stand in a text."""
    voices, said = _voices(episode), _plain(text)
    for at in range(len(said) - QUOTE + 1):
        heard = voices.get(" ".join(said[at : at + QUOTE]), set())
        if len(heard) == 1:
            return next(iter(heard))
    return None


@lru_cache(maxsize=64)
def _voices(episode: Episode) -> dict[str, set[str]]:
    """Who has said which words in a row."""
    said: dict[str, list[str]] = defaultdict(list)
    for word in episode.words:
        said[word.speaker] += _plain(word.text)
    voices: dict[str, set[str]] = defaultdict(set)
    for speaker, words in said.items():
        for at in range(len(words) - QUOTE + 1):
            voices[" ".join(words[at : at + QUOTE])].add(speaker)
    return voices


def _plain(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())
