"""Fixtures that all tests share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from boxes import boxed

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real speech, video and traces, where they are present beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the recorded data in {SHARED_DATA}")
    return SHARED_DATA


BOX = Path(__file__).resolve().parents[1] / "bench" / "box.py"


@pytest.fixture(scope="session")
def box() -> list[str]:
    """The command that runs another in a real memory limit: ``[*box, "300M", "--", …]``."""
    command = [sys.executable, str(BOX)]
    tried = subprocess.run([*command, "64M", "--", "true"], check=False, capture_output=True, text=True)
    if tried.returncode != 0 or not boxed(tried.stdout)["enforced"]:
        pytest.skip("needs a memory cgroup that may be written, to make a real box")
    return command
