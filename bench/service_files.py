"""Files for the service's benchmark: sound, video, documents, and what is none of these.

Covers: making them large without much work, each with a content of its own.
Does not cover: sending them (``service``).

The same sound, pictures and pages serve many files: a few bytes that readers skip make each another content.
"""

from __future__ import annotations

import io
import random
import struct
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class File:
    """A file to send, what is asked of it, and how its job has to end.

    Attributes:
        end: ``done``, or the code of the reason for which it has to fail: some files are no recordings on purpose.
    """

    name: str
    pipeline: str
    options: dict[str, object]
    path: Path
    tail: bytes
    end: str = "done"

    def pieces(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(1 << 18):
                yield piece
        yield self.tail

    @property
    def size(self) -> int:
        return self.path.stat().st_size + len(self.tail)


def sound(source: Path, path: Path, seconds: float) -> Path:
    """A recording again and again, as FLAC at 16 kHz."""
    import av

    with wave.open(str(source)) as given:
        rate, frames = given.getframerate(), given.readframes(given.getnframes())
    with av.open(str(path), "w") as made:
        stream = made.add_stream("flac", rate=16000, layout="mono")
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16000)
        length = len(frames) // 2 / rate
        for _ in range(max(1, round(seconds / length))):
            with wave.open(io.BytesIO(_wav(frames, rate))) as piece:
                _encode(piece, stream, resampler, made, rate)
        for packet in stream.encode(None):
            made.mux(packet)
    return path


def _wav(frames: bytes, rate: int) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(frames)
    return made.getvalue()


def _encode(piece: wave.Wave_read, stream: object, resampler: object, made: object, rate: int) -> None:
    import av
    import numpy

    while block := piece.readframes(rate):
        frame = av.AudioFrame.from_ndarray(numpy.frombuffer(block, "int16")[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for resampled in resampler.resample(frame):  # type: ignore[attr-defined]
            resampled.pts = None
            for packet in stream.encode(resampled):  # type: ignore[attr-defined]
                made.mux(packet)  # type: ignore[attr-defined]


def video(source: Path, path: Path, seconds: float) -> Path:
    """A video, 1080 pixels wide."""
    import av

    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=30, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 1080, 1920, "yuv420p"
        for number, frame in enumerate(given.decode(video=0)):
            if number >= seconds * 30:
                break
            scaled = frame.reformat(1080, 1920, "yuv420p")
            scaled.pts = None
            for packet in stream.encode(scaled):
                made.mux(packet)
        for packet in stream.encode(None):
            made.mux(packet)
    return path


def document(path: Path, size: int, pages: int) -> Path:
    """A PDF of noisy pictures, with an outline."""
    import pikepdf

    noise = random.Random(1)
    pdf = pikepdf.new()
    side = int((size / pages) ** 0.5)
    for number in range(pages):
        pdf.add_blank_page(page_size=(600, 800))
        image = pikepdf.Stream(pdf, noise.randbytes(side * side))
        kinds = {"Type": "XObject", "Subtype": "Image", "ColorSpace": "DeviceGray"}
        for key, value in kinds.items():
            image[f"/{key}"] = pikepdf.Name(f"/{value}")
        image["/Width"] = image["/Height"] = side
        image["/BitsPerComponent"] = 8
        page = pdf.pages[-1]
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=pdf.make_indirect(image)))
        page.Contents = pdf.make_indirect(pikepdf.Stream(pdf, f"600 0 0 800 0 0 cm /Im Do % {number}".encode()))
    with pdf.open_outline() as outline:
        outline.root.extend(pikepdf.OutlineItem(f"Part {page}", page) for page in range(0, pages, max(1, pages // 20)))
    pdf.save(path)
    return path


def _riff_or_flac(number: int) -> bytes:
    """An APE-like tail that decoders skip."""
    return b"TAG" + str(number).encode().ljust(125, b"\0")  # an ID3v1 tag


def _free_box(number: int) -> bytes:
    return struct.pack(">I4sI", 12, b"free", number)


def mixed(work: Path, speech: Path, walk: Path, *, hour_s: float, count: int, pdf_bytes: int) -> list[File]:
    """``count`` files of all kinds, in an order that mixes them: a few large ones, many small ones."""
    long = sound(speech, work / "long.flac", hour_s)
    short = sound(speech, work / "short.flac", 44)
    moving = video(walk, work / "moving.mp4", 4)
    book = document(work / "book.pdf", pdf_bytes, 100)
    noise = work / "noise.mp3"  # made wrong on purpose: its jobs have to fail, for their source
    noise.write_bytes(b"this is no sound\n" * 1000)
    tiny: dict[str, object] = {"model": "local:whisper-tiny.en"}
    shapes: list[tuple[str, Path, str, dict[str, object], Callable[[int], bytes]]] = [
        ("short.flac", short, "transcribe", tiny, _riff_or_flac),
        ("moving.mp4", moving, "pose", {}, _free_box),
        ("short.flac", short, "transcribe", tiny, _riff_or_flac),
        ("book.pdf", book, "split", {}, lambda number: f"\n% {number}\n".encode()),
        ("noise.mp3", noise, "transcribe", tiny, lambda number: str(number).encode()),
    ]
    made = [File("long.flac", "transcribe", tiny, long, _riff_or_flac(n)) for n in range(min(2, count))]
    for number in range(count - len(made)):
        name, path, pipeline, options, tail = shapes[number % len(shapes)]
        if path == book and number >= 5 * 4:  # a few of these are enough
            name, path, pipeline, options, tail = shapes[1]
        end = "source" if path == noise else "done"
        made.append(File(f"{number}-{name}", pipeline, options, path, tail(number), end))
    return made
