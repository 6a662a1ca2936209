"""Speech to measure with: episodes of any length, references, and the word error rate.

Covers: recorded speech where it lies beside the checkout (``../shared/data/speech``), else the sample that comes as a
pack; episodes made by repeating it. Does not cover: running anything (``transcribe``).
"""

from __future__ import annotations

import csv
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

from narrowboat.engines.packs import fetch_pack

RECORDED = Path(__file__).resolve().parents[2] / "shared" / "data" / "speech"
#: The sample's words: the opening of A Tale of Two Cities by Charles Dickens, 1859.
TWO_CITIES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair, we had everything before us, we had nothing "
    "before us, we were all going direct to Heaven, we were all going direct the other way--in short, the period was "
    "so far like the present period, that some of its noisiest authorities insisted on its being received, for good "
    "or for evil, in the superlative degree of comparison only."
)


@dataclass(frozen=True)
class Form:
    """How an episode is encoded: Hz, layout, bits a second."""

    rate: int = 22_050
    layout: str = "mono"
    bit_rate: int = 48_000


#: As podcasts most often are.
PODCAST = Form(44_100, "stereo", 128_000)


@dataclass(frozen=True)
class Spoken:
    """Recordings with what is said in them, and the word error rate (per cent) that they should stay under."""

    name: str
    files: list[Path]
    texts: list[str]
    bound: float | None


def recordings(work: Path, clips_taken: int | None = None) -> list[Spoken]:
    """The dictation and the LibriSpeech clips, or the sample where those are not there.

    The clips come one by one, as files of a few seconds without context, and as one episode of all of them.

    Args:
        work: where the episode is made.
        clips_taken: only so many clips; all when None.
    """
    if not RECORDED.is_dir():
        return [Spoken("sample", [sample()], [TWO_CITIES], None)]
    clips = RECORDED / "librispeech"
    with (clips / "references.tsv").open(encoding="utf-8") as table:
        rows = list(csv.reader(table, delimiter="\t"))
    rows = [row for row in rows if row[0].endswith(".flac")][:clips_taken]
    dictation = Spoken(
        "dictation", [RECORDED / "dictation.mp3"], [(RECORDED / "dictation.txt").read_text("utf-8")], 8.0
    )
    files, texts = [clips / row[0] for row in rows], [row[2] for row in rows]
    one = Spoken(
        f"{len(rows)} LibriSpeech clips as one episode", [joined(work / "clips.wav", files)], [" ".join(texts)], 12.0
    )
    return [dictation, one, Spoken(f"{len(rows)} LibriSpeech clips, a file each", files, texts, 12.0)]


def sample() -> Path:
    """The sample recording, fetched when it is not in the cache."""
    return fetch_pack("sample-two-cities") / "two_cities.wav"


def error_rate(texts: list[str], heard: list[str]) -> float:
    """Word error rate in per cent over all texts together, after Whisper's English normaliser."""
    normal = EnglishTextNormalizer()
    return 100 * float(jiwer.wer([normal(text) for text in texts], [normal(text) for text in heard]))


def episode(path: Path, seconds: float, skip: float = 0, form: Form = Form()) -> Path:
    """An mp3 of ``seconds`` of speech at ``path``: the recording from ``skip`` seconds on, again and again.

    The recording is encoded once and its packets are written as often as it takes, so that ten hours are made in
    seconds and in little memory.
    """
    speech = RECORDED / "dictation.mp3"
    loop = path.with_name(f"loop-{form.rate}-{form.layout}.mp3")
    if not loop.exists():
        _encode(speech if speech.exists() else sample(), loop, form)
    with av.open(str(loop)) as source, av.open(str(path), "w", format="mp3") as target:
        stream: Any = source.streams.audio[0]
        packets: list[tuple[bytes, Any]] = [
            (bytes(packet), packet.duration) for packet in source.demux(stream) if packet.size
        ]
        out = target.add_stream_from_template(stream)
        length = packets[0][1] * stream.time_base
        start, count = int(skip / length), int(seconds / length)
        for number in range(count):
            data, duration = packets[(start + number) % len(packets)]
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.duration = out, stream.time_base, duration
            packet.pts = packet.dts = number * duration
            target.mux(packet)
    return path


def joined(path: Path, files: list[Path]) -> Path:
    """One 16 kHz mono WAV at ``path`` of several files, one after the other."""
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(16_000)
        for file in files:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
            with av.open(str(file)) as source:
                for frame in source.decode(audio=0):
                    for part in resampler.resample(frame):
                        target.writeframes(part.to_ndarray().tobytes())
                for part in resampler.resample(None):
                    target.writeframes(part.to_ndarray().tobytes())
    return path


def _encode(source: Path, target: Path, form: Form) -> None:
    with av.open(str(source)) as speech, av.open(str(target), "w", format="mp3") as out:
        stream: Any = out.add_stream("mp3", rate=form.rate, layout=form.layout, bit_rate=form.bit_rate)
        for frame in _resampled(speech, form):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _resampled(speech: Any, form: Form) -> Iterator[Any]:
    frame = 1152 if form.rate >= 32_000 else 576
    resampler = av.AudioResampler(format="fltp", layout=form.layout, rate=form.rate, frame_size=frame)
    for frame in speech.decode(audio=0):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)
