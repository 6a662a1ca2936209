"""Which language models there are, and what they ask for. Imports nothing heavy.

Covers: names for ``--summary-model``, demands as measured, the client of those that run elsewhere.
Does not cover: fetching (``engines/packs.py``), running (``engines/language/``).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from narrowboat import extras
from narrowboat.engines.gguf_head import footprint, read_head
from narrowboat.engines.known import PACKS
from narrowboat.engines.remote import CALL_BYTES, client_of, remote_model
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB
from narrowboat.values import Client, Demand, Facts

DEFAULT_LANGUAGE = "extractive"
QUOTES, SMALL, REMOTE = "quotes", "small local model", "remote model"

#: Changes whenever a language engine would give other results for the same model and text.
LANGUAGE_ENGINE = "2"
_STEP = "narrowboat.engines.language.{}:complete"
#: MiB: at first, and for each hour of speech. Measured 26, 41 and 74 with 1, 10 and 30 hours (25 at first).
_EXTRACTIVE = (40, 2)
#: Bytes of a worker with a pack's model, as ``gguf_head.footprint`` has it for the file; measured 177 MiB, and 16 more
#: where much was preloaded.
_PACKS = {"smollm2": 224 * MIB}
#: MiB for each hour of speech beside the model, or the call: the transcript in memory, as passages and as a question.
_HOUR_MIB = 2
_HOUR_S = 3600.0
_PIECE = 1 << 20  # bytes at either end of a file that tell it from others


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model that can be run.

    Attributes:
        name: as it is shown, such as ``extractive``, ``gguf:smollm2`` or ``openai:gpt-4o-mini``.
        kind: ``"quotes"``, ``"small local model"`` or ``"remote model"``: what readers are told of its texts.
        function: its step, see :mod:`narrowboat.engines.language`.
        version: changes when its results would change.
        pack: the pack that it comes in; None for others.
        path: the user's own .gguf file; None for others.
    """

    name: str
    kind: str
    function: str
    version: str
    pack: str | None = None
    path: str | None = None


def language_model(text: str) -> LanguageModel:
    """The model that ``--summary-model`` names.

    Raises:
        UsageError: no such model; a file that is none; no library for it.
    """
    name = text.strip()
    if name == DEFAULT_LANGUAGE:
        return LanguageModel(name, QUOTES, _STEP.format("extractive"), LANGUAGE_ENGINE)
    if name.startswith("gguf:"):
        return _gguf(name.removeprefix("gguf:"))
    remote = remote_model(name)
    if remote is not None:
        return LanguageModel(remote.name, REMOTE, _STEP.format("remote"), f"{LANGUAGE_ENGINE}-{remote.name}")
    known = ", ".join((DEFAULT_LANGUAGE, *language_packs()))
    raise UsageError(
        f"there is no language model {text!r}", hint=f"known are {known}, gguf:/PATH, gemini:MODEL, openai:MODEL[@URL]"
    )


def language_packs() -> list[str]:
    """The names of models that come in packs."""
    return [f"gguf:{pack.name}" for pack in PACKS.values() if pack.kind == "language model"]


def language_client(model: LanguageModel) -> Client | None:
    """The client that calls of a remote model belong to; None for models on this machine.

    Raises:
        UsageError: it is not installed; there is no key.
    """
    remote = remote_model(model.name)
    return None if remote is None else client_of(remote)


def language_demand(model: LanguageModel, facts: Facts) -> Demand:
    """What a text asks for, from the ``duration`` of its sound in seconds; of a remote model, what a call adds."""
    hours = math.ceil(float(facts.get("duration") or 0) / _HOUR_S)
    if model.kind == QUOTES:
        first, each_hour = _EXTRACTIVE
        return Demand(bytes=(first + each_hour * hours) * MIB, cores=1)
    transcript = _HOUR_MIB * hours * MIB
    if model.kind == REMOTE:
        return Demand(bytes=CALL_BYTES + transcript, cores=0)
    own = _PACKS[model.pack] if model.pack is not None else footprint(read_head(Path(model.path or "")))
    return Demand(bytes=own + transcript, cores=1)


def file_of(model: LanguageModel, folder: str | None) -> str | None:
    """The .gguf file of a model; ``folder`` is where its pack is, when it comes in one. None where there is none."""
    if model.pack is None:
        return model.path
    return str(Path(folder or "") / PACKS[model.pack].files[0].name)


def _gguf(name: str) -> LanguageModel:
    extras.require("language", f"gguf:{name} needs", ["xllamacpp"])
    function = _STEP.format("gguf")
    pack = PACKS.get(name)
    if pack is not None and pack.kind == "language model":
        version = f"{LANGUAGE_ENGINE}-{pack.files[0].sha256[:16]}"
        return LanguageModel(f"gguf:{name}", SMALL, function, version, pack=name)
    if "/" not in name and not name.endswith(".gguf"):
        raise UsageError(
            f"there is no language model gguf:{name}",
            hint=f"known are {', '.join(language_packs())}; a file is named by its path: gguf:/PATH",
        )
    path = Path(name).expanduser().absolute()
    read_head(path)
    status = path.stat()
    version = f"{LANGUAGE_ENGINE}-{_ends(str(path), status.st_size, status.st_mtime_ns)}"
    return LanguageModel(f"gguf:{path}", SMALL, function, version, path=str(path))


@lru_cache(maxsize=8)
def _ends(path: str, size: int, changed: int) -> str:
    """What tells a file from others without reading gigabytes: its ends and its size. ``changed`` has it read again."""
    with Path(path).open("rb") as file:
        digest = hashlib.sha256(file.read(_PIECE))
        file.seek(max(0, size - _PIECE))
        digest.update(file.read(_PIECE))
    digest.update(str(size).encode())
    return digest.hexdigest()[:16]
