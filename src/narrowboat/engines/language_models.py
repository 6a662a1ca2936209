"""Which language models there are, and what they ask for. Imports nothing heavy.

Covers: names for ``--summary-model``, demands as measured.
Does not cover: fetching (``engines/packs.py``), running (``engines/language/``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from narrowboat.errors import UsageError
from narrowboat.sizes import MIB
from narrowboat.values import Demand, Facts

DEFAULT_LANGUAGE = "extractive"

#: Changes whenever a language engine would give other results for the same model and text.
LANGUAGE_ENGINE = "1"
#: MiB: at first, and for each hour of speech. Measured 26, 41 and 74 with 1, 10 and 30 hours (25 at first).
_EXTRACTIVE = (40, 2)
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model that can be run.

    Attributes:
        name: as it is shown, such as ``extractive``.
        kind: ``"quotes"``, ``"small local model"`` or ``"remote model"``: what readers are told of its texts.
        function: its step, see :mod:`narrowboat.engines.language`.
        version: changes when its results would change.
    """

    name: str
    kind: str
    function: str
    version: str


def language_model(text: str) -> LanguageModel:
    """The model that ``--summary-model`` names.

    Raises:
        UsageError: no such model.
    """
    name = text.strip()
    if name == DEFAULT_LANGUAGE:
        return LanguageModel(name, "quotes", "narrowboat.engines.language.extractive:complete", LANGUAGE_ENGINE)
    raise UsageError(f"there is no language model {text!r}", hint=f"known are {DEFAULT_LANGUAGE}")


def language_demand(model: LanguageModel, facts: Facts) -> Demand:
    """What a text asks for, from the ``duration`` of its sound in seconds."""
    first, each_hour = _EXTRACTIVE
    return Demand(bytes=(first + each_hour * math.ceil(float(facts.get("duration") or 0) / _HOUR_S)) * MIB, cores=1)
