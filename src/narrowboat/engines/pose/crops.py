"""Square cut-outs of a picture, turned and scaled to what a model takes. Loads in workers only.

Covers: regions; sampling a turned one where a pose is looked for, and the upright one around a whole picture. Both
sample where the models' makers do, which moves landmarks by a pixel and more.
Does not cover: where regions come from (``detector``, ``tracker``), reading pictures (``media/video``).

Of a picture in which somebody is followed only the region is converted to red, green and blue, after it was sampled:
2.3 ms where converting a 720p picture and sampling that takes 3.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]
Plane = npt.NDArray[np.uint8]


class Picture(Protocol):
    """What is asked of a picture: upright, in brightness and two colour planes of half its size."""

    @property
    def width(self) -> int: ...  # pixels

    @property
    def height(self) -> int: ...

    @property
    def aspect(self) -> float: ...  # a pixel's width, by its height

    @property
    def planes(self) -> tuple[Plane, Plane, Plane]: ...  # rows may be longer than the width

    def rgb(self) -> Plane: ...  # (height, width, 3)

    @property
    def colours(self) -> tuple[float, ...]: ...  # 12 numbers: three rows of a matrix from the planes to RGB, 0 to 255


@dataclass(frozen=True, slots=True)
class Region:
    """A square in a picture, in units of a pixel's height: where a model looks.

    Attributes:
        x, y: of its middle.
        size: of its sides.
        turn: radians clockwise by which what stands upright in it is turned in the picture.
    """

    x: float
    y: float
    size: float
    turn: float = 0.0

    def placed(self, points: Floats) -> Floats:
        """Points of the region (0 to 1 across it) in the picture's units, as (n, 2)."""
        cosine, sine = math.cos(self.turn) * self.size, math.sin(self.turn) * self.size
        across, down = points[:, 0] - 0.5, points[:, 1] - 0.5
        return np.stack([self.x + cosine * across - sine * down, self.y + sine * across + cosine * down], axis=1)


def region_between(middle: npt.ArrayLike, top: npt.ArrayLike) -> Region:
    """The region of a person from two points in the picture's units: the hips' middle, and the end of a line from
    there that is half as long as the person and points to where the head is.
    """
    (x, y), (to_x, to_y) = np.asarray(middle, float).tolist(), np.asarray(top, float).tolist()
    turn = math.pi / 2 - math.atan2(y - to_y, to_x - x)
    turn -= 2 * math.pi * math.floor((turn + math.pi) / (2 * math.pi))
    return Region(x, y, 2.5 * math.hypot(to_x - x, to_y - y), turn)


def whole_picture(picture: Picture) -> Region:
    """The smallest upright region that holds all of a picture, around its middle."""
    width, height = picture.width * picture.aspect, float(picture.height)
    return Region(width / 2, height / 2, max(width, height))


def shrunk(picture: Picture, side: int) -> Floats:
    """The region around a whole picture as (side, side, 3) numbers of 0 to 255, black where there is no picture."""
    region, rgb = whole_picture(picture), picture.rgb()
    step = region.size / side
    across = (region.x - region.size / 2 + step * np.arange(side)) / picture.aspect
    down = region.y - region.size / 2 + step * np.arange(side)
    left, right, part, wide = _between(across, picture.width)
    over, under, share, high = _between(down, picture.height)
    part, share = part[:, None], share[:, None, None]
    rows = rgb[over] * (1 - share) + rgb[under] * share
    sampled = (rows[:, left] * (1 - part) + rows[:, right] * part) * (high[:, None] & wide)[:, :, None]
    return sampled.astype(np.float32)


_Indices = npt.NDArray[np.intp]


def _between(places: npt.NDArray[np.floating], count: int) -> tuple[_Indices, _Indices, Floats, npt.NDArray[np.bool_]]:
    """For places on a line of pixels: the pixels before and after, how far it is to the second, whether it is there."""
    before = np.floor(places).astype(np.intp)
    part = (places - before).astype(np.float32)
    return before.clip(0, count - 1), (before + 1).clip(0, count - 1), part, (before >= 0) & (before < count)


def crop(picture: Picture, region: Region, side: int) -> Floats:
    """The region as (side, side, 3) numbers of 0 to 255, sampled between pixels.

    Beyond the picture, up to its size on each side, the colours of its edge go on; further away it is black.
    """
    step = region.size / side
    cosine, sine = math.cos(region.turn) * step, math.sin(region.turn) * step
    # The models were made with the first pixel's middle at the region's corner, where Pillow has it half a step inside.
    left = region.x - (cosine - sine) * (side + 1) / 2 + 0.5 * picture.aspect
    top = region.y - (cosine + sine) * (side + 1) / 2 + 0.5
    wide = 1 / picture.aspect
    across, down = (cosine * wide, -sine * wide, left * wide), (sine, cosine, top)
    beyond = _beyond(picture, region)
    half = ((picture.width + 1) // 2, (picture.height + 1) // 2)
    sampled = [
        _sampled(plane, size, scale, (across, down), beyond, side)
        for plane, size, scale in zip(
            picture.planes, ((picture.width, picture.height), half, half), (1, 2, 2), strict=True
        )
    ]
    return np.asarray(Image.merge("RGB", sampled).convert("RGB", _rounding(picture.colours))).astype(np.float32)


_Row = tuple[float, float, float]


def _sampled(
    plane: Plane, size: tuple[int, int], scale: int, rows: tuple[_Row, _Row], beyond: tuple[int, ...], side: int
) -> Image.Image:
    """A plane's part of a region; ``scale``: pixels of the picture in one of the plane."""
    (width, height), length = size, plane.strides[0]
    left, top, right, bottom = (-(-pixels // scale) for pixels in beyond)
    if left or top or right or bottom:
        plane = np.pad(plane[:, :width], ((top, bottom), (left, right)), mode="edge")
        height, width = plane.shape
        length = width
    image = Image.frombuffer("L", (width, height), plane, "raw", "L", length, 1)
    (a, b, c), (d, e, f) = (tuple(value / scale for value in row) for row in rows)
    matrix = (a, b, c + left, d, e, f + top)
    black = 0 if scale == 1 else 128
    return image.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=black)


def _rounding(colours: tuple[float, ...]) -> tuple[float, ...]:
    """The matrix for samples that were cut to whole numbers, as Pillow does: on average they are half too small."""
    rows = (colours[0:4], colours[4:8], colours[8:12])
    return tuple(value for a, b, c, d in rows for value in (a, b, c, d + (a + b + c) / 2))


def _beyond(picture: Picture, region: Region) -> tuple[int, int, int, int]:
    """Pixels by which a region goes beyond a picture on the left, the top, the right and the bottom, at most its
    size."""
    reach = region.size / 2 * (abs(math.cos(region.turn)) + abs(math.sin(region.turn))) + 2
    x, y = region.x / picture.aspect, region.y
    wide = reach / picture.aspect
    sides = (wide - x, reach - y, x + wide - picture.width, y + reach - picture.height)
    most = (picture.width, picture.height) * 2
    return tuple(min(max(0, math.ceil(value)), limit) for value, limit in zip(sides, most, strict=True))  # type: ignore[return-value]
