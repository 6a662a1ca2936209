"""Remote engines: their names, and what their clients cost. Imports nothing heavy.

Covers: ``gemini:MODEL`` and ``openai:MODEL``, each with ``@URL`` for a server of one's own; whether the client is
installed and a key is there; the memory that a client takes, as measured.
Does not cover: asking them (``gemini``, ``openai_compatible``), what they are good for (``language_models``), the
variables themselves (``narrowboat.config``).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from narrowboat import config, extras
from narrowboat.errors import UsageError
from narrowboat.sizes import MIB
from narrowboat.values import Client

#: Bytes (anonymous + shared) that the client adds to what a worker begins with. Measured after a first call over HTTP:
#: 34 and 29 MiB; 32 encrypted connections add 4. Next to nothing above that: in a box of 256M what it holds is not
#: there for cutting. With 32 calls about 10 minutes each, all of it was 50 MiB, and with theirs it has 65. OpenAI's may
#: be sent samples of voices inside requests.
_BYTES = {"gemini": 40 * MIB, "openai": 46 * MIB}
#: Bytes that a call adds. Measured with 64 at once, each with a file of 20 MiB: 0.1 MiB a call while it uploads and
#: waits; the rest is for its answer, which is in memory four times over while it is read.
CALL_BYTES = 2 * MIB
#: Calls at the same time. Each holds a connection, and a thread.
_AT_ONCE = 32

_PREFIX = re.compile(r"(gemini|openai):(.*)", re.DOTALL)
_AT_URL = re.compile(r"(.*)@([A-Za-z][A-Za-z0-9+.-]*://.*)", re.DOTALL)
_AT_HOST = re.compile(r".+@(localhost|[\w.-]+:\d+|[\w-]+(\.[\w-]+)+|[\w.-]+(?=/))(/.*)?")
_MODEL = re.compile(r"@?[A-Za-z0-9][\w.:@+/-]{0,199}")


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model that runs elsewhere.

    Attributes:
        name: as it is shown, such as ``gemini:gemini-2.5-flash`` or ``openai:whisper-1@http://127.0.0.1:8000/v1``.
            It never holds a key or a password.
        vendor: whose protocol is spoken: ``"gemini"`` or ``"openai"``.
        model: as the server knows it.
        base_url: the server, without a slash at the end; None for the one that the environment names, or the vendor's.
    """

    name: str
    vendor: str
    model: str
    base_url: str | None


def remote_model(text: str) -> RemoteModel | None:
    """The remote model that a ``--model`` names; None when it names none.

    Raises:
        UsageError: it begins as one does, and is none.
    """
    found = _PREFIX.fullmatch(text.strip())
    if found is None:
        return None
    vendor, rest = found.groups()
    split = _AT_URL.fullmatch(rest)
    model, url = (split[1], check_url(split[2], "the address of a model")) if split else (rest, None)
    if vendor == "gemini":
        model = model.removeprefix("models/")
    if not model:
        raise UsageError(f"{vendor}: names no model", hint=f"write it as {vendor}:MODEL, or {vendor}:MODEL@URL")
    if url is None and _AT_HOST.fullmatch(model):
        raise UsageError(
            "the address of a model begins with http:// or https://", hint=f"write it as {vendor}:MODEL@http://HOST/v1"
        )
    if not _MODEL.fullmatch(model) or ".." in model:
        raise UsageError(f"{model[:80]!r} is no name of a model", hint=f"write it as {vendor}:MODEL")
    return RemoteModel(f"{vendor}:{model}{f'@{url}' if url else ''}", vendor, model, url)


def client_of(model: RemoteModel) -> Client:
    """The client that a step with this model is a call of.

    Raises:
        UsageError: the vendor's client is not installed; there is no key where one is needed; an address in the
            environment makes no sense.
    """
    extras.require(model.vendor, f"{model.name} needs")
    url, key = address_of(model), key_of(model)
    secret = hashlib.sha256("\0".join((model.vendor, url or "", key)).encode()).hexdigest()
    return Client(model.vendor, _BYTES[model.vendor], at_once=_AT_ONCE, key=secret[:16])


def address_of(model: RemoteModel) -> str | None:
    """The server to ask: the model's own, else the environment's; None for the vendor's.

    Raises:
        UsageError: the one in the environment makes no sense.
    """
    if model.base_url is not None:
        return model.base_url
    variable = config.BASE_URLS[model.vendor]
    url = config.base_url(model.vendor)
    return None if url is None else check_url(url, variable)


def key_of(model: RemoteModel) -> str:
    """The key from the environment; empty when there is none and a server of one's own may want none.

    Raises:
        UsageError: there is none for the vendor's server, or it can't be sent.
    """
    key = config.api_key(model.vendor)
    variables = " or ".join(config.API_KEYS[model.vendor])
    if key is None:
        if address_of(model) is not None:
            return ""
        raise UsageError(
            f"{model.name} needs a key", hint=f"set {variables}, and nothing else: keys are read there only"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"the key in {variables} has characters that no key has", hint="copy it again")
    return key


def check_url(url: str, what: str) -> str:
    """An address of a server without its last slash.

    Raises:
        UsageError: it is none, or it holds what must not be shown. Names ``what`` and not the address.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise UsageError(f"{what} is not an http or https address", hint="write it as https://HOST/v1")
    if parts.username or parts.password or "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"{what} has a user, a password or a question mark in it",
            hint="give the address alone; keys are read from the environment",
        )
    return url.rstrip("/")
