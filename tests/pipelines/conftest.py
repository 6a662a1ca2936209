"""What the tests of the pipelines share: the pose models and a video, from their packs."""

from __future__ import annotations

from pathlib import Path

import pytest

from narrowboat.config import default_cache
from narrowboat.engines.pose_models import DEFAULT_POSE, pose_model
from narrowboat.errors import PackError


@pytest.fixture(scope="session")
def pose_models() -> Path:
    """The folder with the models, ready to load; skips visibly where the pack can't be had."""
    from narrowboat.engines.pose.prepare import prepared

    try:
        return prepared(pose_model(DEFAULT_POSE), default_cache())
    except PackError as error:
        pytest.skip(f"needs the pack pose: {error}")


@pytest.fixture(scope="session")
def walkers() -> Path:
    """8 seconds of people who walk, with sound."""
    from narrowboat.engines.packs import fetch_pack

    try:
        return fetch_pack("sample-walk") / "demo.mp4"
    except PackError as error:
        pytest.skip(f"needs the pack sample-walk: {error}")
