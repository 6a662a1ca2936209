"""Model files re-written with 8-bit weights: bit for bit what ctranslate2's own converter writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ctranslate2.specs import model_spec, whisper_spec

from narrowboat.engines.speech import weights
from narrowboat.engines.speech.weights import is_int8, read_contents, write_int8
from narrowboat.errors import UsageError


def small_model(kind: str) -> whisper_spec.WhisperSpec:
    """A model of one layer with random weights of the given type; each call makes the same."""
    random = np.random.default_rng(5)
    spec = whisper_spec.WhisperSpec(1, 2, 1, 2)

    def fill(owner: object, name: str, value: object) -> None:
        if value is None:
            shape = {"weight": (48, 16), "encodings": (30, 16)}.get(name.rsplit("/", 1)[-1], (16,))
            shape = (16, 8, 3) if "conv" in name and name.endswith("weight") else shape
            setattr(owner, name.rsplit("/", 1)[-1], random.normal(0, 1, shape).astype(kind))

    spec._visit(fill)
    spec.decoder.embeddings.weight[3] = 0  # a row without a scale of its own
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    spec.config.suppress_ids, spec.config.suppress_ids_begin, spec.config.alignment_heads = [], [], []
    spec.config.lang_ids = []
    model_spec.LayerSpec.validate(spec)
    return spec


@pytest.mark.parametrize("kind", ["float16", "float32"])
@pytest.mark.parametrize("block", [1 << 21, 256])
def test_as_the_converter_does(tmp_path: Path, kind: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_BLOCK", block)
    before, theirs, ours = tmp_path / "before.bin", tmp_path / "theirs.bin", tmp_path / "ours.bin"
    plain, quantised = small_model(kind), small_model(kind)
    plain.optimize()
    plain._serialize(str(before))
    quantised.optimize(quantization="int8")
    quantised._serialize(str(theirs))
    write_int8(before, ours)
    assert ours.read_bytes() == theirs.read_bytes()
    assert not is_int8(read_contents(before))
    assert is_int8(read_contents(ours))
    assert ours.stat().st_size < before.stat().st_size


def test_a_file_that_is_cut_or_foreign(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    small_model("float32")._serialize(str(path))
    whole = path.read_bytes()
    for size in (0, 3, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UsageError):
            read_contents(path)
    path.write_bytes(b"\x63" + whole[1:])
    with pytest.raises(UsageError, match="version 99"):
        read_contents(path)
