"""Fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real speech, video and traces, where they are present beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the recorded data in {SHARED_DATA}")
    return SHARED_DATA
