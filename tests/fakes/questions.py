"""A question as both vendors' endpoints understand it, and the answer before it takes a vendor's shape.

Covers: the fields that answers, faults and the log are about; counts of tokens.
Does not cover: reading requests (``gemini_questions``, ``openai_api``), what is answered (``answers``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from fakes.log import cut
from fakes.store import Stored

#: Tokens that Gemini counts: for a second of audio, a page or a picture.
AUDIO_TOKENS_S, PAGE_TOKENS = 32, 258
CHARACTERS_A_TOKEN = 4

Finish = Literal["stop", "length", "blocked", "safety", "recitation", "empty", "nothing"]


class NotHeard(ValueError):
    """A file is no sound that can be found again."""


@dataclass(slots=True)
class Question:
    """What is asked.

    Attributes:
        files: uploaded before, or inside the request, in their order.
        schema: JSON Schema (or Gemini's dialect of it) of the answer.
        wants_json: the answer is to be JSON.
        fields: further fields, as the vendor names them.
        parts: those of the files that go with the request.
        samples: of voices, by the names that the speakers have.
    """

    op: str
    model: str
    texts: list[str] = field(default_factory=list)
    system: str = ""
    files: list[Stored] = field(default_factory=list)
    schema: dict[str, Any] | None = None
    wants_json: bool = False
    max_tokens: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    parts: list[Stored] = field(default_factory=list)
    samples: dict[str, Stored] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All words of the question."""
        return "\n".join([*([self.system] if self.system else []), *self.texts])

    @property
    def matched(self) -> str:
        """What the ``match`` of a fault is looked for in."""
        return "\n".join([self.model, self.text, *(f"{file.name} {file.label}" for file in self.files)])

    def public(self) -> dict[str, Any]:
        """What the log shows."""
        return {
            "model": self.model,
            "system": cut(self.system),
            "texts": [cut(text) for text in self.texts],
            "files": [file.public() for file in self.files],
            "schema": self.schema,
            "max_tokens": self.max_tokens,
            "fields": self.fields,
        }

    @property
    def input_tokens(self) -> int:
        return tokens(self.text) + sum(tokens_of_file(file) for file in self.files)


@dataclass(slots=True)
class Answer:
    """What is answered.

    Attributes:
        text: whole, or what is left of it.
        finish: why it ends.
        about: what the log shows beside it, such as where in an episode a chunk was found.
    """

    text: str
    finish: Finish = "stop"
    about: dict[str, Any] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """What the log shows."""
        return {"text": self.text[:200], "finish": self.finish, **self.about}


def tokens(text: str) -> int:
    """About as many as a vendor would count."""
    return math.ceil(len(text) / CHARACTERS_A_TOKEN)


def tokens_of_file(file: Stored) -> int:
    """About as many as Gemini would count: 32 for a second of audio (as of 16 kHz FLAC, 16 KB), 258 for all else."""
    return math.ceil(file.size / 16_000) * AUDIO_TOKENS_S if file.mime.startswith("audio/") else PAGE_TOKENS


def modality(file: Stored) -> str:
    """Gemini's word for what a file is."""
    kind = file.mime.partition("/")[0].upper()
    return kind if kind in ("AUDIO", "IMAGE", "VIDEO", "TEXT") else "DOCUMENT"


def cut_to(text: str, most: int) -> str:
    """The beginning of a text that has at most so many tokens."""
    return text[: most * CHARACTERS_A_TOKEN]
