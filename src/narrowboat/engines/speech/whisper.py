"""Whisper on ctranslate2: one stretch of sound to words with times.

Covers: loading, the language, decoding with a second try where the text repeats itself, times by alignment.
Does not cover: where speech is (``speech/voice.py``), several streams (``speech/transcribe.py``), captions'
cues (``speech/cues.py``).

Nothing here draws random numbers, so that the same sound gives the same words in any order and company.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Semaphore

import ctranslate2

from narrowboat import allocator
from narrowboat.engines.speech.mel import RATE, log_mel
from narrowboat.engines.speech.vocabulary import Vocabulary
from narrowboat.engines.speech.voice import Samples
from narrowboat.errors import SourceError, UsageError

BEAM = 5
MOST_TOKENS = 224  # of text in a stretch, as in the original implementation
# Thresholds of the original implementation: repeated text, and silence that was given words.
REPEATED = 2.4  # bytes of text for each byte of it compressed
NO_SPEECH = 0.6  # probability
UNLIKELY = -1.0  # mean log-probability of the tokens
SURE_OF_LANGUAGE = 0.5  # probability
_TOKEN_SECONDS = 0.02  # a step of the alignment
_SPACELESS = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})  # written without spaces between words


@dataclass(frozen=True, slots=True)
class Word:
    """A word, with the space before it if there is one.

    Attributes:
        start: seconds from the beginning of the stretch; likewise ``end``.
        log_probability: sum over its tokens.
        tokens: how many tokens it took.
    """

    text: str
    start: float
    end: float
    log_probability: float
    tokens: int


class Whisper:
    """A model in ``folder`` that up to ``streams`` threads may use at once, sharing its weights.

    Raises:
        UsageError: the folder does not hold a Whisper model that can be loaded.
    """

    def __init__(self, folder: Path, streams: int = 1) -> None:
        allocator.keep_small()
        # Encoding and aligning are the peaks (whisper-base: 127 and 108 MiB above the weights, decoding 91 at most)
        # and a third of the work: with one of them at a time for two streams, streams hardly wait, and fall into
        # step, one encoding while the other decodes. That both fell together now and then was what made the peak of
        # three hours 7 % higher than that of ten minutes.
        self._peaks = Semaphore((streams + 1) // 2)
        self.vocabulary = Vocabulary(folder)
        try:
            self._model = ctranslate2.models.Whisper(
                str(folder),
                device="cpu",
                compute_type="int8",
                inter_threads=streams,
                intra_threads=1,  # a second thread in one stream gains little: streams do
                max_queued_batches=streams,
            )
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"the model in {folder} can't be loaded: {error}") from error

    def language(self, sound: Samples) -> tuple[str, float]:
        """The language code that is most likely spoken in ``sound``, and its probability."""
        if not self.vocabulary.multilingual:
            return "en", 1.0
        mark, probability = self._model.detect_language(self._features(sound))[0][0]
        return mark[2:-2], probability  # <|en|>

    def check_language(self, language: str) -> None:
        """Raise UsageError when the model has no token for the language."""
        if self.vocabulary.multilingual and not self.vocabulary.knows_language(language):
            raise UsageError(f"the model does not know the language {language!r}")

    def recognise(self, sound: Samples, language: str) -> list[Word]:
        """The words in ``sound`` (int16, mono, 16 kHz, at most 30 s); none where nobody speaks."""
        try:
            return self._recognise(sound, language)
        finally:
            allocator.give_back()

    def _recognise(self, sound: Samples, language: str) -> list[Word]:
        features = self._features(sound)
        with self._peaks:
            encoded = self._model.encode(features)
        prompt = self.vocabulary.prompt(language)
        tokens, likelihood, no_speech = self._decode(encoded, prompt)
        if no_speech > NO_SPEECH and likelihood < UNLIKELY:
            return []
        if repeats(self.vocabulary.text(tokens)):
            again, _, _ = self._decode(encoded, prompt, repetition_penalty=1.1, no_repeat_ngram_size=3)
            tokens = again
        if not self.vocabulary.text(tokens).strip():
            return []
        return self._align(encoded, prompt, tokens, len(sound), language)

    def _features(self, sound: Samples) -> ctranslate2.StorageView:
        if not len(sound):
            raise SourceError("there is no sound to recognise")
        return ctranslate2.StorageView.from_array(log_mel(sound, self._model.n_mels)[None])

    def _decode(
        self,
        encoded: ctranslate2.StorageView,
        prompt: list[int],
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int = 0,
    ) -> tuple[list[int], float, float]:
        """Tokens of text, their mean log-probability, and the probability that nobody speaks."""
        result = self._model.generate(
            encoded,
            [prompt],
            beam_size=BEAM,
            max_length=MOST_TOKENS + len(prompt),
            return_scores=True,
            return_no_speech_prob=True,
            repetition_penalty=repetition_penalty,
            no_repeat_ngram_size=no_repeat_ngram_size,
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < self.vocabulary.text_end]
        return tokens, result.scores[0], result.no_speech_prob

    def _align(
        self, encoded: ctranslate2.StorageView, prompt: list[int], tokens: list[int], samples: int, language: str
    ) -> list[Word]:
        frames = math.ceil(samples / RATE / _TOKEN_SECONDS) * 2
        # the model adds the mark for "no times" itself
        with self._peaks:
            found = self._model.align(encoded, prompt[:-1], [tokens], frames)[0]
        first: dict[int, int] = {}  # token -> first step that it is heard in
        for token, step in found.alignments:
            first.setdefault(token, step)
        length = samples / RATE
        starts = [
            min(first[place] * _TOKEN_SECONDS, length) if place in first else length for place in range(len(tokens) + 1)
        ]
        return self._words(tokens, starts, found.text_token_probs, language in _SPACELESS)

    def _words(
        self, tokens: list[int], starts: Sequence[float], probabilities: Sequence[float], spaceless: bool
    ) -> list[Word]:
        words: list[Word] = []
        for place, end in word_ends([self.vocabulary.data(token) for token in tokens], spaceless):
            text = self.vocabulary.text(tokens[place:end])
            likely = sum(math.log(max(p, 1e-10)) for p in probabilities[place:end])
            words.append(Word(text, starts[place], max(starts[place], starts[end]), likely, end - place))
        return words


def word_ends(pieces: Sequence[bytes], spaceless: bool) -> list[tuple[int, int]]:
    """(first, end) of each word among the bytes of tokens.

    A word begins with a space, or, where there are none, at any whole character; never inside a character.
    """
    bounds: list[int] = []
    pending = b""
    for place, piece in enumerate(pieces):
        if not pending and (place == 0 or piece.startswith(b" ") or spaceless):
            bounds.append(place)
        pending = b"" if _whole(pending + piece) else pending + piece
    return list(zip(bounds, [*bounds[1:], len(pieces)], strict=True)) if pieces else []


def _whole(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason != "unexpected end of data"
    return True


def repeats(text: str) -> bool:
    """True when the text says the same over and over: it compresses to less than 1/2.4."""
    data = text.encode()
    return len(data) > REPEATED * len(gzip.compress(data, mtime=0))
