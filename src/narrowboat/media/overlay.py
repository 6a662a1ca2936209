"""Drawing skeletons into pictures. Loads in workers only.

Covers: a copy of a picture with the bones of its people: left orange, right blue, what joins them white, the wider
the more visible; people's numbers where there are several.
Does not cover: encoding it (``segments.py``), which bones there are (``narrowboat.skeleton``).

It draws into the planes as they were decoded: a picture is never converted to red, green and blue and back.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from narrowboat.media.pose_file import NOBODY, Records
from narrowboat.media.video import Picture, Plane
from narrowboat.skeleton import BONES, NUMBER

_COLOURS = {"left": (255, 140, 0), "right": (0, 160, 255), "middle": (255, 255, 255)}
_DARK = (20, 20, 20)
_UNSEEN = 0.1  # below this visibility a bone is not drawn
_OF_SIZE = 1 / 200  # a bone's width, by the picture's smaller side, when it is fully visible

_Box = tuple[int, int, int, int]


def drawn(picture: Picture, people: Records) -> Any:
    """An ``av`` picture with the people's skeletons, of even width and height, without a timestamp."""
    width, height = even(picture.width), even(picture.height)
    frame = av.VideoFrame(width, height, "yuvj420p" if picture.full_range else "yuv420p")
    shown = [person for person in people if person["found"] != NOBODY]
    targets: Any = frame.planes
    for number, (plane, target) in enumerate(zip(picture.planes, targets, strict=True)):
        copy = np.frombuffer(target, np.uint8).reshape(target.height, target.line_size)
        _fill(copy[:, : target.width], plane)
        scale = 2 if number else 1
        for person in shown:
            _draw(copy[:, : target.width], person, picture, number, scale, numbered=len(people) > 1)
    return frame


def even(pixels: int) -> int:
    """The next even number: what the coding takes."""
    return pixels + pixels % 2


def _fill(target: Plane, plane: Plane) -> None:
    """Copy a plane; a row or column that is missing for an even number is the last one again."""
    height, width = min(target.shape[0], plane.shape[0]), min(target.shape[1], plane.shape[1])
    target[:height, :width] = plane[:height, :width]
    target[height:] = target[height - 1]
    target[:, width:] = target[:, width - 1 : width]


def _draw(target: Plane, person: Any, picture: Picture, plane: int, scale: int, *, numbered: bool) -> None:
    points = person["points"][:, :2] * (picture.width / scale, picture.height / scale)
    seen = person["points"][:, 3]
    full = max(2.0, min(picture.width, picture.height) * _OF_SIZE) / scale
    box = _around(points, target, margin=math.ceil(8 * full))
    if box is None:
        return
    image = Image.fromarray(np.ascontiguousarray(target[box[1] : box[3], box[0] : box[2]]))
    _skeleton(ImageDraw.Draw(image), points - box[:2], seen, full, _shades(picture.colours)[plane])
    if numbered:
        _number(ImageDraw.Draw(image), points - box[:2], full, int(person["person"]), _shades(picture.colours)[plane])
    target[box[1] : box[3], box[0] : box[2]] = np.asarray(image)


def _around(points: npt.NDArray[np.float64], target: Plane, margin: int) -> _Box | None:
    """What of the plane the points take up; None when they are all outside."""
    low, high = np.floor(points.min(axis=0)) - margin, np.ceil(points.max(axis=0)) + margin
    left, top = (int(value) for value in np.maximum(low, 0))
    right, bottom = (int(value) for value in np.minimum(high, target.shape[::-1]))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _skeleton(
    draw: ImageDraw.ImageDraw,
    points: npt.NDArray[np.float64],
    seen: npt.NDArray[np.float32],
    full: float,
    shades: dict[str, int],
) -> None:
    lines = []
    for one, other, side in BONES:
        visible = float(min(seen[one], seen[other]))
        if visible >= _UNSEEN:
            lines.append((tuple(points[one]) + tuple(points[other]), full * (0.3 + 0.7 * visible), shades[side]))
    for ends, width, _ in lines:
        draw.line(ends, fill=shades["dark"], width=round(width + max(1.0, full)))
    for ends, width, shade in lines:
        draw.line(ends, fill=shade, width=max(1, round(width)))


def _number(
    draw: ImageDraw.ImageDraw, points: npt.NDArray[np.float64], full: float, number: int, shades: dict[str, int]
) -> None:
    x, y = points[NUMBER["nose"]]
    font = ImageFont.load_default(size=max(8.0, 7 * full))
    edge = max(1, round(full / 2))
    draw.text(
        (x, y - 4 * full), str(number), shades["middle"], font, "mb", stroke_width=edge, stroke_fill=shades["dark"]
    )


@lru_cache(maxsize=8)
def _shades(colours: tuple[float, ...]) -> tuple[dict[str, int], ...]:
    """For each plane what the colours are in it."""
    matrix = np.array(colours).reshape(3, 4)
    back = np.linalg.inv(matrix[:, :3])
    planes = {name: back @ (np.array(rgb) - matrix[:, 3]) for name, rgb in {**_COLOURS, "dark": _DARK}.items()}
    return tuple(
        {name: int(np.clip(round(shade[plane]), 0, 255)) for name, shade in planes.items()} for plane in range(3)
    )
