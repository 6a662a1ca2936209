"""Angles, gaps, filters, figures and the report, of poses that are made up so that the truth is known."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from narrowboat.errors import NarrowboatError, UsageError
from narrowboat.media.pose_file import NOBODY, RECORD, TRACKED, read_poses
from narrowboat.media.poses import write_poses
from narrowboat.pipelines.pose import windows as windows_module
from narrowboat.pipelines.pose.analyse_workflow import SEVEN, analysis_options, angle_of
from narrowboat.pipelines.pose.analysis import analyse
from narrowboat.pipelines.pose.angles import degrees
from narrowboat.pipelines.pose.curves import MOST, Curve, Spread
from narrowboat.pipelines.pose.filters import calmed, filled
from narrowboat.skeleton import COUNT, NUMBER

RATE = 30.0
SIZE = (400, 200)
FACTS = {"width": SIZE[0], "height": SIZE[1], "aspect": 1.0, "rate": RATE, "duration": 4.0, "codec": "x", "audio": None}


def bending(frames: int, missing: Any = (), person: int = 1) -> Any:
    """Records of somebody whose left knee goes from 90 degrees to 180 and back, once in two seconds."""
    records = np.zeros(frames, RECORD)
    records["frame"], records["time"] = np.arange(frames), np.arange(frames) / RATE
    records["found"], records["person"], records["score"] = TRACKED, person, 1
    records["points"][:, :, 3:] = 0.9
    records["points"][:, :, :2] = np.random.default_rng(3).random((COUNT, 2)) * 0.1
    bend = np.radians(90 + truth(records["time"]) - 90)
    hip, knee = np.array([100.0, 50.0]), np.array([100.0, 100.0])
    ankle = knee + 50 * np.stack([np.sin(bend), -np.cos(bend)], axis=1)
    for name, place in (("left_hip", hip), ("left_knee", knee), ("left_ankle", ankle)):
        records["points"][:, NUMBER[name], :2] = place / SIZE
    gone = list(missing)
    records["found"][gone] = NOBODY
    records["points"][gone] = 0
    return records


def truth(times: Any) -> Any:
    return 135 - 45 * np.cos(np.pi * times)


def run(tmp_path: Path, records: Any, formats: str = "angles,analysis", **options: Any) -> dict[str, Any]:
    (tmp_path / "poses").write_bytes(records.tobytes())
    return {
        "records": str(tmp_path / "poses"),
        "facts": FACTS,
        "every": 1,
        "source": "a <b> & c.mp4",
        "analysis": analysis_options(**options),
        "targets": [{"format": each, "path": str(tmp_path / each)} for each in formats.split(",")],
    }


def angles_in(path: Path, name: str = "left_knee", person: str = "1") -> dict[int, float]:
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["person_id"] == person and row[name]]
    return {int(row["frame_id"]): float(row[name]) for row in rows}


def test_angles_are_those_that_were_made(tmp_path: Path) -> None:
    analyse(run(tmp_path, bending(120), filter="none"))
    found = angles_in(tmp_path / "angles")
    assert list(found) == list(range(120))
    assert list(found.values()) == pytest.approx(list(truth(np.arange(120) / RATE)), abs=0.01)
    told = json.loads((tmp_path / "analysis").read_text())
    knee = told["people"][0]["angles"]["left_knee"]
    assert (knee["known"], knee["least"], knee["largest"]) == (1.0, 90.0, 180.0)
    assert knee["mean"] == pytest.approx(135, abs=0.5)
    assert set(told["people"][0]["angles"]) == set(SEVEN)


@pytest.mark.parametrize("kind", ["butterworth", "savgol"])
def test_filters_calm_noise_and_keep_the_movement(tmp_path: Path, kind: str) -> None:
    records = bending(240)
    records["points"][:, :, :2] += np.random.default_rng(5).standard_normal((240, COUNT, 2)) * 0.004
    whole = truth(np.arange(240) / RATE)
    analyse(run(tmp_path, records, filter="none"))
    rough = np.array(list(angles_in(tmp_path / "angles").values()))
    analyse(run(tmp_path, records, filter=kind))
    calm = np.array(list(angles_in(tmp_path / "angles").values()))
    assert np.abs(calm - whole).mean() < 0.7 * np.abs(rough - whole).mean()


def test_short_gaps_are_filled_and_long_ones_stay(tmp_path: Path) -> None:
    analyse(run(tmp_path, bending(120, [*range(20, 25), *range(60, 80)]), filter="none", gap=0.2))
    found = angles_in(tmp_path / "angles")
    assert [frame for frame in range(120) if frame not in found] == list(range(60, 80))
    assert found[22] == pytest.approx(float(truth(22 / RATE)), abs=3)
    told = json.loads((tmp_path / "analysis").read_text())
    assert (told["frames"], told["frames_with_pose"]) == (120, 95)
    assert told["longest_gap_s"] == pytest.approx(21 / RATE, abs=0.001)


def test_no_gap_is_told_where_somebody_is_in_each_picture_of_a_later_part(tmp_path: Path) -> None:
    records = bending(30)
    records["time"] += 90
    analyse(run(tmp_path, records))
    told = json.loads((tmp_path / "analysis").read_text())
    assert (told["longest_gap_s"], told["people"][0]["longest_gap_s"]) == (0, 0)


def test_what_is_hidden_has_no_angle(tmp_path: Path) -> None:
    records = bending(60)
    records["points"][:, NUMBER["left_ankle"], 3] = 0.2
    analyse(run(tmp_path, records))
    assert angles_in(tmp_path / "angles") == {}
    assert len(angles_in(tmp_path / "angles", "right_knee")) == 60


def test_long_poses_in_windows_are_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = bending(900, range(300, 330)), bending(900, range(0, 500), person=2)
    both = np.concatenate([one, two[two["found"] != NOBODY]])
    both = both[np.argsort(both["frame"], kind="stable")]
    analyse(run(tmp_path, both))
    whole = (tmp_path / "angles").read_text()
    monkeypatch.setattr(windows_module.windows, "__defaults__", (100, 200))
    monkeypatch.setattr("narrowboat.media.pose_file._AT_ONCE", 37)
    analyse(run(tmp_path, both))
    rows = [line.split(",") for line in whole.splitlines()[1:]]
    again = [line.split(",") for line in (tmp_path / "angles").read_text().splitlines()[1:]]
    assert [row[:3] for row in again] == [row[:3] for row in rows]
    for row, other in zip(rows, again, strict=True):
        assert [float(value) for value in other[3:] if value] == pytest.approx(
            [float(value) for value in row[3:] if value], abs=0.02
        )


def test_sides_that_change_places_are_counted(tmp_path: Path) -> None:
    records = bending(60)
    left, right = NUMBER["left_elbow"], NUMBER["right_elbow"]
    records["points"][:, left, :2], records["points"][:, right, :2] = (0.2, 0.2), (0.6, 0.2)
    records["points"][30:, [left, right]] = records["points"][30:, [right, left]]
    analyse(run(tmp_path, records, "analysis"))
    (person,) = json.loads((tmp_path / "analysis").read_text())["people"]
    assert person["side_swaps"] == 1


def test_the_report_needs_nothing_else_and_shows_names_as_text(tmp_path: Path) -> None:
    analyse(run(tmp_path, bending(60), "report"))
    page = (tmp_path / "report").read_text()
    assert "a &lt;b&gt; &amp; c.mp4" in page
    assert "<b>" not in page
    assert page.count("data:image/png;base64,") == 4
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "<script" not in page
    analyse(run(tmp_path, bending(60), "report"))
    assert (tmp_path / "report").read_text() == page


def test_nobody_gives_a_report_that_says_so(tmp_path: Path) -> None:
    analyse(run(tmp_path, bending(30, range(30)), "angles,report"))
    assert "Nobody was seen in it." in (tmp_path / "report").read_text()
    assert (tmp_path / "angles").read_text().count("\n") == 1


# -- files that were written before -----------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Poses of 60 pictures, 20 of them without anybody, in all formats."""
    (tmp_path / "poses").write_bytes(bending(60, range(20, 40)).tobytes())
    told = {"facts": FACTS, "source": "a.mp4", "engine": None, "options": {"people": 1, "every": 1}}
    names = {"csv": "a.csv", "full": "a.full.csv", "parquet": "a.parquet", "json": "a.json"}
    targets = [{"format": kind, "path": str(tmp_path / name)} for kind, name in names.items()]
    write_poses({**told, "records": str(tmp_path / "poses"), "targets": targets})
    return tmp_path


def of_file(path: Path, size: Any = None) -> dict[str, Any]:
    targets = [{"format": "angles", "path": str(path.parent / "angles")}]
    return {"path": str(path), "size": size, "source": path.name, "analysis": analysis_options(), "targets": targets}


@pytest.mark.parametrize("name", ["a.csv", "a.full.csv", "a.parquet"])
def test_a_file_gives_the_angles_of_its_video(written: Path, name: str) -> None:
    records = np.concatenate(list(read_poses(written / "poses")))
    analyse(run(written, records))
    expected = angles_in(written / "angles")
    analyse(of_file(written / name))
    assert angles_in(written / "angles") == pytest.approx(expected, abs=0.02)
    assert len(expected) == 40


def test_the_size_is_asked_for_where_nothing_tells_it(written: Path) -> None:
    (written / "a.json").unlink()
    with pytest.raises(UsageError, match=r"a\.csv does not tell how large the pictures were"):
        analyse(of_file(written / "a.csv"))
    analyse(of_file(written / "a.csv", list(SIZE)))
    assert len(angles_in(written / "angles")) == 40


BAD = {
    "text": b"no poses\n",
    "columns": b"frame_id,x,y\n1,2,3\n",
    "words": b"frame_id,landmark_id,x,y\n0,0,here,there\n",
    "landmark": b"frame_id,landmark_id,x,y\n0,99,0.5,0.5\n",
    "order": b"frame_id,landmark_id,x,y\n9,0,0.5,0.5\n3,0,0.5,0.5\n",
    "far": b"frame_id,landmark_id,x,y\n0,0,0.5,0.5\n2000000000,0,0.5,0.5\n",
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_no_file_of_poses_is_refused_in_a_sentence(tmp_path: Path, what: str, ending: str) -> None:
    path = tmp_path / f"bad.{ending}"
    path.write_bytes(BAD[what])
    with pytest.raises(NarrowboatError, match="holds no poses that can be read"):
        analyse(of_file(path, list(SIZE)))
    assert not (tmp_path / "angles").exists()


# -- the pieces -------------------------------------------------------------------------------------------------------


def test_an_angle_can_be_named() -> None:
    name, three = angle_of("lean = left_hip+right_hip : nose:left_ear".replace(" ", ""))
    assert (name, three) == ("lean", ("left_hip+right_hip", "nose", "left_ear"))
    points = np.zeros((1, COUNT, 2))
    points[0, NUMBER["left_hip"]], points[0, NUMBER["right_hip"]] = (-2, 2), (2, 2)
    points[0, NUMBER["left_ear"]] = (3, 0)
    assert degrees(points, three) == pytest.approx([90])
    for bad in ("x", "x=nose:nose", "1=nose:nose:nose", "x=nose:tail:nose"):
        with pytest.raises(UsageError):
            angle_of(bad)


def test_gaps_at_the_ends_are_not_made_up() -> None:
    series = np.array([np.nan, 1.0, np.nan, 3.0, np.nan])[:, None]
    assert filled(series, 5)[:, 0] == pytest.approx([np.nan, 1, 2, 3, np.nan], nan_ok=True)


def test_a_run_that_is_too_short_stays() -> None:
    series = np.arange(4.0)[:, None]
    for kind in ("butterworth", "savgol"):
        assert np.array_equal(calmed(series, kind, RATE, 6.0), series)


def test_a_curve_of_any_length_has_few_bins_and_loses_no_extreme() -> None:
    values = np.sin(np.arange(50_000) / 300)[:, None]
    values[31_234] = 9
    curve = Curve(1)
    for at in range(0, 50_000, 777):
        curve.push(np.arange(at, min(50_000, at + 777)) / RATE, values[at : at + 777])
    times, means, low, high = curve.bins()
    assert MOST / 4 <= len(times) <= MOST
    assert (high.max(), low.min()) == (9, pytest.approx(-1, abs=1e-4))
    assert np.abs(means - np.sin(times * RATE / 300)[:, None]).max() < 0.5


def test_a_spread_in_pieces_is_that_of_the_whole() -> None:
    values = np.random.default_rng(1).standard_normal(1000) * 7 + 100
    values[::10] = np.nan
    spread = Spread()
    for at in range(0, 1000, 77):
        spread.push(values[at : at + 77])
    told = spread.told()
    assert told["known"] == 0.9
    assert (told["mean"], told["deviation"]) == pytest.approx((np.nanmean(values), np.nanstd(values)), abs=0.01)
