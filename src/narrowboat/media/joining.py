"""Putting an overlay together from its pieces: nothing is decoded but one picture. Loads in workers only.

Covers: the step :func:`join`: the video with the sound of its source, a still of the picture that shows most, a
preview.
Does not cover: the pieces (``segments.py``), putting outputs in place (``beside.py``).
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.media import beside
from narrowboat.media.container import opened
from narrowboat.values import Json

PREVIEW_S = 3.0
_STILL = 960  # pixels of its longer side, at most
#: What players take in MP4; sound in another coding is left out.
_SOUND = {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac"}


def join(inputs: dict[str, Any]) -> dict[str, Any]:
    """A step: the pieces of an overlay as outputs.

    Inputs: ``items``, the path of a file with the values of the items, one a line; ``folder``, with a
    ``segment-N.nut`` for each; ``path`` of the source; ``source``, what messages call it; ``facts``, ``trim``;
    ``targets``, a list of ``{"format": "overlay"|"thumbnail"|"preview", "path"}``.

    Returns:
        ``outputs``: for each target ``format``, ``path``, ``bytes``.

    Raises:
        UsageError, OutputError, DiskFull: see :mod:`~narrowboat.media.beside`. They leave nothing partial behind.
    """
    items = [json.loads(line) for line in Path(inputs["items"]).read_text().splitlines()]
    pieces = [Path(inputs["folder"]) / f"segment-{number}.nut" for number in range(len(items))]
    targets = beside.targets_of(inputs, _MAKERS)
    beside.require_space(targets, sum(piece.stat().st_size for piece in pieces), "writing the overlay")
    with beside.placed([path for _, path in targets]) as parts:
        for (kind, path), part in zip(targets, parts, strict=True):
            with beside.explained(path):
                _MAKERS[kind](part, pieces, items, inputs)
    return beside.outputs(targets)


def _best(items: list[Json]) -> int:
    """The number of the piece with the picture that shows most."""
    return max(range(len(items)), key=lambda number: items[number]["best"][1])


def _overlay(target: Path, pieces: list[Path], items: list[Json], inputs: dict[str, Any]) -> None:
    start, end = inputs["trim"]
    with opened(inputs["path"], inputs["source"]) as source, _output(target, inputs) as out:
        _mux(out, pieces, start or 0.0, lambda: _sound(source, out, start or 0.0, end), told=True)


def _preview(target: Path, pieces: list[Path], items: list[Json], inputs: dict[str, Any]) -> None:
    """From the piece that shows most on; from an earlier one where less than the preview's length would follow."""
    best = _best(items)
    full = (number for number in range(best, 0, -1) if items[-1]["end"] - items[number]["start"] >= PREVIEW_S)
    with _output(target, inputs) as out:
        _mux(out, pieces[next(full, 0) :], None, lambda: iter(()), longest=PREVIEW_S)


def _still(target: Path, pieces: list[Path], items: list[Json], inputs: dict[str, Any]) -> None:
    best = _best(items)
    which = items[best]["best"][0]
    with av.open(str(pieces[best])) as piece:
        frame: Any = next(frame for number, frame in enumerate(piece.decode(video=0)) if number == which)
        image = frame.to_image()
    aspect = inputs["facts"]["aspect"]
    wide, high = round(image.width * aspect), image.height
    image = image.resize((wide, high)) if wide != image.width else image
    image.thumbnail((_STILL, _STILL))
    image.save(target, format="JPEG", quality=85)


_MAKERS: dict[str, Callable[[Path, list[Path], list[Json], dict[str, Any]], None]] = {
    "overlay": _overlay,
    "preview": _preview,
    "thumbnail": _still,
}


def _output(target: Path, inputs: dict[str, Any]) -> Any:
    # The index goes to the front, so that a browser begins to play before it has all. Times keep their unit: in the
    # finer one that FFmpeg would choose, a picture that stays for ten hours is too long for the format.
    options = {"movflags": "+faststart", "video_track_timescale": str(inputs["facts"]["unit"][1])}
    return av.open(str(target), "w", format="mp4", options=options)


def _mux(
    out: Any,
    pieces: list[Path],
    start: float | None,
    sound: Callable[[], Iterator[tuple[float, Any]]],
    *,
    longest: float = float("inf"),
    told: bool = False,
) -> None:
    """Write pieces, and sound beside them, in the order of their times: what comes late would wait in memory.

    Args:
        start: seconds of the source that become 0; None for the first picture's.
        sound: adds its stream and gives its packets.
        longest: seconds after which no picture is written.
    """
    with av.open(str(pieces[0])) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
    seen = _pictures(pieces, stream, start, longest, told)
    for _, _, packet in heapq.merge(
        ((time, 0, packet) for time, packet in seen), ((time, 1, packet) for time, packet in sound()), key=_time
    ):
        out.mux(packet)


def _time(entry: tuple[float, int, Any]) -> tuple[float, int]:
    return entry[0], entry[1]


def _pictures(
    pieces: list[Path], stream: Any, start: float | None, longest: float, told: bool
) -> Iterator[tuple[float, Any]]:
    zero: int | None = None
    for number, path in enumerate(pieces):
        with av.open(str(path)) as piece:
            packets: Iterator[Any] = piece.demux(video=0)
            for packet in packets:
                if packet.dts is None:
                    continue
                unit = packet.time_base
                if zero is None:
                    zero = packet.pts if start is None else round(Fraction(start) / unit)
                packet.pts, packet.dts = packet.pts - zero, packet.dts - zero
                time = float(packet.pts * unit)
                if time >= longest:
                    return
                packet.stream = stream
                yield time, packet
        if told:
            context.progress((number + 1) / len(pieces), "join")


def _sound(source: Any, out: Any, start: float, end: float | None) -> Iterator[tuple[float, Any]]:
    """The packets of the source's sound with their times, as they are; nothing where MP4 can't hold them."""
    stream = source.streams.best("audio")
    if stream is None:
        return iter(())
    coding = stream.codec_context.name if stream.codec_context is not None else "unknown"
    if coding not in _SOUND:
        context.log(f"the overlay has no sound: {coding} can't be kept in MP4")
        return iter(())
    return _packets(source, stream, out.add_stream_from_template(stream), start, end)


def _packets(source: Any, stream: Any, target: Any, start: float, end: float | None) -> Iterator[tuple[float, Any]]:
    begin = (source.start_time or 0) / av.time_base
    if start > 0:
        source.seek(int((start + begin) * av.time_base), backward=True)
    zero = round((start + begin) / float(stream.time_base))
    try:
        for packet in source.demux(stream):
            if packet.dts is None or packet.pts is None:
                continue
            packet.pts, packet.dts = packet.pts - zero, packet.dts - zero
            time = float(packet.pts * stream.time_base)
            if end is not None and time >= end - start:
                return
            if time >= 0:
                packet.stream = target
                yield time, packet
    except av.error.FFmpegError as error:
        raise SourceError(f"the sound can't be read to its end: {error.strerror}", reason="damaged") from None
