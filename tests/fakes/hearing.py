"""Answers to speech from references: ``answer=hearing``.

Covers: finding where in which episode a piece of sound lies, every sample of it compared; all words any part of which
lies in it, as sentences with times from the piece's beginning. So a cut inside a word shows as a word too many, and a
gap as one too few. Speakers are numbered anew in each piece, in another order, as a model does that does not know what
was said before, unless the prompt tells who is who (``roster``).
Does not cover: the shape of the answer (``shapes``, ``transcripts``), making episodes (``episode``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from fakes.decoding import RATE, Samples, blocks
from fakes.episode import Episode, Word
from fakes.questions import NotHeard, Question
from fakes.roster import groups, labels
from fakes.store import Stored
from fakes.transcripts import Segment, Spoken
from fakes.transcripts import Word as Timed

#: Samples that are collected before a place is looked for.
ENOUGH = 20 * RATE
#: A sentence ends at a pause of so many samples, or after so many words.
PAUSE, MOST_WORDS = round(0.35 * RATE), 24
#: What OpenAI takes as the sample of a voice.
SHORTEST_SAMPLE, LONGEST_SAMPLE = 2 * RATE, 10 * RATE
#: How voices sound; several speakers may sound alike.
VOICES = ["a woman of about thirty, quick", "a man of about fifty, slow", "a man of about thirty, hoarse"]
VOICES += ["a woman of about sixty, clear", "a young man, from the north"]


@dataclass(slots=True)
class Place:
    """Where a piece lies: ``start`` and ``end`` in samples of the episode."""

    episode: Episode
    start: int
    end: int


class Hearing:
    """All episodes that are known; what was heard once is not looked for again."""

    def __init__(self) -> None:
        self._episodes: dict[str, Episode] = {}
        self._places: dict[str, Place] = {}

    def spoken(self, question: Question, folders: list[str]) -> Spoken:
        """What is said in the sound of a question.

        Raises:
            NotHeard: there is none, or it is no piece of an episode.
        """
        sounds = [file for file in question.files if file.mime.startswith(("audio/", "video/"))]
        if len(sounds) != 1:
            raise NotHeard(f"the question has {len(sounds)} files of sound, not one")
        place = self.place(sounds[0], folders)
        words = place.episode.between(place.start, place.end)
        named = labels(words, question, place.episode, place.start, self._sampled(question, folders))
        segments = [_segment(sentence, place, named) for sentence in sentences(words)]
        about = {"episode": place.episode.folder.name, "first_sample": place.start, "last_sample": place.end}
        voices = {label: VOICES[crc32(speaker.encode()) % len(VOICES)] for speaker, label in named.items()}
        about["words"] = len(words)
        return Spoken((place.end - place.start) / RATE, segments, voices, about, set(question.samples))

    def _sampled(self, question: Question, folders: list[str]) -> dict[str, str]:
        """Who was named with a sample of the voice: the names by speaker."""
        found = {}
        for name, sample in question.samples.items():
            place = self.place(sample, folders)
            if not SHORTEST_SAMPLE <= place.end - place.start <= LONGEST_SAMPLE:
                raise NotHeard(f"the sample of {name} has {(place.end - place.start) / RATE:.1f} s, not 2 to 10")
            heard = {word.speaker for word in place.episode.between(place.start, place.end)}
            if len(heard) != 1:
                raise NotHeard(f"the sample of {name} has {len(heard)} speakers")
            found[heard.pop()] = name
        return found

    def groups(self, question: Question, folders: list[str]) -> list[list[int]]:
        """Which of the speakers in the numbered lines of a question are the same."""
        return groups(question.text, [self._episode(folder) for folder in folders])

    def place(self, file: Stored, folders: list[str]) -> Place:
        """Where a file lies.

        Raises:
            NotHeard: nowhere, or it can't be decoded.
        """
        if file.sha256 not in self._places:
            if file.path is None:
                raise NotHeard("hearing needs the switch keep_files")
            self._places[file.sha256] = _find(file.path, [self._episode(folder) for folder in folders])
        return self._places[file.sha256]

    def _episode(self, folder: str) -> Episode:
        if folder not in self._episodes:
            self._episodes[folder] = Episode(Path(folder))
        return self._episodes[folder]


def _find(path: Path, episodes: list[Episode]) -> Place:
    """Look for the first seconds, and compare the rest block by block."""
    places: list[Place] | None = None
    held: list[Samples] = []
    count = 0
    for block in blocks(path):
        held.append(block)
        count += len(block)
        if count < ENOUGH and places is None:
            continue
        places = _narrowed(places, np.concatenate(held), episodes)
        held = []
        if not places:
            raise NotHeard(f"no episode has these {count} samples")
    if held:
        places = _narrowed(places, np.concatenate(held), episodes)
    if not places:
        raise NotHeard(f"no episode has these {count} samples")
    return places[0]


def _narrowed(places: list[Place] | None, piece: Samples, episodes: list[Episode]) -> list[Place]:
    if places is None:
        found = [Place(one, at, at + len(piece)) for one in episodes for at in one.finder.offsets(piece)]
        if found or len(piece) >= ENOUGH:
            return found
        return [Place(one, at, at + len(piece)) for one in episodes for at in one.finder.anywhere(piece)]
    still = [place for place in places if place.episode.finder.fits(piece, place.end)]
    for place in still:
        place.end += len(piece)
    return still


def sentences(words: list[Word]) -> list[list[Word]]:
    """Words as they are said together: by one speaker, without a long pause, not too many."""
    made: list[list[Word]] = []
    for word in words:
        last = made[-1][-1] if made else None
        new = last is None or last.utterance != word.utterance or word.start - last.end > PAUSE
        if new or len(made[-1]) >= MOST_WORDS:
            made.append([])
        made[-1].append(word)
    return made


def _segment(words: list[Word], place: Place, named: dict[str, str]) -> Segment:
    def seconds(sample: int) -> float:
        return round((min(max(sample, place.start), place.end) - place.start) / RATE, 3)

    timed = [Timed(word.text, seconds(word.start), seconds(word.end)) for word in words]
    text = " ".join(word.text for word in words)
    return Segment(timed[0].start, timed[-1].end, text, named[words[0].speaker], timed)
