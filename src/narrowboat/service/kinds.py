"""A kind of job, in the words of a request.

Covers: which options a request may have (a schema that is shown and checked), what they mean to the pipeline, what a
job must be able to reserve; which models a request may name.
Does not cover: which kinds there are (``all_kinds``), the pipelines (``pipelines/``). Options that name places on this
machine are nobody's from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from narrowboat import extras
from narrowboat.engines.catalogue import PACKS, packs
from narrowboat.engines.language_models import DEFAULT_LANGUAGE, language_packs
from narrowboat.errors import UsageError
from narrowboat.runner.pipeline import Pipeline
from narrowboat.runner.steps import Step
from narrowboat.service.schema import Schema, check
from narrowboat.values import Json

#: Remote engines by name alone: an address in a model's name would have our key sent there.
_REMOTE = ("gemini:", "openai:")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as a request wants it: options of the pipeline, and formats."""

    options: dict[str, Json]
    formats: list[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A pipeline as the service takes it.

    Attributes:
        name: of the pipeline.
        title: what the page calls it.
        takes: what files it works on, as the ``accept`` of a file field.
        options: schema of the options of a request.
        formats: those that it can write; ``usual`` when a request names none.
        build: from the options and formats of a request to those of the pipeline.
        step: the step of a job that needs the most, when that is known before there are facts.
        extra: that has to be installed, or ``needs``, those of its modules.
        folders: formats whose files are in a folder beside, named as the output without its last ending.
        private: options that name places on this machine.
    """

    name: str
    title: str
    takes: str
    pipeline: Pipeline
    options: Schema
    formats: Sequence[str]
    usual: Sequence[str]
    build: Callable[[dict[str, Json], list[str]], Wanted]
    step: Callable[[dict[str, Json], int], Step | None] = lambda options, cores: None
    extra: str = ""
    needs: Sequence[str] | None = None
    folders: Sequence[str] = ()
    private: Sequence[str] = ("cache", "password_file", "max_download")

    @property
    def installed(self) -> bool:
        """Whether its extra is there."""
        return not extras.missing(self.extra, self.needs)

    def wanted(self, options: Json, formats: Sequence[str] | None) -> Wanted:
        """What a request wants, checked.

        Raises:
            UsageError: it makes no sense, or the extra is missing.
        """
        if not self.installed:
            raise UsageError(f"{self.name} is not installed on this service", hint=f"it needs narrowboat[{self.extra}]")
        check(options, self.options, "options")
        chosen = list(dict.fromkeys(formats or self.usual))
        unknown = [name for name in chosen if name not in self.formats]
        if unknown:
            raise UsageError(f"{self.name} writes no {unknown[0][:60]!r}", hint=f"it writes {', '.join(self.formats)}")
        try:
            return self.build(options, chosen)
        except UsageError as error:  # pipelines speak of options of the command line
            raise UsageError(_as_asked(error.message), hint=error.hint and _as_asked(error.hint)) from None

    def shown(self, options: dict[str, Json]) -> dict[str, Json]:
        """A job's options without those that name places on this machine."""
        return {name: value for name, value in options.items() if name not in self.private}


def _as_asked(text: str) -> str:
    """A message about options of the command line in the words of a request."""
    return text.replace("--formats", "formats").replace("--", "options.")


def model_from_outside(text: str) -> str:
    """The name of a model that a request may use.

    Raises:
        UsageError: it is a path, has an address in it, or is unknown.
    """
    name = text.strip()
    if name.startswith(_REMOTE) and "@" not in name:
        return name
    if name.removeprefix("local:") in PACKS or name in (DEFAULT_LANGUAGE, *language_packs()):
        return name
    known = ", ".join(f"local:{pack.name}" for pack in packs() if pack.kind.endswith("model"))
    raise UsageError(f"there is no model {text[:60]!r} for requests", hint=f"use {known}, gemini:MODEL or openai:MODEL")


def object_schema(**properties: Schema) -> dict[str, Any]:
    """An object with these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


MODEL: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
