"""The step that has a speech model ready: fetched, verified, and with 8-bit weights.

Covers: what ``--model`` names to a folder that ``speech/transcribe.py`` loads.
Does not cover: which names there are (``engines/catalogue.py``), fetching (``engines/packs.py``), the format of
model files (``speech/weights.py``).

Loading float weights takes twice the memory that running 8-bit ones does, so they are re-written once. A model
that has 8-bit weights already is used where it is.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from narrowboat import context
from narrowboat.engines.catalogue import SpeechModel, speech_model
from narrowboat.engines.packs import fetch_pack
from narrowboat.engines.preparing import made_once, made_ready
from narrowboat.engines.speech.weights import is_int8, read_contents, write_int8
from narrowboat.values import Json

_BESIDE = ("config.json", "vocabulary.json", "vocabulary.txt")


def prepare_model(inputs: dict[str, Json]) -> dict[str, Json]:
    """A step. ``inputs``: ``model`` (as for ``--model``), ``cache`` (a folder; the default cache when missing).

    Returns ``path`` (the folder to load) and ``version`` (see :class:`SpeechModel`).

    Raises:
        UsageError: no such model, or not one that can be read.
        PackError, DiskFull: it can't be fetched or written.
    """
    model = speech_model(inputs["model"])
    return made_ready(inputs, model.version, partial(prepared, model))


def prepared(model: SpeechModel, cache: Path) -> Path:
    """The folder of ``model`` with 8-bit weights, made in ``cache`` if need be."""
    name = model.pack or Path(model.path or "").name
    target = cache / "models" / f"{name}-{model.checksum[:16]}-int8"
    if target.is_dir():
        return target
    source = fetch_pack(model.pack, cache, context.progress) if model.pack else Path(model.path or "")
    if is_int8(read_contents(source / "model.bin")):
        return source
    return made_once(target, partial(_rewrite, source))


def _rewrite(source: Path, made: Path) -> None:
    for name in _BESIDE:
        if (source / name).is_file():
            shutil.copyfile(source / name, made / name)
    write_int8(source / "model.bin", made / "model.bin")
