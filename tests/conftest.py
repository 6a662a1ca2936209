"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from boxes import boxed
from fakes.running import EngineServer, running


def pytest_configure() -> None:
    """A shell without job control starts what it puts in the background with Ctrl-C ignored, and whatever that starts
    too: then no test could stop a command by it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """No garbage is collected while a failure is written down. That parses source; a future that is collected meanwhile
    logs its exception, which parses too; and some Pythons (gh-106905: 3.11.7) end such a nest in a SystemError, which
    ended the whole run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


#: Seconds that one test may take: many times what the longest does where nothing else runs.
LIMIT_S = 240.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """A test that waits for what never comes fails, and the others go on."""

    def over(*_: object) -> None:
        pytest.fail(f"it took more than {LIMIT_S:.0f} s")

    signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S, 5.0)  # and again, where ending what it began hangs too
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


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


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a file system of a size (``"20M"``); it is a tmpfs, so that it needs no more than the right to mount."""
    disk = tmp_path / "disk"

    def make(size: str) -> Path:
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("needs the right to mount a small file system")
        return disk

    yield make
    if disk.is_mount():
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def _engine_server() -> Iterator[EngineServer]:
    with running() as server:
        yield server


@pytest.fixture
def engine_server(_engine_server: EngineServer) -> Iterator[EngineServer]:
    """The fakes of Gemini's and OpenAI's endpoints, as at their start (``fakes/__init__.py`` tells of them)."""
    _engine_server.reset()
    yield _engine_server
    assert [entry["bug"] for entry in _engine_server.log() if "bug" in entry] == []
