"""What models there are, what they come in, and what they ask for. Imports nothing heavy.

Covers: names for ``--model``, languages, the packs with their checksums, demands as measured.
Does not cover: fetching (``engines/packs.py``), running (``engines/speech/``).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from narrowboat.engines.footprint import footprint
from narrowboat.engines.known import PACKS, Pack
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB
from narrowboat.values import Demand, Facts

__all__ = [
    "DEFAULT_SPEECH",
    "LANGUAGES",
    "PACKS",
    "PREPARE_DEMAND",
    "Pack",
    "SpeechModel",
    "check_language",
    "checksum_of",
    "language_code",
    "packs",
    "speech_demand",
    "speech_model",
]

DEFAULT_SPEECH = "local:whisper-base"

#: Changes whenever the local speech engine would give other results for the same model and sound.
SPEECH_ENGINE = "2"

#: The codes that multilingual Whisper models know; whether a given model knows one is checked with its vocabulary.
LANGUAGES = frozenset(
    """af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy
    id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa
    sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh""".split()  # noqa: SIM905 -- as a list it would be a hundred lines
)

#: Bytes (anonymous + shared) of a worker that transcribes: one stream; a second; each further one. Measured on an
#: mp3 of 9 minutes: 227 MiB with one stream of base, 305 with two (301 to 314 on one of 4.5 minutes), 365 with two
#: that encode at the same time; 176, 248 and 255 for tiny.en. The largest further stream is one that encodes.
_MEASURED = {
    "whisper-base": (250 * MIB, 85 * MIB, 145 * MIB),
    "whisper-tiny.en": (195 * MIB, 75 * MIB, 90 * MIB),
}
#: Of the step ``prepare_model``, pip included, for any model: 56 MiB measured, 85 with what the fork server preloads.
PREPARE_DEMAND = Demand(bytes=112 * MIB, cores=1)

_MODEL_FILES = ("model.bin", "config.json")
_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """A speech model that can be run.

    Attributes:
        name: as it is shown, such as ``local:whisper-base``; ``local:/folder`` for a path.
        kind: ``"local"``.
        pack: the pack that it comes in; None for a path.
        path: the user's own folder; None for a pack.
        checksum: SHA-256 of its ``model.bin`` (of the first source, when there are several).
        version: changes when the results of a transcription would change.
        english_only: True when it knows no other language.
    """

    name: str
    kind: str
    pack: str | None
    path: str | None
    checksum: str
    version: str
    english_only: bool


def packs() -> list[Pack]:
    """All packs, by name."""
    return [PACKS[name] for name in sorted(PACKS)]


def speech_model(text: str) -> SpeechModel:
    """The model that ``--model`` names: ``local:NAME`` of a pack, or a folder with a ctranslate2 Whisper model.

    Raises:
        UsageError: no such model; or the folder is not one, and what is missing there.
    """
    name = text.strip().removeprefix("local:")
    pack = PACKS.get(name)
    if pack is not None and pack.kind == "speech model":
        checksum = next(file.sha256 for file in pack.files if file.name == "model.bin")
        return SpeechModel(f"local:{name}", "local", name, None, checksum, _version(checksum), name.endswith(".en"))
    if not _is_path(name):
        known = ", ".join(f"local:{pack.name}" for pack in packs() if pack.kind == "speech model")
        raise UsageError(
            f"there is no speech model {text!r}",
            hint=f"known are {known}, the path of a ctranslate2 Whisper model, gemini:MODEL and openai:MODEL",
        )
    folder = Path(name).expanduser().absolute()
    _check_folder(folder)
    model = folder / "model.bin"
    checksum = checksum_of(model)
    english_only = _english_only(folder)
    return SpeechModel(f"local:{folder}", "local", None, str(folder), checksum, _version(checksum), english_only)


def check_language(model: SpeechModel, language: str | None) -> str | None:
    """The language code to use, in lower case; None lets the model find out.

    Raises:
        UsageError: an unknown code, or one that the model does not know.
    """
    code = language_code(language)
    if code is None:
        return "en" if model.english_only else None
    if model.english_only and code != "en":
        raise UsageError(
            f"{model.name} knows English only, not {code}", hint=f"use {DEFAULT_SPEECH} for other languages"
        )
    return code


def language_code(language: str | None) -> str | None:
    """A language code in lower case; None lets the engine find out.

    Raises:
        UsageError: no model knows such a language.
    """
    code = (language or "").strip().lower()
    if code in ("", "auto"):
        return None
    if code not in LANGUAGES:
        raise UsageError(f"{language!r} is not a language that the models know", hint="use a code such as en, de or fr")
    return code


def speech_demand(model: SpeechModel, facts: Facts, most_cores: int) -> Demand:
    """What a transcription asks for. How long the sound is does not matter, so ``facts`` are not looked at.

    Packs were measured; the footprint of other models is computed from their shapes.
    """
    most = max(1, most_cores)
    if model.pack is not None:
        first, second, further = _MEASURED[model.pack]
        return Demand(bytes=first, cores=1, most_cores=most, bytes_per_core=second if most <= 2 else further)
    found = footprint(Path(model.path or "") / "model.bin")
    return Demand(bytes=found.first, cores=1, most_cores=most, bytes_per_core=found.further)


def missing_files(folder: Path) -> list[str]:
    """Which files a folder lacks to be a ctranslate2 Whisper model."""
    missing = [name for name in _MODEL_FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        missing.append(" or ".join(_VOCABULARIES))
    return missing


def _version(checksum: str) -> str:
    return f"{SPEECH_ENGINE}-{checksum[:16]}"


def _is_path(name: str) -> bool:
    return bool(re.match(r"[./~]", name)) or "/" in name or Path(name).is_dir()


def _check_folder(folder: Path) -> None:
    hint = "give the folder of a Whisper model converted for ctranslate2"
    if not folder.exists():
        raise UsageError(f"there is no folder {folder}", hint=hint)
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", hint=hint)
    missing = missing_files(folder)
    if missing:
        raise UsageError(f"{folder} is no ctranslate2 Whisper model: it has no {_and(missing)}", hint=hint)
    with (folder / "model.bin").open("rb") as file:
        if b"WhisperSpec" not in file.read(64):
            raise UsageError(f"{folder}/model.bin is not a Whisper model for ctranslate2", hint=hint)
    try:
        json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{folder}/config.json can't be read: {error}", hint=hint) from error


def _english_only(folder: Path) -> bool:
    """English-only models have one token less than the first multilingual ones."""
    for name in _VOCABULARIES:
        path = folder / name
        if path.is_file():
            text = path.read_text("utf-8", "replace")
            count = len(json.loads(text)) if name.endswith(".json") else text.count("\n") + (not text.endswith("\n"))
            return count <= 51864
    return False


def checksum_of(path: Path) -> str:
    """SHA-256 of a file, kept while its size and time of change stay."""
    status = path.stat()
    return _checksum(str(path), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _checksum(path: str, size: int, changed: int) -> str:
    """SHA-256 of a file; its size and time of change are there so that a changed one is read again."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _and(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
