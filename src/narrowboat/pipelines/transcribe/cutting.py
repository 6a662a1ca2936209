"""An episode as chunks for a remote engine: FLAC files in scratch, cut in pauses. Loads in workers only.

Covers: where to cut, so that a chunk is never longer or larger than the engine takes; a chunk in smaller pieces; files
that are gone, made again bit by bit the same.
Does not cover: decoding and encoding (``media/``), what a pause is (``engines/speech/pauses``), sending chunks
(``remote_workflow``).

A chunk is written as it is decoded, up to a window in which the longest pause is looked for: the window alone is held,
2 MB at most. The lengths are evened out, so that an episode does not end with a chunk of a few seconds. Where a chunk
ends depends on where it begins, on the sound and on the limits: so going on from any chunk gives those that would have
followed. The voice detector takes a third of the time of all this when it hears everything; it hears the beginning of a
chunk until somebody speaks, and the window.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from narrowboat import context
from narrowboat.engines.speech.pauses import FRAME, LAG, Ear, longest_pause
from narrowboat.media.audio import RATE, Samples, blocks
from narrowboat.media.flac import FlacFile, most_bytes
from narrowboat.values import Item, Json

#: Samples that are taken at a time: whole frames of the detector and of the encoder; 0.6 s.
UNIT = 9_216
#: The longest window, in samples, and the share of a chunk that it is at most. In 150 windows of read speech each, the
#: place found lay inside a stretch of speech (by its loudness) in none of 15 s, the shortest that is used for whole
#: chunks, in 2 of 10 s, 4 of 6 s and 7 of 4 s.
_WINDOW, _WINDOW_SHARE = 104 * UNIT, 0.25
#: Bytes by which the room for a file grows.
_ROOM = 2 << 20
FOLDER = "chunks"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a chunk may be.

    Attributes:
        samples: at most.
        bytes: of its file, at most.
        end: the sample at which the sound ends as far as is known; 0 where it is not.
    """

    samples: int
    bytes: int
    end: int

    @property
    def window(self) -> int:
        """How many samples at the end of a chunk the pause is looked for in."""
        units = int(min(_WINDOW, _WINDOW_SHARE * min(self.samples, self.bytes / 2))) // UNIT
        return max(1, units) * UNIT

    def longest(self, start: int) -> int:
        """How many samples a chunk may have that begins at ``start``, so that those to come are as long."""
        left, usual = self.end - start, self.samples - self.window // 2
        if left <= self.samples:
            return self.samples
        even = left // -(-left // usual)
        return even + self.window // 2


def cut(inputs: dict[str, Any], cursor: Json) -> Iterator[Item]:
    """A resumable stream: the chunks of a file.

    Inputs: ``path`` and ``stream`` of the file, ``duration`` (its seconds, 0 where that is not known), ``chunk``
    (seconds at most), ``most_bytes``; for a piece of an episode, ``first``, the sample of the episode at which the file
    begins, and ``stem``, what the names of its pieces begin with.

    Yields:
        Items of ``{"start", "end", "file", "bytes", "speech", "speech_end"}``: seconds of the whole episode, the name
        of a file in scratch, the share of the last seconds in which somebody speaks (0 to 1), and the second of the
        last speech there, or None. In a chunk without ``file`` nobody speaks. The cursor is ``{"sample", "number"}``,
        where the next chunk begins at 16 kHz, and how many there are.
    """
    first, stem = inputs.get("first", 0), inputs.get("stem")
    start, number = (cursor["sample"], cursor["number"]) if cursor else (first, 0)
    length = round(inputs["duration"] * RATE)
    limits = Limits(round(inputs["chunk"] * RATE), inputs["most_bytes"], first + length if length else 0)
    sound = _Sound(blocks(inputs["path"], inputs["stream"], start - first))
    while not sound.ended:
        number += 1
        name = f"{start:010}" if stem is None else f"{stem}-{number}"
        value = _chunk(sound, start, limits, context.scratch() / FOLDER / f"{name}.flac")
        start = round(value["end"] * RATE)
        if length:
            context.progress(min(1.0, (start - first) / length), "cutting")
        yield Item(value, {"sample": start, "number": number})


def pieces(inputs: dict[str, Any]) -> list[Json]:
    """A step: a chunk in smaller ones. Inputs and what it returns are those of :func:`cut`."""
    return [item.value for item in cut(inputs, None)]


def make_again(inputs: dict[str, Any]) -> None:
    """A step: chunks whose files are gone, made again from the episode in one go.

    Inputs: ``path`` and ``stream`` of the episode, ``chunks`` (``[{"start", "end", "file"}]``, none over another).
    """
    chunks = sorted(inputs["chunks"], key=lambda chunk: chunk["start"])
    at = round(chunks[0]["start"] * RATE)
    sound = _Sound(blocks(inputs["path"], inputs["stream"], at))
    for chunk in chunks:
        start, end = round(chunk["start"] * RATE), round(chunk["end"] * RATE)
        for _ in sound.units(start - at):
            pass
        path = context.scratch() / chunk["file"]
        with _Writing(path) as file:
            for unit in sound.units(end - start):
                file.write(unit)
        at = end


def _chunk(sound: _Sound, start: int, limits: Limits, path: Path) -> dict[str, Json]:
    window, longest = limits.window, limits.longest(start)
    ear, end = Ear(), start
    with _Writing(path) as file:
        while end - start + UNIT + window <= longest and file.bytes + most_bytes(UNIT + window) <= limits.bytes:
            unit = next(sound.units(UNIT), None)
            if unit is None:
                break
            file.write(unit)
            end += len(unit)
            if not ear.spoken:
                ear.hear(unit)
        tail, ear_of_tail = list(sound.units(window)), Ear()
        speech = [likely for unit in tail for likely in ear_of_tail.hear(unit)]
        if not sound.ended:
            tail, rest = _parted(tail, max(0, longest_pause(speech, 0) - LAG) * FRAME)
            sound.put_back(rest)
            ear_of_tail = Ear()
            for unit in tail:
                ear_of_tail.hear(unit)
        for unit in tail:
            file.write(unit)
        kept = sum(len(unit) for unit in tail)
    value = {"start": start / RATE, "end": (end + kept) / RATE}
    if not (ear.spoken or ear_of_tail.spoken):
        path.unlink()
        return {**value, "file": None, "bytes": 0, "speech": 0.0, "speech_end": None}
    speech_end = round((end + ear_of_tail.last * FRAME) / RATE, 3) if ear_of_tail.spoken else None
    share = round(ear_of_tail.speech / max(1, ear_of_tail.frames), 2)
    file_of = {"file": f"{FOLDER}/{path.name}", "bytes": path.stat().st_size}
    return {**value, **file_of, "speech": share, "speech_end": speech_end}


def _parted(units: list[Samples], at: int) -> tuple[list[Samples], list[Samples]]:
    """Units up to sample ``at`` and from it on."""
    whole, within = divmod(at, UNIT)
    split = units[whole : whole + 1]
    return units[:whole] + [unit[:within] for unit in split], [unit[within:] for unit in split] + units[whole + 1 :]


class _Writing:
    """A FLAC file in scratch that asks for room as it grows."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._room = 0
        self._file = FlacFile(path)

    @property
    def bytes(self) -> int:
        return self._file.bytes

    def write(self, samples: Samples) -> None:
        if (needed := self.bytes + most_bytes(len(samples))) > self._room:
            self._room = needed + _ROOM
            context.make_room(self._path, self._room, "a chunk of the sound")
        self._file.write(samples)

    def __enter__(self) -> _Writing:
        self._file.__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        self._file.__exit__(*how)
        os.truncate(self._path, self._path.stat().st_size)  # without the room that was given and not used


class _Sound:
    """Blocks of sound, taken in any lengths. What is held is never joined: a window is a fraction of a chunk, and
    copies of it were 8 of the 34 MB that cutting took.
    """

    def __init__(self, source: Iterable[Samples]) -> None:
        self._source = iter(source)
        self._held: deque[Samples] = deque()

    @property
    def ended(self) -> bool:
        """Nothing is left."""
        return not self._held and not self._fetch()

    def units(self, samples: int) -> Iterator[Samples]:
        """The next samples, :data:`UNIT` at a time; fewer than asked for only at the end."""
        while samples > 0 and len(unit := self._unit(min(UNIT, samples))):
            samples -= len(unit)
            yield unit

    def put_back(self, units: Sequence[Samples]) -> None:
        """The next to be taken."""
        self._held.extendleft(reversed(units))

    def _unit(self, samples: int) -> Samples:
        parts: list[Samples] = []
        missing = samples
        while missing and (self._held or self._fetch()):
            block = self._held.popleft()
            if len(block) > missing:
                self._held.appendleft(block[missing:])
                block = block[:missing]
            parts.append(block)
            missing -= len(block)
        return np.concatenate(parts) if parts else np.zeros(0, np.int16)

    def _fetch(self) -> bool:
        """One more block; False when there is none."""
        block = next(self._source, None)
        if block is not None:
            self._held.append(block)
        return block is not None
