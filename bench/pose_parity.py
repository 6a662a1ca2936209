"""Our poses beside those of mediapipe 0.10.21, as a table and as JSON.

    python bench/pose_parity.py VIDEO --python ENVIRONMENT/bin/python
    python bench/pose_parity.py VIDEO --csv THEIRS.csv        # tracked, not smoothed, made before

Covers: how far landmarks are apart in pixels, picture by picture and tracked; the correlation of z; side swaps and
jitter of what is smoothed. Does not cover: speed and memory (``pose.py``).

mediapipe 0.10.21 needs numpy below 2 and so an environment of its own: `python -m venv ENVIRONMENT` and
`ENVIRONMENT/bin/pip install mediapipe==0.10.21 av`. This script runs itself there.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

#: mode -> what mediapipe is asked with, what our tracker is.
MODES = {
    "static": ({"static_image_mode": True}, "off"),
    "tracked": ({"smooth_landmarks": False}, "off"),
    "smoothed": ({"smooth_landmarks": True}, "light"),
}
Poses = dict[int, Any]  # picture -> (33, 4): x and y in pixels, z in the unit of x, visibility


def theirs(video: str, mode: str, target: str) -> None:
    """In mediapipe's environment: write its poses as CSV."""
    import av
    import mediapipe  # type: ignore[import-not-found]
    import numpy as np

    pose = mediapipe.solutions.pose.Pose(model_complexity=1, **MODES[mode][0])
    with av.open(video) as container, Path(target).open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["frame_id", "landmark_id", "x", "y", "z", "visibility"])
        for number, frame in enumerate(container.decode(video=0)):
            found = pose.process(np.ascontiguousarray(frame.to_ndarray(format="rgb24"))).pose_landmarks
            for landmark, point in enumerate(found.landmark if found else ()):
                rows.writerow([number, landmark, point.x, point.y, point.z, point.visibility])


def read(path: Path, size: tuple[int, int]) -> Poses:
    """Their poses."""
    import numpy as np

    found: dict[int, list[list[float]]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            values = [float(row[name]) for name in ("x", "y", "z", "visibility")]
            found.setdefault(int(row["frame_id"]), []).append(values)
    return {number: np.array(rows) * (*size, size[0], 1) for number, rows in found.items()}


def ours(video: str, mode: str, models: Path) -> tuple[Poses, tuple[int, int]]:
    """Our poses, and the size of the pictures."""
    import numpy as np

    from narrowboat.engines.pose.detector import Detector
    from narrowboat.engines.pose.landmarker import Landmarker
    from narrowboat.engines.pose.tracker import Tracker
    from narrowboat.media.video import pictures
    from narrowboat.media.video_probe import probe_video

    facts = probe_video({"path": video})
    detector, landmarker = Detector(models / "detector.tflite"), Landmarker(models / "landmarks.tflite")
    tracker = Tracker(detector, landmarker, most=1, smooth=MODES[mode][1])
    found = {}
    for picture in pictures(video, facts):
        if mode == "static":
            tracker = Tracker(detector, landmarker, most=1, smooth="off")
        for seen in tracker.follow(picture, picture.time):
            found[picture.index] = np.column_stack([seen.pose.points, seen.pose.visibility])
    return found, (facts["width"], facts["height"])


def compared(mine: Poses, other: Poses, height: int) -> dict[str, float]:
    """Figures of both side by side."""
    import numpy as np

    from narrowboat.media.pose_quality import swapped

    both = sorted(set(mine) & set(other))
    one, two = np.array([mine[number] for number in both]), np.array([other[number] for number in both])
    apart = np.hypot(*(one - two)[:, :, :2].transpose(2, 0, 1))
    told = {
        "pictures": len(both),
        "median_px": float(np.median(apart)),
        "p95_px": float(np.percentile(apart, 95)),
        "z_correlation": float(np.corrcoef(one[:, :, 2].ravel(), two[:, :, 2].ravel())[0, 1]),
    }
    for name, poses in (("ours", one[:, :, :2]), ("theirs", two[:, :, :2])):
        bent = np.hypot(*(poses[2:] - 2 * poses[1:-1] + poses[:-2]).transpose(2, 0, 1))
        told[f"jitter_px_{name}"] = float(bent.mean())
        told[f"side_swaps_{name}"] = sum(swapped(a, b, height) for a, b in pairwise(poses))
    return told


def main() -> None:
    if sys.argv[1:2] == ["--theirs"]:
        theirs(*sys.argv[2:5])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video", metavar="VIDEO")
    parser.add_argument("--python", metavar="FILE", help="the Python of an environment with mediapipe 0.10.21")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="their poses, tracked and not smoothed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args()
    from narrowboat.config import default_cache
    from narrowboat.engines.pose.prepare import prepared
    from narrowboat.engines.pose_models import DEFAULT_POSE, pose_model

    models = prepared(pose_model(DEFAULT_POSE), default_cache())
    figures = {}
    with tempfile.TemporaryDirectory() as work:
        for mode in MODES if given.python else ("tracked",):
            mine, size = ours(given.video, mode, models)
            path = given.csv
            if given.python:
                path = Path(work) / f"{mode}.csv"
                command = [given.python, __file__, "--theirs", given.video, mode, str(path)]
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            figures[mode] = compared(mine, read(path, size), size[1])
    print(f"{'':20}" + "".join(f"{mode:>12}" for mode in figures))
    for name in next(iter(figures.values())):
        print(f"{name:20}" + "".join(f"{told[name]:12.3f}" for told in figures.values()))
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
