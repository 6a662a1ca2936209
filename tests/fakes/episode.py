"""Long recordings whose every word is known: ``python -m fakes.episode CLIPS --minutes 120 --out FOLDER``.

Covers: joining clips of speech (FLAC, with ``references.tsv``: file, seconds, text) in an order that the seed chooses,
with pauses between them; what is known of the whole, in a folder:

- ``episode.flac``: the recording, 16 kHz mono;
- ``episode.s16``: its samples, raw;
- ``words.tsv``: first sample, sample after the last, speaker, utterance, word;
- ``anchors.npz``: where a piece of it is found (``anchors``).

No second of it is like another, though clips come again and again: a noise of two units that the seed chooses lies
under all of it. Does not cover: answering from it (``hearing``).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from fakes.anchors import Finder, all_anchors
from fakes.decoding import RATE, Samples, blocks
from fakes.voicing import spread, stretches

NOISE = 2
#: Seconds between two clips.
PAUSE = (0.4, 1.4)


@dataclass(slots=True)
class Word:
    """A word of an episode; ``start`` and ``end`` in samples."""

    start: int
    end: int
    speaker: str
    utterance: int
    text: str


@dataclass(slots=True)
class Clip:
    """A clip of one speaker: its samples, and its words with their times in it."""

    samples: Samples
    speaker: str
    words: list[str]
    times: list[tuple[int, int]]


class Episode:
    """An episode from its folder; its samples stay on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flac = folder / "episode.flac"
        self.samples: Samples = np.memmap(folder / "episode.s16", np.dtype("<i2"), "r")
        self.words = [_word(line) for line in (folder / "words.tsv").read_text("utf-8").splitlines()]
        with np.load(folder / "anchors.npz") as kept:
            self.finder = Finder(self.samples, kept["hashes"], kept["places"])

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def between(self, start: int, end: int) -> list[Word]:
        """Every word of which any part lies between two samples."""
        return [word for word in self.words if word.start < end and word.end > start]


def _word(line: str) -> Word:
    start, end, speaker, utterance, text = line.split("\t")
    return Word(int(start), int(end), speaker, int(utterance), text)


def read_clips(folder: Path) -> list[Clip]:
    """The clips of a folder with ``references.tsv``; the speaker is what their names begin with."""
    clips = []
    for line in (folder / "references.tsv").read_text("utf-8").splitlines():
        name, _, text = line.split("\t")
        if not name.endswith(".flac"):
            continue  # the heading, where there is one
        samples = np.concatenate(list(blocks(folder / name, name)))
        words = text.split()
        clips.append(Clip(samples, name.partition("-")[0], words, spread(words, stretches(samples))))
    return clips


def build(
    clips: list[Clip],
    out: Path,
    *,
    seconds: float,
    seed: int = 0,
    pause: tuple[float, float] = PAUSE,
    scene: float | None = None,
) -> Episode:
    """Make an episode of at least so many seconds; the same with the same arguments.

    Args:
        seed: of the order, the pauses and the noise.
        pause: seconds between two clips, from and to.
        scene: seconds for which the same two speak, before one of them goes and another comes; None: all at any time.
    """
    out.mkdir(parents=True, exist_ok=True)
    words: list[Word] = []
    with (out / "episode.s16").open("wb") as raw, av.open(str(out / "episode.flac"), "w") as container:
        stream = container.add_stream("flac", rate=RATE)
        stream.layout, stream.format = "mono", "s16"
        for samples in _joined(_ordered(clips, seed, scene), words, seconds, seed, pause):
            raw.write(samples.tobytes())
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
            frame.rate = RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    lines = (f"{word.start}\t{word.end}\t{word.speaker}\t{word.utterance}\t{word.text}\n" for word in words)
    (out / "words.tsv").write_text("".join(lines), "utf-8")
    hashes, places = all_anchors(np.memmap(out / "episode.s16", np.dtype("<i2"), "r"))
    np.savez(out / "anchors.npz", hashes=hashes, places=places)
    return Episode(out)


def _joined(
    clips: Generator[Clip, float], words: list[Word], seconds: float, seed: int, pause: tuple[float, float]
) -> Iterator[Samples]:
    """The samples of the episode, clip by clip; its words are added to ``words``."""
    chance, noise = random.Random(seed), np.random.default_rng(seed)
    at = utterance = 0
    clip = next(clips)
    while at < seconds * RATE:
        gap = round(chance.uniform(*pause) * RATE)
        samples = np.concatenate([np.zeros(gap, np.int32), clip.samples.astype(np.int32)])
        samples += noise.integers(-NOISE, NOISE, len(samples), endpoint=True)
        shown = _as_sentence(clip.words)
        words += [
            Word(at + gap + start, at + gap + end, clip.speaker, utterance, text)
            for text, (start, end) in zip(shown, clip.times, strict=True)
        ]
        at, utterance = at + len(samples), utterance + 1
        yield np.clip(samples, -32_768, 32_767).astype("<i2")
        clip = clips.send(at / RATE)


def _ordered(clips: list[Clip], seed: int, scene: float | None) -> Generator[Clip, float]:
    """Clips without end, told where the episode is: all of them in turn, or those of the scene's two speakers."""
    chance = random.Random(seed)
    while scene is None:
        for clip in chance.sample(clips, len(clips)):  # noqa: UP028 (what is sent would go to the list)
            yield clip
    speakers, now = list(dict.fromkeys(clip.speaker for clip in clips)), 0.0
    while True:
        number = int(now / scene)
        cast = {speakers[number % len(speakers)], speakers[(number + 1) % len(speakers)]}
        now = yield chance.choice([clip for clip in clips if clip.speaker in cast])


def _as_sentence(words: list[str]) -> list[str]:
    shown = [words[0].capitalize(), *words[1:]]
    shown[-1] += "."
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fakes.episode", description="Make a recording from clips.")
    parser.add_argument("clips", type=Path, help="a folder with clips and references.tsv")
    parser.add_argument("--minutes", type=float, default=10.0, help="at least; 10 when not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pause", type=float, nargs=2, default=PAUSE, metavar=("FROM", "TO"), help="seconds")
    parser.add_argument("--scene", type=float, metavar="SECONDS", help="two speak for so long, then one is another")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    args = parser.parse_args()
    clips = read_clips(args.clips)
    how = {"seed": args.seed, "pause": tuple(args.pause), "scene": args.scene}
    episode = build(clips, args.out, seconds=args.minutes * 60, **how)
    print(f"{episode.flac}: {episode.seconds:.0f} s, {len(episode.words)} words")


if __name__ == "__main__":
    main()
