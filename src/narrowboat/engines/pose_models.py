"""What pose models there are and what following people asks for. Imports nothing heavy.

Covers: names for ``pose --model``, versions, demands as measured.
Does not cover: packs (``engines/known``), getting models ready and running them (``engines/pose/``).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from narrowboat.engines.known import PACKS, POSE_LANDMARKS
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB
from narrowboat.values import Demand, Facts

#: Changes whenever the engine would give other poses for the same model and pictures.
POSE_ENGINE = "1"
POSE_PACK = "pose"
DEFAULT_POSE = "full"


@dataclass(frozen=True, slots=True)
class PoseModel:
    """A landmark model that can be run.

    Attributes:
        name: as it is shown, such as ``local:pose-full``; ``local:/file`` for a path.
        path: the user's own file; None for the pack's.
        version: changes when poses would change.
    """

    name: str
    path: str | None
    version: str


def pose_model(text: str) -> PoseModel:
    """The model that ``--model`` names: ``full``, or the path of a BlazePose landmark model.

    Raises:
        UsageError: no such model or file.
    """
    name = text.strip().removeprefix("local:")
    if name in (DEFAULT_POSE, f"pose-{DEFAULT_POSE}"):
        checksum = next(file.sha256 for file in PACKS[POSE_PACK].files if file.name == POSE_LANDMARKS)
        return PoseModel(f"local:pose-{DEFAULT_POSE}", None, f"{POSE_ENGINE}-{checksum[:16]}")
    if not re.match(r"[./~]", name) and "/" not in name and not Path(name).exists():
        hint = f"use {DEFAULT_POSE}, or the path of a pose_landmark_lite.tflite or _heavy.tflite of mediapipe 0.10"
        raise UsageError(f"there is no pose model {text!r}", hint=hint)
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="give the path of a BlazePose landmark model")
    status = path.stat()
    checksum = _checksum(str(path), status.st_size, status.st_mtime_ns)
    return PoseModel(f"local:{path}", str(path), f"{POSE_ENGINE}-{checksum[:16]}")


def pose_demand(facts: Facts, *, overlay: bool) -> Demand:
    """What following people asks for; placeholder until measured."""
    pixels = int(facts.get("coded_pixels") or 1920 * 1080)
    return Demand(bytes=130 * MIB + pixels * (40 if overlay else 12), cores=1, most_cores=2)


@lru_cache(maxsize=8)
def _checksum(path: str, size: int, changed: int) -> str:
    """SHA-256 of a file; its size and time of change are there so that a changed one is read again."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
