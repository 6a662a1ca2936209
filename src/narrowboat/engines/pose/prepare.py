"""The step that has the pose models ready: fetched, verified, and without what is not needed of them.

Covers: what ``--model`` names to a folder with ``detector.tflite`` and ``landmarks.tflite``.
Does not cover: which names there are (``engines/pose_models``), fetching (``engines/packs``), re-writing (``pruning``).
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from narrowboat import context
from narrowboat.engines.known import POSE_DETECTOR, POSE_LANDMARKS
from narrowboat.engines.packs import fetch_pack
from narrowboat.engines.pose.pruning import write_pruned
from narrowboat.engines.pose_models import POSE_PACK, PoseModel, pose_model
from narrowboat.engines.preparing import made_once, made_ready
from narrowboat.values import Json


def prepare_pose(inputs: dict[str, Json]) -> dict[str, Json]:
    """A step. ``inputs``: ``model`` (as for ``pose --model``), ``cache`` (a folder; the default cache when missing).

    Returns ``path`` (the folder to load) and ``version`` (see :class:`PoseModel`).

    Raises:
        UsageError: no such model, or not one that can be read.
        PackError, DiskFull: it can't be fetched or written.
    """
    model = pose_model(inputs["model"])
    return made_ready(inputs, model.version, partial(prepared, model))


def prepared(model: PoseModel, cache: Path) -> Path:
    """The folder with the two models, made in ``cache`` if need be."""
    target = cache / "models" / f"pose-{model.version}"
    if target.is_dir():
        return target
    pack = fetch_pack(POSE_PACK, cache, context.progress)

    def make(made: Path) -> None:
        shutil.copyfile(pack / POSE_DETECTOR, made / "detector.tflite")
        write_pruned(Path(model.path) if model.path else pack / POSE_LANDMARKS, made / "landmarks.tflite")

    return made_once(target, make)
