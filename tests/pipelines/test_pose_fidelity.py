"""Our poses beside those of mediapipe 0.10.21 on a real walk, tracked and not smoothed."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from narrowboat.engines.pose.detector import Detector
from narrowboat.engines.pose.landmarker import Landmarker
from narrowboat.engines.pose.tracker import Tracker
from narrowboat.media.video import Stretch, pictures
from narrowboat.media.video_probe import probe_video


def test_landmarks_are_where_mediapipe_has_them(pose_models: Path, shared_data: Path) -> None:
    path = str(shared_data / "video" / "walk_720p_10s.mp4")
    theirs: dict[int, list[Any]] = {}
    with (shared_data / "video" / "walk_720p_10s.mediapipe-0.10.21.csv").open() as file:
        for row in csv.DictReader(file):
            theirs.setdefault(int(row["frame_id"]), []).append([float(row[name]) for name in ("x", "y", "z")])
    detector, landmarker = Detector(pose_models / "detector.tflite"), Landmarker(pose_models / "landmarks.tflite")
    tracker = Tracker(detector, landmarker, most=1, smooth="off")
    facts = probe_video({"path": path})
    size = np.array([facts["width"], facts["height"], facts["width"]])
    ours, others = [], []
    for picture in pictures(path, facts, Stretch(None, 1.5)):
        (seen,) = tracker.follow(picture, picture.time)
        ours.append(seen.pose.points)
        others.append(np.array(theirs[picture.index]) * size)
    mine, other = np.array(ours), np.array(others)
    apart = np.hypot(*(mine - other)[:, :, :2].transpose(2, 0, 1))
    assert len(mine) == 45
    assert np.median(apart) <= 2.0  # px
    assert np.percentile(apart, 95) <= 6.0
    assert np.corrcoef(mine[:, :, 2].ravel(), other[:, :, 2].ravel())[0, 1] >= 0.95
