"""What the tests of the engines share: sound, a ready model, an index of packages on disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from speech_sounds import Samples, read_sound

from narrowboat.config import default_cache
from narrowboat.engines.catalogue import speech_model
from narrowboat.errors import PackError


@pytest.fixture(scope="session")
def tiny_model() -> Path:
    """whisper-tiny.en, ready to load; skips visibly where the pack can't be had."""
    from narrowboat.engines.speech.prepare import prepared

    try:
        return prepared(speech_model("local:whisper-tiny.en"), default_cache())
    except PackError as error:
        pytest.skip(f"needs the pack whisper-tiny.en: {error}")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The smallest language model, as a .gguf file; skips visibly where its pack, or what runs it, can't be had."""
    from narrowboat.engines.packs import fetch_pack

    pytest.importorskip("xllamacpp")
    try:
        return fetch_pack("smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
    except PackError as error:
        pytest.skip(f"needs the pack smollm2: {error}")


@pytest.fixture(scope="session")
def two_cities() -> Samples:
    """44 seconds of speech, from its pack."""
    from narrowboat.engines.packs import fetch_pack

    try:
        return read_sound(fetch_pack("sample-two-cities") / "two_cities.wav")
    except PackError as error:
        pytest.skip(f"needs the pack sample-two-cities: {error}")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, dict[str, bytes]], Path]:
    """A folder that pip takes packages from, and nothing else; call it to put a wheel there."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))

    def add(package: str, version: str, files: dict[str, bytes]) -> Path:
        path = folder / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
        path.write_bytes(wheel(package, version, files))
        return path

    return add


def wheel(package: str, version: str, files: dict[str, bytes]) -> bytes:
    name = f"{package.replace('-', '_')}-{version}.dist-info"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        archive.writestr(f"{name}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{name}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{name}/RECORD", "")
    return data.getvalue()
