"""Sound to text, chunk by chunk, with as many streams as there are cores for.

Covers: keeping streams busy while results stay in order, the language, cursors.
Does not cover: one stretch (``speech/whisper.py``), reading sound (``media/``), the journal (``runner/``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from narrowboat import context
from narrowboat.engines.speech.cues import cues
from narrowboat.engines.speech.gaps import filled
from narrowboat.engines.speech.mel import RATE
from narrowboat.engines.speech.voice import Samples, Stretch, stretches
from narrowboat.engines.speech.whisper import SURE_OF_LANGUAGE, Whisper, Word


@dataclass(frozen=True, slots=True)
class Chunk:
    """What was said between two cuts.

    Attributes:
        start: seconds of the whole episode; likewise ``end``.
        segments: cues as {start, end, text, confidence}; none where nobody speaks.
        language: what to go on with: the code given or found, None while it is not sure.
        next_sample: the sample at which the next chunk begins. With ``language`` it is all that is needed to go on.
    """

    start: float
    end: float
    segments: list[dict[str, Any]]
    language: str | None
    next_sample: int


@dataclass(slots=True)
class _Pending:
    stretch: Stretch
    language: str | None
    words: Future[list[Word]] | None  # None: nobody speaks

    @property
    def done(self) -> bool:
        return self.words is None or self.words.done()


def transcribe(
    blocks: Iterable[Samples],
    *,
    model_dir: Path,
    start_sample: int,
    language: str | None,
    cores: Callable[[], int],
    most_cores: int,
    duration: float,
) -> Iterator[Chunk]:
    """Transcribe ``blocks`` (int16, mono, 16 kHz), the first of which begins at ``start_sample``.

    Going on from a chunk's ``next_sample`` and ``language`` gives the chunks that would have followed.

    Args:
        model_dir: a folder that ``prepare_model`` returned.
        language: a code; None finds it out from the first speech.
        cores: how many streams to keep busy now; asked again for each chunk.
        most_cores: the most that ``cores`` will say.
        duration: seconds of the whole episode as far as is known (0: not at all); progress is told from it.

    Raises:
        UsageError: the model can't be loaded or does not know the language.
    """
    model = loaded(model_dir, most_cores)
    if language is not None:
        model.check_language(language)
    with ThreadPoolExecutor(most_cores, "speech") as pool:
        for chunk in _Streams(model, stretches(blocks, start_sample), language, pool, cores).run():
            context.progress(min(1.0, chunk.end / duration) if duration > 0 else 0.0, "recognising")
            yield chunk


class _Streams:
    """Chunks being recognised, in order. Holds at most one more of them than there are streams."""

    def __init__(
        self,
        model: Whisper,
        source: Iterator[Stretch],
        language: str | None,
        pool: ThreadPoolExecutor,
        cores: Callable[[], int],
    ) -> None:
        self._model = model
        self._source = source
        self._language = language
        self._pool = pool
        self._cores = cores
        self._pending: deque[_Pending] = deque()
        self._ended = False

    def run(self) -> Iterator[Chunk]:
        while self._fill() or self._pending:
            if self._pending[0].done:
                yield _chunk(self._pending.popleft())
            else:
                running = [item.words for item in self._pending if item.words is not None and not item.done]
                wait(running, return_when=FIRST_COMPLETED)

    def _fill(self) -> bool:
        """Start chunks on free streams; True while there is more to come."""
        streams = max(1, self._cores())
        while not self._ended and len(self._pending) <= streams:
            if sum(not item.done for item in self._pending) >= streams:
                break
            stretch = next(self._source, None)
            if stretch is None:
                self._ended = True
            else:
                self._pending.append(self._start(stretch))
        return not self._ended

    def _start(self, stretch: Stretch) -> _Pending:
        if not len(stretch.sound):
            return _Pending(stretch, self._language, None)
        language = self._language
        if language is None:
            language, probability = self._model.language(stretch.sound)
            if probability >= SURE_OF_LANGUAGE:
                self._language = language
        recognise = partial(self._model.recognise, language=language)
        words = self._pool.submit(filled, recognise, stretch.sound, stretch.spoken)
        return _Pending(stretch, self._language, words)


def _chunk(item: _Pending) -> Chunk:
    stretch = item.stretch
    segments = [] if item.words is None else cues(item.words.result(), stretch.sound_start / RATE)
    return Chunk(round(stretch.start / RATE, 3), round(stretch.end / RATE, 3), segments, item.language, stretch.end)


_loaded: dict[tuple[str, int], Whisper] = {}


def loaded(folder: Path, streams: int) -> Whisper:
    """The model in ``folder``, kept for the next attempt of this worker; never two at once."""
    key = (str(folder), streams)
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = Whisper(folder, streams)
    return _loaded[key]
