"""Names of pose models, and what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from narrowboat.engines.pose_models import join_demand, pose_demand, pose_model
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB

TALL = {"coded_pixels": 1080 * 1920}


def test_the_pack_has_one_name_and_a_path_is_another_model(tmp_path: Path) -> None:
    assert pose_model("full") == pose_model("local:pose-full") == pose_model(" pose-full ")
    path = tmp_path / "mine.tflite"
    path.write_bytes(b"one")
    one = pose_model(str(path))
    assert (one.name, one.path) == (f"local:{path}", str(path))
    assert pose_model(one.name) == one
    path.write_bytes(b"other")
    assert pose_model(str(path)).version != one.version


@pytest.mark.parametrize("name", ["huge", "", "./missing.tflite", "whisper-base"])
def test_what_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        pose_model(name)


def test_larger_pictures_and_models_and_an_overlay_ask_for_more(tmp_path: Path) -> None:
    full = pose_model("full")
    plain = pose_demand(full, TALL, overlay=False).bytes
    assert 110 * MIB < plain < 140 * MIB  # 110 were measured
    assert 141 * MIB < pose_demand(full, TALL, overlay=True).bytes < 175 * MIB  # 141 were measured
    assert pose_demand(full, {}, overlay=False).bytes == plain
    assert pose_demand(full, {"coded_pixels": 3840 * 2160}, overlay=False).bytes > 216 * MIB
    heavy = tmp_path / "heavy.tflite"
    with heavy.open("wb") as file:
        file.truncate(27_709_200)
    assert pose_demand(pose_model(str(heavy)), TALL, overlay=False).bytes > plain + 44 * MIB
    assert join_demand(TALL).bytes > 57 * MIB
