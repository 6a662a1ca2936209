"""Fixtures that all tests share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real speech, video and traces, where they are present beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the recorded data in {SHARED_DATA}")
    return SHARED_DATA


BOX = Path(__file__).resolve().parents[1] / "bench" / "box.py"


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs another in a real memory limit: ``[*box, "300M", "--", …]``."""
    report = tmp_path_factory.mktemp("box") / "box.json"
    command = [sys.executable, str(BOX)]
    tried = subprocess.run([*command, "64M", "--report", str(report), "--", "true"], check=False, capture_output=True)
    if tried.returncode != 0 or not json.loads(report.read_text())["enforced"]:
        pytest.skip("needs a memory cgroup that may be written, to make a real box")
    return command
