"""The steps of pose as plain functions on real pictures: poses, going on after any item, the overlay."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from narrowboat import context
from narrowboat.errors import SourceError
from narrowboat.media.joining import join
from narrowboat.media.pose_file import NOBODY, read_poses
from narrowboat.media.poses import write_poses
from narrowboat.media.video_probe import probe_video
from narrowboat.pipelines.pose import steps


@pytest.fixture(autouse=True)
def small_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "ITEM", 8)


@pytest.fixture
def asked(pose_models: Path, walkers: Path) -> dict[str, Any]:
    return {
        "path": str(walkers),
        "name": walkers.name,
        "facts": probe_video({"path": str(walkers)}),
        "model_dir": str(pose_models),
        "people": 2,
        "smooth": "light",
        "every": 1,
        "trim": [2.0, 2.9],
        "overlay": False,
    }


def run(asked: dict[str, Any], scratch: Path, cursor: Any = None) -> list[Any]:
    context.enter(context.Context(scratch))
    return list(steps.follow(asked, cursor))


def records(scratch: Path) -> Any:
    return np.concatenate(list(read_poses(scratch / "poses")))


def test_people_are_found_in_every_picture_of_the_stretch(asked: dict[str, Any], tmp_path: Path) -> None:
    items = run(asked, tmp_path)
    found = records(tmp_path)
    assert sum(item.value["frames"] for item in items) == 27
    assert list(dict.fromkeys(found["frame"].tolist())) == list(range(27))
    assert items[0].value["start"] == pytest.approx(2.0, abs=0.01)
    assert (found["found"] != NOBODY).all()
    assert ((found["points"][:, 11:29, :2] > 0) & (found["points"][:, 11:29, :2] < 1)).all()  # shoulders to ankles


def test_a_run_that_is_cut_anywhere_gives_the_same(asked: dict[str, Any], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    asked = {**asked, "trim": [2.0, 2.6]}
    items = run(asked, whole)
    for number in range(len(items)):
        cut.mkdir(exist_ok=True)
        written = (whole / "poses").read_bytes()
        (cut / "poses").write_bytes(written[: items[number].cursor["bytes"]] + b"what was in flight")
        again = run(asked, cut, json.loads(json.dumps(items[number].cursor)))
        assert [item.value for item in again] == [item.value for item in items[number + 1 :]]
        assert (cut / "poses").read_bytes() == (whole / "poses").read_bytes()


def test_every_third_picture_and_a_second_thread(asked: dict[str, Any], tmp_path: Path) -> None:
    asked = {**asked, "every": 3, "smooth": "off"}
    run(asked, tmp_path / "one")
    made = context.Context(tmp_path / "two")
    made.most_cores = 2
    context.enter(made)
    list(steps.follow(asked, None))
    assert sorted(set(records(tmp_path / "one")["frame"].tolist())) == list(range(0, 27, 3))
    assert (tmp_path / "one" / "poses").read_bytes() == (tmp_path / "two" / "poses").read_bytes()


def test_a_stretch_without_pictures_is_refused(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no picture from 60 s to its end"):
        run({**asked, "trim": [60.0, None]}, tmp_path)


def _targets(folder: Path, *formats: str) -> dict[str, Any]:
    return {"targets": [{"format": each, "path": str(folder / each)} for each in formats]}


def test_an_overlay_made_with_a_second_core_is_the_same(asked: dict[str, Any], tmp_path: Path) -> None:
    asked = {**asked, "overlay": True, "trim": [2.0, 2.5]}
    run(asked, tmp_path / "one")
    made = context.Context(tmp_path / "two")
    made.most_cores = 2
    context.enter(made)
    list(steps.follow(asked, None))
    pieces = sorted(path.name for path in (tmp_path / "one").glob("segment-*"))
    assert len(pieces) == 2
    for name in pieces:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_overlay_has_every_picture_and_the_sound(asked: dict[str, Any], tmp_path: Path) -> None:
    asked = {**asked, "overlay": True}
    items = run(asked, tmp_path)
    run(asked, tmp_path, items[1].cursor)  # pieces that were made again
    (tmp_path / "items").write_text("".join(json.dumps(item.value) + "\n" for item in items))
    given = {"items": str(tmp_path / "items"), "folder": str(tmp_path), "path": asked["path"], "source": "walk.mp4"}
    told = {"facts": asked["facts"], "trim": asked["trim"]}
    join({**given, **told, **_targets(tmp_path, "overlay", "thumbnail", "preview")})
    with av.open(str(tmp_path / "overlay")) as made:
        video, audio = made.streams.video[0], made.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height) == (asked["facts"]["width"], asked["facts"]["height"])
        assert 0.8 < float(audio.duration * audio.time_base) < 1.0
        frames: list[Any] = list(made.decode(video=0))
    assert [round(frame.time, 3) for frame in frames] == pytest.approx([n / 30 for n in range(27)], abs=0.002)
    assert not list(tmp_path.glob(".*.part"))
    before = av.open(asked["path"])
    before.seek(2_000_000)
    plain: Any = next(frame for frame in before.decode(video=0) if frame.time >= 2.0)
    drawn, was = frames[0].to_ndarray(format="rgb24"), plain.to_ndarray(format="rgb24")
    changed = np.abs(drawn.astype(int) - was).max(axis=2) > 90
    assert 0.0005 < changed.mean() < 0.05  # lines, and nothing else
    with av.open(str(tmp_path / "preview")) as preview:
        assert sum(1 for _ in preview.decode(video=0)) == 27  # three seconds, or all where that is less
    assert (tmp_path / "thumbnail").read_bytes()[:3] == b"\xff\xd8\xff"


def test_what_is_written_is_what_was_found(asked: dict[str, Any], tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    run(asked, tmp_path)
    told = {"facts": asked["facts"], "source": "walk.mp4", "engine": {"name": "local:pose-full", "version": "1"}}
    options = {"people": 2, "smooth": "light", "every": 1, "trim": [2.0, 2.9]}
    given = {**told, "options": options, "records": str(tmp_path / "poses")}
    write_poses({**given, **_targets(tmp_path, "csv", "full", "parquet", "json")})
    found = records(tmp_path)
    short = list(csv.DictReader((tmp_path / "csv").open()))
    full = list(csv.DictReader((tmp_path / "full").open()))
    table = pq.read_table(tmp_path / "parquet").to_pylist()
    assert len(short) == len(full) == len(table) == 33 * len(found)
    assert list(short[0]) == ["frame_id", "landmark_id", "x", "y", "z", "visibility", "strategy", "person_id"]
    for number, (row, more, column) in enumerate(zip(short, full, table, strict=True)):
        record, landmark = found[number // 33], number % 33
        x, y, z, visibility, presence = record["points"][landmark].tolist()
        assert float(row["x"]) == float(more["x"]) == pytest.approx(x, abs=1e-6)
        assert (column["x"], column["y"], column["z"]) == (x, y, z)
        assert (column["visibility"], column["presence"]) == (visibility, presence)
        assert {k: more[k] for k in row} == row
        assert column["landmark_name"] == more["landmark_name"]
        assert column["person_id"] == int(row["person_id"]) == record["person"]
        assert column["strategy"] == row["strategy"]
        assert column["timestamp"] == pytest.approx(float(more["timestamp"]), abs=1e-6)
        assert float(more["y_world"]) == pytest.approx(column["y_world"], abs=1e-6)
    summary = json.loads((tmp_path / "json").read_text())
    assert (summary["frames"], summary["frames_with_pose"], summary["detection_rate"]) == (27, 27, 1.0)
    assert {person["person_id"] for person in summary["people"]} == {int(row["person_id"]) for row in short}
    assert sum(person["frames"] for person in summary["people"]) == len(found)


def grey(path: Path, times: list[int]) -> Path:
    """A video without anybody, its pictures at these milliseconds."""
    with av.open(str(path), "w") as output:
        video: Any = output.add_stream("ffv1", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


def test_a_picture_that_stays_for_hours_keeps_its_time_in_the_overlay(asked: dict[str, Any], tmp_path: Path) -> None:
    times = [0, 40, 41, 3_600_000, 72_000_000]
    path = grey(tmp_path / "grey.mkv", times)
    facts = probe_video({"path": str(path)})
    asked = {**asked, "path": str(path), "facts": facts, "trim": [None, None], "overlay": True}
    items = run(asked, tmp_path)
    (tmp_path / "items").write_text("".join(json.dumps(item.value) + "\n" for item in items))
    given = {"items": str(tmp_path / "items"), "folder": str(tmp_path), "path": str(path), "source": "grey.mkv"}
    join({**given, "facts": facts, "trim": [None, None], **_targets(tmp_path, "overlay")})
    with av.open(str(tmp_path / "overlay")) as made:
        assert [round(float(frame.time) * 1000) for frame in made.decode(made.streams.video[0])] == times


def test_nobody_in_the_picture_is_an_empty_table_that_says_so(asked: dict[str, Any], tmp_path: Path) -> None:
    path = grey(tmp_path / "grey.mkv", [40 * number for number in range(10)])
    facts = probe_video({"path": str(path)})
    items = run({**asked, "path": str(path), "facts": facts, "trim": [None, None]}, tmp_path)
    assert [(item.value["frames"], item.value["found"]) for item in items] == [(8, 0), (2, 0)]
    given = {"facts": facts, "source": "grey.mkv", "engine": None, "records": str(tmp_path / "poses")}
    options = {"people": 1, "every": 1}
    write_poses({**given, "options": options, **_targets(tmp_path, "csv", "json")})
    assert (tmp_path / "csv").read_text() == "frame_id,landmark_id,x,y,z,visibility,strategy\n"
    assert json.loads((tmp_path / "json").read_text())["detection_rate"] == 0
