"""Names, languages and demands of speech models; packs are complete descriptions."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from narrowboat.engines.catalogue import (
    DEFAULT_SPEECH,
    PACKS,
    check_language,
    packs,
    speech_demand,
    speech_model,
)
from narrowboat.engines.footprint import footprint
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB


def make_model(folder: Path, kind: int = 4, width: int = 512, words: int = 51865, size: int = 0) -> Path:
    """A folder that looks like a model from the outside: the head of the file, and a vocabulary."""
    folder.mkdir(parents=True)
    name = b"decoder/embeddings/weight\0"
    head = struct.pack("<I", 6) + struct.pack("<H", 12) + b"WhisperSpec\0" + struct.pack("<II", 3, 1)
    head += struct.pack("<H", len(name)) + name + struct.pack("<BIIBI", 2, words, width, kind, words * width * 2)
    with (folder / "model.bin").open("wb") as file:
        file.write(head)
        file.truncate(max(size, len(head)))
    (folder / "config.json").write_text("{}")
    (folder / "vocabulary.txt").write_text("".join(f"t{n}\n" for n in range(words)))
    return folder


def test_the_default_is_a_pack_and_local_is_optional() -> None:
    model = speech_model(DEFAULT_SPEECH)
    assert (model.name, model.kind, model.pack, model.path) == ("local:whisper-base", "local", "whisper-base", None)
    assert model == speech_model("whisper-base")
    assert not model.english_only
    assert speech_model("local:whisper-tiny.en").english_only
    assert model.version != speech_model("local:whisper-tiny.en").version


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"whisper-huge.*local:whisper-base, local:whisper-tiny\.en"):
        speech_model("local:whisper-huge")


def test_a_sample_is_no_model() -> None:
    with pytest.raises(UsageError):
        speech_model("local:sample-two-cities")


def test_a_path_in_any_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = {speech_model(text).path for text in (str(folder), "./mine", "mine", "~/mine", f"local:{folder}")}
    assert found == {str(folder)}


def test_the_version_of_a_path_follows_its_weights(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    before = speech_model(str(folder)).version
    assert speech_model(str(folder)).version == before
    with (folder / "model.bin").open("ab") as file:
        file.write(b"x")
    assert speech_model(str(folder)).version != before


@pytest.mark.parametrize("missing", ["model.bin", "config.json", "vocabulary.txt"])
def test_what_a_folder_lacks_is_named(tmp_path: Path, missing: str) -> None:
    folder = make_model(tmp_path / "mine")
    (folder / missing).unlink()
    with pytest.raises(UsageError, match=re.escape(missing)):
        speech_model(str(folder))


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"x")
    with pytest.raises(UsageError, match="not a folder"):
        speech_model(str(file))
    with pytest.raises(UsageError, match="no folder"):
        speech_model(str(tmp_path / "nowhere"))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    (folder / "model.bin").write_bytes(b"\x06\0\0\0\x10\0TransformerSpec\0" + bytes(100))
    with pytest.raises(UsageError, match="not a Whisper model"):
        speech_model(str(folder))


def test_languages() -> None:
    base, english = speech_model("local:whisper-base"), speech_model("local:whisper-tiny.en")
    assert check_language(base, None) is None
    assert check_language(base, "DE") == "de"
    assert check_language(english, None) == "en"
    assert check_language(english, "en") == "en"
    with pytest.raises(UsageError, match="English only"):
        check_language(english, "de")
    with pytest.raises(UsageError, match="'klingon'"):
        check_language(base, "klingon")


def test_demands_are_flat_and_grow_with_the_model(tmp_path: Path) -> None:
    base = speech_demand(speech_model("local:whisper-base"), {"duration": 60.0}, 2)
    assert base == speech_demand(speech_model("local:whisper-base"), {"duration": 36_000.0}, 2)
    tiny = speech_demand(speech_model("local:whisper-tiny.en"), {}, 2)
    assert tiny.bytes < base.bytes < 300 * MIB
    assert tiny.bytes_per_core < base.bytes_per_core
    assert (base.cores, base.most_cores) == (1, 2)
    half = speech_demand(speech_model(str(make_model(tmp_path / "half", size=145_217_532))), {}, 2)
    whole = speech_demand(speech_model(str(make_model(tmp_path / "whole", kind=0, size=290_435_064))), {}, 2)
    assert half == whole  # both run with 8-bit weights
    assert 0.9 * base.bytes < half.bytes < 1.5 * base.bytes
    large = make_model(tmp_path / "large", width=1280, words=51866, size=3_087_284_237)
    assert footprint(large / "model.bin").first > 1800 * MIB


def test_packs_are_described_completely() -> None:
    assert [pack.name for pack in packs()] == sorted(PACKS)
    for pack in packs():
        assert pack.licence
        assert pack.size > 0
        for source in pack.sources:
            for file in source.files:
                assert file.size == sum(part.size for part in file.parts)
                for item in (file, *file.parts):
                    assert re.fullmatch(r"[0-9a-f]{64}", item.sha256)
            names = {file.name for file in source.files}
            assert names >= {"model.bin", "config.json"} or pack.kind != "speech model"


def test_the_catalogue_imports_nothing_heavy() -> None:
    heavy = "numpy", "av", "ctranslate2", "earshot", "urllib3", "urllib.request", "asyncio"
    code = (
        "import sys, narrowboat.engines.catalogue, narrowboat.engines.packs;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
