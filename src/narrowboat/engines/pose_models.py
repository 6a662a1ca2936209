"""What pose models there are and what following people asks for. Imports nothing heavy.

Covers: names for ``pose --model``, versions, demands as measured.
Does not cover: packs (``engines/known``), getting models ready and running them (``engines/pose/``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from narrowboat.engines.catalogue import checksum_of
from narrowboat.engines.known import PACKS, POSE_LANDMARKS
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB
from narrowboat.values import Demand, Facts

#: Changes whenever the engine would give other poses for the same model and pictures.
POSE_ENGINE = "1"
POSE_PACK = "pose"
_FULL = next(file for file in PACKS[POSE_PACK].files if file.name == POSE_LANDMARKS)
DEFAULT_POSE = "full"


@dataclass(frozen=True, slots=True)
class PoseModel:
    """A landmark model that can be run.

    Attributes:
        name: as it is shown, such as ``local:pose-full``; ``local:/file`` for a path.
        path: the user's own file; None for the pack's.
        version: changes when poses would change.
        size: bytes of its file.
    """

    name: str
    path: str | None
    version: str
    size: int


def pose_model(text: str) -> PoseModel:
    """The model that ``--model`` names: ``full``, or the path of a BlazePose landmark model.

    Raises:
        UsageError: no such model or file.
    """
    name = text.strip().removeprefix("local:")
    if name in (DEFAULT_POSE, f"pose-{DEFAULT_POSE}"):
        return PoseModel(f"local:pose-{DEFAULT_POSE}", None, f"{POSE_ENGINE}-{_FULL.sha256[:16]}", _FULL.size)
    if not re.match(r"[./~]", name) and "/" not in name and not Path(name).exists():
        hint = f"use {DEFAULT_POSE}, or the path of a pose_landmark_lite.tflite or _heavy.tflite of mediapipe 0.10"
        raise UsageError(f"there is no pose model {text!r}", hint=hint)
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="give the path of a BlazePose landmark model")
    version = f"{POSE_ENGINE}-{checksum_of(path)[:16]}"
    return PoseModel(f"local:{path}", str(path), version, path.stat().st_size)


#: Bytes (anonymous + shared) of a worker that follows people, and those that each pixel of a picture adds: poses alone,
#: with an overlay. Measured at 360 × 640, 720 × 1280, 1080 × 1920 and 3840 × 2160: 78, 90, 110 and 216 MiB; with an
#: overlay 86, 109, 141 and 335. What is declared is 15 to 20 % more, and pictures count as they are in the decoder.
_MEASURED = {False: (85 * MIB, 18), True: (90 * MIB, 34)}
#: Joining an overlay decodes one picture: 25, 35, 57 and 164 MiB for the same sizes.
_JOINED = (36 * MIB, 18)
#: Bytes that each byte of a model beyond the pack's adds: pose_landmark_heavy has 20 MiB more and takes 44 more.
_OF_MODEL = 2.4
_PIXELS = 1920 * 1080  # taken before a video has been looked at


def pose_demand(model: PoseModel, facts: Facts, *, overlay: bool) -> Demand:
    """What following people asks for. How long the video is does not matter, nor how many they are.

    Args:
        facts: of the probe; ``coded_pixels`` of them counts.
        overlay: pictures are drawn and encoded too.
    """
    fixed, each = _MEASURED[overlay]
    larger = max(0, model.size - _FULL.size)
    asked = fixed + int(_OF_MODEL * larger) + each * facts.get("coded_pixels", _PIXELS)
    return Demand(bytes=asked, cores=1, most_cores=2)


def join_demand(facts: Facts) -> Demand:
    """What joining an overlay asks for. It is bound by the disk."""
    fixed, each = _JOINED
    return Demand(bytes=fixed + each * facts.get("coded_pixels", _PIXELS), cores=0)
