"""Which engines can be asked about sections, and what a question costs. Runs in the supervisor.

Covers: names for ``--model``, what each takes (a PDF, or text), demands as measured.
Does not cover: which models there are (``engines/remote``, ``engines/language_models``), asking (``asking``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from narrowboat.engines.language_models import QUOTES, LanguageModel, language_demand, language_model
from narrowboat.engines.remote import RemoteModel, client_of, remote_model
from narrowboat.errors import UsageError
from narrowboat.runner.steps import Step
from narrowboat.sizes import MIB
from narrowboat.values import Demand, Facts

#: Changes whenever the same engine would be asked in other words.
ASKING = "2"
#: Of one call: measured 0.5 MiB, with 32 at once and sections of 4.5 MB to Gemini, what the supervisor has of it
#: included. JSON Schema adds 20 MiB to the worker, once.
_CALL, _SCHEMA = 1 * MIB, 1 * MIB
#: A character of a question in text is held as text, as JSON and as bytes on the wire.
_A_CHARACTER = 8
#: A byte of a picture becomes 4/3 of text.
_A_PICTURES_BYTE = 12
#: Quotes: at first, and for each character of the section: its sentences and the weights of their words.
_QUOTES, _QUOTES_A_CHARACTER = 64 * MIB, 40


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that can be asked about sections.

    Attributes:
        name: as it is shown.
        version: changes when its answers would change.
        kind: ``"quotes"``, ``"small local model"`` or ``"remote model"``.
        takes: ``"pdf"`` or ``"text"``.
        remote: where it is a remote one.
        local: where it is on this machine.
    """

    name: str
    version: str
    kind: str
    takes: str
    remote: RemoteModel | None = None
    local: LanguageModel | None = None

    @property
    def looks(self) -> bool:
        """It takes pictures beside text."""
        return self.remote is not None and self.takes == "text"


def engine(text: str) -> Engine:
    """The engine that ``--model`` names.

    Raises:
        UsageError: there is none of that name.
    """
    remote = remote_model(text)
    if remote is not None:
        takes = "pdf" if remote.vendor == "gemini" else "text"
        return Engine(remote.name, f"{remote.name} {ASKING}", "remote model", takes, remote)
    model = language_model(text)
    return Engine(model.name, f"{model.name} {model.version} {ASKING}", model.kind, "text", local=model)


def check_schema(found: Engine, schema: str | None) -> None:
    """See that the engine can answer with what a schema asks for.

    Raises:
        UsageError: it gives quotes and nothing else.
    """
    if schema is not None and found.kind == QUOTES:
        raise UsageError(
            f"--schema: {found.name} gives quotes, and follows no schema", hint="choose another one with --model"
        )


def asking_step(found: Engine) -> Step:
    """The step that asks this engine.

    Raises:
        UsageError: a remote engine's client is not installed, or there is no key for it.
    """
    return Step(
        "narrowboat.pipelines.extract.asking:ask",
        name="ask",
        version=found.version,
        engine=found.name,
        demand=_remote_demand if found.local is None else _local_demand(found.local),
        client=None if found.remote is None else client_of(found.remote),
    )


def _remote_demand(facts: Facts) -> Demand:
    text = _A_CHARACTER * int(facts.get("characters") or 0) + _A_PICTURES_BYTE * int(facts.get("picture_bytes") or 0)
    return Demand(bytes=_CALL + text + (_SCHEMA if facts.get("schema") else 0), cores=0)


def _local_demand(model: LanguageModel) -> Callable[[Facts], Demand]:
    def demand(facts: Facts) -> Demand:
        first = _QUOTES if model.kind == QUOTES else language_demand(model, {}).bytes
        return Demand(bytes=first + _QUOTES_A_CHARACTER * int(facts.get("characters") or 0), cores=1)

    return demand
