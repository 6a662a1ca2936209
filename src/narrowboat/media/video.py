"""Reading the pictures of any video file, in constant memory.

Covers: :func:`pictures`: upright pictures with true times, deinterlaced, as a plane of brightness and two of colour; a
stretch of them; going on after a picture. Loads in workers only.
Does not cover: what the file is (``video_probe.py``), opening and choosing (``video_stream.py``), drawing and encoding
(``overlay.py``, ``segments.py``).

Time: 0 is where the container starts, as for a player. Where timestamps are missing they are counted; where they run
backwards the picture gets the time of the one before it.

Going on: seeking is exact in good files and not in others, so the place of a picture has a checksum of it. When what is
found after seeking is another picture, all is decoded from the start.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from narrowboat.errors import SourceError
from narrowboat.media.container import one_thread, opened, shown, undecodable
from narrowboat.media.decoding import check_length, decoded
from narrowboat.media.video_stream import limit_size, stream_length, video_stream
from narrowboat.values import Json

Plane = npt.NDArray[np.uint8]
_BT709, _BT2020, _FULL = 1, (9, 10), 2  # of FFmpeg's AVColorSpace and AVColorRange


@dataclass(slots=True)
class Picture:
    """One picture, as it is to be seen. Good until the next one is asked for, and not to be written to.

    Attributes:
        index: 0, 1, 2, … from the beginning of the stretch.
        time: seconds.
        pts: the timestamp in the stream's own units.
        width, height: pixels.
        aspect: a pixel's width by its height.
        planes: brightness, and two of colour with half as many pixels each way; rows may be longer than the picture.
        colours: three rows of a matrix from (brightness, colour, colour, 1) to red, green and blue of 0 to 255.
    """

    index: int
    time: float
    pts: int
    width: int
    height: int
    aspect: float
    planes: tuple[Plane, Plane, Plane]
    colours: tuple[float, ...]
    frame: Any
    quarters: int

    @property
    def full_range(self) -> bool:
        """True when brightness goes from 0 to 255, in the place of 16 to 235."""
        return self.colours[0] == 1

    def rgb(self) -> Plane:
        """Red, green and blue, as (height, width, 3)."""
        rgb: Plane = self.frame.to_ndarray(format="rgb24")
        return np.rot90(rgb, self.quarters) if self.quarters else rgb

    def place(self) -> Json:
        """What :func:`pictures` goes on after."""
        bright = np.ascontiguousarray(self.planes[0][:, : self.width])
        return {"index": self.index, "pts": self.pts, "time": self.time, "checksum": zlib.crc32(bright.data)}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Which pictures: from ``start`` on and before ``end``, in seconds; None for the whole."""

    start: float | None = None
    end: float | None = None


def pictures(
    path: str, facts: dict[str, Any], stretch: Stretch | None = None, after: Json = None, name: str | None = None
) -> Iterator[Picture]:
    """The pictures of a stretch, in order, all of the size in ``facts``.

    Args:
        facts: what the probe said: ``stream``, ``width``, ``height``, ``quarters``, ``aspect``, ``interlaced``,
            ``rate``.
        after: the place of a picture, to go on with the one that follows it.
        name: what messages call the file; else its file name.

    Raises:
        SourceError: nothing, or less than the container declares, could be decoded, or too much is damaged.
    """
    reader = _Reader(path, name or shown(path), facts, stretch or Stretch())
    try:
        if after is None:
            yield from reader.stretch()
        else:
            yield from reader.after(after)
    except av.error.MemoryError:
        raise MemoryError from None
    except (av.error.FFmpegError, ValueError) as error:
        raise undecodable(reader.name, error) from None


class _Reader:
    def __init__(self, path: str, name: str, facts: dict[str, Any], stretch: Stretch) -> None:
        self.name = name
        self._path = path
        self._facts = facts
        self._start = stretch.start or 0.0
        self._end = float("inf") if stretch.end is None else stretch.end

    def stretch(self) -> Iterator[Picture]:
        """All of it, from its beginning."""
        index = itertools.count()
        for picture in self._from_before():
            if picture.time >= self._end:
                return
            if picture.time >= self._start:
                picture.index = next(index)
                yield picture

    def _from_before(self) -> Iterator[Picture]:
        """From the stretch's beginning or before it: by seeking, where that leads there."""
        if self._start > 0:
            near = self._timed(self._start)
            first = _found(near, lambda picture: True)
            if first is not None and first.time <= self._start:
                return itertools.chain([first], near)
            near.close()
        return self._timed(None)

    def after(self, place: Json) -> Iterator[Picture]:
        """What follows a picture."""
        following = self._timed(place["time"])
        found = _found(following, lambda picture: picture.pts >= place["pts"])
        if found is None or found.pts != place["pts"] or found.place()["checksum"] != place["checksum"]:
            following.close()
            yield from (picture for picture in self.stretch() if picture.index > place["index"])
            return
        for index, picture in enumerate(following, place["index"] + 1):
            if picture.time >= self._end:
                return
            picture.index = index
            yield picture

    def _timed(self, seek: float | None) -> Generator[Picture, None, None]:
        """All pictures from a point at or before ``seek`` on, with times that don't run backwards."""
        with opened(self._path, self.name) as container:
            stream = video_stream(container, self.name, self._facts["stream"])
            one_thread(stream)
            limit_size(stream, self._facts["coded_pixels"])
            unit = float(stream.time_base)
            begin = (container.start_time or 0) / av.time_base
            if seek is not None:
                container.seek(int((seek + begin) / unit), stream=stream, backward=True)
            last, reached = 0.0, 0.0
            step = 1 / self._facts["rate"]
            for count, frame in enumerate(self._frames(container, stream)):
                pts = frame.pts if frame.pts is not None else round(count * step / unit)
                time = pts * unit - begin
                last = max(last, time) if count else time
                reached = max(reached, time + float((frame.duration or 0) * unit))
                yield self._picture(frame, last, pts)
            declared = stream_length(container, stream)
        if declared is not None:
            check_length(self.name, "pictures", max(reached, last + step), declared)

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        frames = decoded(container, stream, self.name, "pictures")
        return _deinterlaced(frames, stream) if self._facts["interlaced"] else frames

    def _picture(self, frame: Any, time: float, pts: int) -> Picture:
        facts, quarters = self._facts, self._facts["quarters"]
        width, height = facts["width"], facts["height"]
        size = (height, width) if quarters % 2 else (width, height)
        space = frame.colorspace
        if frame.format.name not in ("yuv420p", "yuvj420p") or (frame.width, frame.height) != size:
            rgb = frame.format.is_rgb
            frame = frame.reformat(*size, format="yuv420p", threads=1)
            space = frame.colorspace if rgb else space
        full = frame.color_range == _FULL or frame.format.name == "yuvj420p"
        planes = _planes(frame, quarters)
        return Picture(0, time, pts, width, height, facts["aspect"], planes, _matrix(space, full), frame, quarters)


def _found(pictures: Iterator[Picture], wanted: Callable[[Picture], bool]) -> Picture | None:
    """Go on to the first picture that is wanted; None when there is none, or nothing could be read after seeking."""
    try:
        return next(filter(wanted, pictures), None)
    except (SourceError, av.error.FFmpegError):
        return None


def _planes(frame: Any, quarters: int) -> tuple[Plane, Plane, Plane]:
    bright, blue, red = (np.frombuffer(each, np.uint8).reshape(each.height, each.line_size) for each in frame.planes)
    if not quarters:
        return bright, blue, red
    width, half = frame.width, (frame.width + 1) // 2
    turned = (
        np.rot90(bright[:, :width], quarters),
        np.rot90(blue[:, :half], quarters),
        np.rot90(red[:, :half], quarters),
    )
    one, two, three = map(np.ascontiguousarray, turned)
    return one, two, three


def _deinterlaced(frames: Iterator[Any], stream: Any) -> Iterator[Any]:
    """One picture for each frame of two interlaced fields; those that are not interlaced go through."""
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(template=stream), graph.add("bwdif", "send_frame:auto:interlaced"), graph.add("buffersink")
    )
    graph.configure()
    for frame in frames:
        graph.push(frame)
        yield from _pulled(graph, stream.time_base)
    graph.push(None)
    yield from _pulled(graph, stream.time_base)


def _pulled(graph: Any, unit: Fraction) -> Iterator[Any]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if frame.pts is not None:  # the filter counts in units half as long
            frame.pts = round(frame.pts * frame.time_base / unit)
        frame.duration = round((frame.duration or 0) * frame.time_base / unit)
        frame.time_base = unit
        yield frame


def _matrix(space: int, full: bool) -> tuple[float, ...]:
    """From planes to colours, after ITU-R BT.601 (also where nothing is said), BT.709 or BT.2020."""
    red, blue = {_BT709: (0.2126, 0.0722), **dict.fromkeys(_BT2020, (0.2627, 0.0593))}.get(space, (0.299, 0.114))
    green = 1 - red - blue
    gain, black, colour = (1.0, 0, 1.0) if full else (255 / 219, 16, 255 / 224)
    to_red, to_blue = 2 * (1 - red) * colour, 2 * (1 - blue) * colour
    rows = (
        (gain, 0.0, to_red),
        (gain, -to_blue * blue / green, -to_red * red / green),
        (gain, to_blue, 0.0),
    )
    return tuple(value for y, u, v in rows for value in (y, u, v, -y * black - 128 * (u + v)))
