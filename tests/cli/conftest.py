"""Fixtures: the real command, and real speech for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_harness import Cli, cut
from loopback import serve

__all__ = ["serve"]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    made = Cli(tmp_path)
    yield made
    for running in made.started:
        if running.process.poll() is None:
            running.process.kill()
        running.process.wait()


@pytest.fixture
def text_mp3(tmp_path: Path) -> Path:
    path = tmp_path / "text.mp3"
    path.write_text("this is no sound\n" * 50)
    return path


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample and the smallest model, fetched by the command itself."""
    made = Cli(tmp_path_factory.mktemp("packs"))
    done = made.run("models", "pull", "whisper-tiny.en", "sample-two-cities", "--json")
    if done.code != 0:
        pytest.skip(f"the packs can't be had: {done.err.strip()}")
    return {pack["name"]: Path(pack["path"]) for pack in done.json["packs"]}


@pytest.fixture(scope="session")
def speech(packs: dict[str, Path]) -> Path:
    """44 seconds."""
    return packs["sample-two-cities"] / "two_cities.wav"


@pytest.fixture
def clip(speech: Path, tmp_path: Path) -> Path:
    """Six seconds."""
    return cut(speech, tmp_path / "clip.wav", 0, 6)


@pytest.fixture(scope="session")
def long_clip(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Over two minutes: long enough to be caught in the middle."""
    return cut(speech, tmp_path_factory.mktemp("long") / "long.wav", 0, 44, times=3)
