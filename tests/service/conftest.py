"""Fixtures: services that run, and real speech for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_harness import Served

for _needed in ("starlette", "uvicorn", "python_multipart", "prometheus_client"):
    pytest.importorskip(_needed)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts a service; what it is given are options of the command."""
    started: list[Served] = []

    def begin(*args: str, **env: str) -> Served:
        started.append(Served(tmp_path / "home", "--memory", "512M", *args, env=env))
        return started[-1]

    yield begin
    for served in started:
        served.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for all tests of a module."""
    made = Served(tmp_path_factory.mktemp("served") / "home", "--memory", "512M", "--max-upload", "20M")
    yield made
    made.close()


@pytest.fixture(scope="session")
def speech() -> Path:
    """44 seconds of real speech; the model for it is there too."""
    command = [sys.executable, "-m", "narrowboat", "models", "pull", "whisper-tiny.en", "sample-two-cities", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the packs can't be had: {done.stderr.strip()}")
    paths = {pack["name"]: Path(pack["path"]) for pack in json.loads(done.stdout)["packs"]}
    return paths["sample-two-cities"] / "two_cities.wav"
