"""Reading pictures: what they are, when they are, going on after any of them, and what is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from making import make
from making_video import make_video, square

from narrowboat.errors import SourceError
from narrowboat.media.video import Stretch, pictures
from narrowboat.media.video_probe import probe_video


def facts_of(path: Path) -> dict[str, Any]:
    return probe_video({"path": str(path)})


def read(path: Path, stretch: Stretch | None = None, after: Any = None) -> list[tuple[int, float, bytes]]:
    """(number, time, bright pixels) of each picture."""
    facts = facts_of(path)
    found = []
    for picture in pictures(str(path), facts, stretch, after):
        assert (picture.width, picture.height) == (facts["width"], facts["height"])
        found.append((picture.index, round(picture.time, 6), picture.planes[0][:, : picture.width].tobytes()))
    return found


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return make_video(tmp_path / "video.mp4", 40, g="12", bf="2")


# -- what pictures are ------------------------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "h264.ts": {"container": "mpegts"},
    "hevc.mp4": {"codec": "libx265", "x265-params": "log-level=none:pools=1:frame-threads=1"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "av1.mkv": {"codec": "libsvtav1", "svtav1-params": "lp=1", "preset": "12"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "ten-bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le", "x265-params": "log-level=none:pools=1"},
    "4:4:4.mkv": {"pix_fmt": "yuv444p"},
    "full.mp4": {"pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "motion-jpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj422p"},
    "odd.mkv": {"codec": "ffv1", "size": (127, 95)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_coding_gives_each_picture_once_and_in_its_colours(kind: str, tmp_path: Path) -> None:
    path = make_video(tmp_path / kind.replace(":", ""), 12, **KINDS[kind])
    facts = facts_of(path)
    seen = list(pictures(str(path), facts))
    assert [picture.index for picture in seen] == list(range(12))
    assert [round(picture.time, 3) for picture in seen] == pytest.approx([n / 25 for n in range(12)], abs=0.002)
    last = seen[-1]
    rows = np.array(last.colours).reshape(3, 4)
    left, top, side = square(11, last.width, last.height)
    x, y = left + side // 2, top + side // 2
    bright, blue, red = (
        float(plane[y // scale - 2 : y // scale + 2, x // scale - 2 : x // scale + 2].mean())
        for plane, scale in zip(last.planes, (1, 2, 2), strict=True)
    )
    assert rows @ (bright, blue, red, 1) == pytest.approx((230, 131, 40), abs=12)
    assert last.rgb()[y, x].astype(float) == pytest.approx((230, 131, 40), abs=12)


@pytest.mark.parametrize(("turned", "quarters"), [(90, 1), (-90, 3), (180, 2)])
def test_pictures_are_turned_upright(turned: int, quarters: int, tmp_path: Path) -> None:
    plain = read(make_video(tmp_path / "plain.mp4", 3))
    path = make_video(tmp_path / "turned.mp4", 3, turned=turned)
    facts = facts_of(path)
    assert facts["quarters"] == quarters
    assert (facts["width"], facts["height"]) == ((96, 128) if quarters % 2 else (128, 96))
    for (_, _, pixels), picture in zip(plain, pictures(str(path), facts), strict=True):
        upright = np.rot90(np.frombuffer(pixels, np.uint8).reshape(96, 128), quarters)
        assert np.array_equal(picture.planes[0][:, : picture.width], upright)
        assert picture.rgb().shape == (facts["height"], facts["width"], 3)


def test_times_of_a_varying_rate_are_true(tmp_path: Path) -> None:
    times = [0, 40, 45, 200, 1000, 1001, 5000]
    path = make_video(tmp_path / "varying.mkv", len(times), times=times)
    assert [time for _, time, _ in read(path)] == [time / 1000 for time in times]


def test_interlaced_pictures_are_made_whole_and_keep_their_times(tmp_path: Path) -> None:
    path = make_video(tmp_path / "fields.mp4", 10, size=(128, 128), **{"x264-params": "interlaced=1"})
    assert facts_of(path)["interlaced"]
    assert [(number, time) for number, time, _ in read(path)] == [(n, n / 25) for n in range(10)]
    whole = read(path, Stretch(0.1, 0.3))
    assert [time for _, time, _ in whole] == [n / 25 for n in range(3, 8)]
    assert read(path, Stretch(0.1, 0.3), after=places(path, Stretch(0.1, 0.3))[1]) == whole[2:]


# -- going on, and stretches ------------------------------------------------------------------------------------------


def places(path: Path, stretch: Stretch | None = None) -> list[Any]:
    return [picture.place() for picture in pictures(str(path), facts_of(path), stretch)]


@pytest.mark.parametrize("name", ["cut.mp4", "cut.ts", "cut.mkv", "cut.avi"])
def test_what_follows_a_picture_is_what_would_have_followed(name: str, tmp_path: Path) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = make_video(tmp_path / name, 30, codec=codec, container="mpegts" if name.endswith("ts") else None, g="7")
    whole = read(path)
    for place in places(path)[::4]:
        assert read(path, after=dict(place)) == whole[place["index"] + 1 :]


def test_a_place_that_seeking_does_not_find_is_looked_for_from_the_start(video: Path) -> None:
    place = {**places(video)[20], "checksum": 1}
    assert read(video, after=place) == read(video)[21:]


def test_a_stretch_counts_from_its_first_picture(video: Path) -> None:
    whole = read(video)
    part = read(video, Stretch(0.5, 1.0))
    assert [time for _, time, _ in part] == [time for _, time, _ in whole if 0.5 <= time < 1.0]
    assert [pixels for _, _, pixels in part] == [pixels for _, time, pixels in whole if 0.5 <= time < 1.0]
    assert [number for number, _, _ in part] == list(range(len(part)))
    place = places(video, Stretch(0.5, 1.0))[3]
    assert read(video, Stretch(0.5, 1.0), after=place) == part[4:]


def test_a_stretch_beyond_the_end_is_empty(video: Path) -> None:
    assert read(video, Stretch(9.0, None)) == []


# -- what is refused --------------------------------------------------------------------------------------------------


def _text(path: Path) -> Path:
    path.write_text("this is no video\n" * 40)
    return path


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _half(path: Path) -> Path:
    whole = make_video(path.with_name("whole.mp4"), 60).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _cut_stream(path: Path) -> Path:
    """Its index is there, and half of what it speaks of is zeros."""
    data = bytearray(make_video(path.with_name("whole.mp4"), 400, index_first=True).read_bytes())
    at = data.index(b"mdat")
    data[at + 4 + (len(data) - at) // 4 :] = bytes(len(data) - at - 4 - (len(data) - at) // 4)
    path.write_bytes(data)
    return path


def _no_pictures(path: Path) -> Path:
    with_pictures = make_video(path.with_name("whole.mkv"), 5)
    data = with_pictures.read_bytes()
    path.write_bytes(data[: data.index(bytes.fromhex("1f43b675"))])
    return path


def _bomb(path: Path, *, told: bool) -> Path:
    """Pictures that say that they have 16384 × 16384 pixels; its header says so too, or that they are small."""
    data = make_video(path, 3, (640, 480), codec="mjpeg", pix_fmt="yuvj420p").read_bytes()
    frame = bytes.fromhex("ffc0001108")  # how a JPEG's begins, before height and width
    data = data.replace(frame + struct.pack(">HH", 480, 640), frame + struct.pack(">HH", 1 << 14, 1 << 14))
    path.write_bytes(data.replace(struct.pack("<II", 640, 480), struct.pack("<II", 1 << 14, 1 << 14)) if told else data)
    return path


BAD: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "text": (_text, "bad.mp4", "is not media"),
    "empty": (_empty, "bad.mp4", "is empty"),
    "half": (_half, "bad.mp4", "is cut short"),
    "sound": (make, "bad.wav", "holds sound but no video"),
    "one pixel": (lambda path: make_video(path, 2, (1, 1), codec="ffv1"), "bad.mkv", "1 × 1 pixels: too small"),
    "bomb": (
        lambda path: make_video(path, 1, (9000, 4000), codec="mjpeg", pix_fmt="yuvj420p"),
        "bad.avi",
        "at most 35 million",
    ),
    "vast": (partial(_bomb, told=True), "bad.avi", "no size, or one far above 35 million"),
    "vast inside": (partial(_bomb, told=False), "bad.avi", "can't be decoded: .*16384x16384"),
    "header alone": (_no_pictures, "bad.mkv", "holds no pictures|is cut short"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_can_not_be_read_is_refused_in_a_sentence(what: str, tmp_path: Path) -> None:
    make_it, name, sentence = BAD[what]
    path = make_it(tmp_path / name)
    with pytest.raises(SourceError, match=sentence) as refused:
        facts_of(path)
    assert name in refused.value.message


def test_the_wrong_ending_does_no_harm(tmp_path: Path) -> None:
    assert len(read(make_video(tmp_path / "really.mkv", 5, container="mp4"))) == 5


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path = _cut_stream(tmp_path / "bad.mp4")
    with pytest.raises(SourceError, match=r"bad\.mp4 is damaged: \d+ of its \d+ frames can't be decoded"):
        read(path)


def test_a_picture_that_is_larger_than_was_said_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = make_video(tmp_path / "large.mp4", 3, (640, 480))
    facts = {**facts_of(path), "coded_pixels": 1000}
    with pytest.raises(SourceError, match="large"):
        list(pictures(str(path), facts))
