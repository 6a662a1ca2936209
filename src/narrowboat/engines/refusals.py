"""What a remote engine's refusals and failures mean. Loads in workers only.

Covers: the one table from a status of HTTP, or from what broke below it, to an error of ours; keeping keys out of what
is told. docs/engines.md has it in words.
Does not cover: how each vendor says it (``gemini``, ``openai_compatible``), what follows (``runner/calls``).
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import h11
import httpcore2
import httpx2

from narrowboat import config
from narrowboat.engines.remote import RemoteModel
from narrowboat.engines.wire import OutOfTime, TooMuch
from narrowboat.errors import EngineError, Interrupted, NarrowboatError, RemoteError

#: Seconds of a wait that a server asks for and gets; who asks for more is asked again after these.
MOST_WAIT_S = 3600.0
#: Characters of a server's own words that are told.
_SAID = 300
#: Characters in a row that a text and a key have in common where the text is taken to show the key.
_IN_COMMON = 6

#: Statuses below 500 that may pass. Of those from 500 on all may, but for the ones that say "never".
_FOR_NOW = {408, 409, 425, 429}
_NEVER = {501, 505, 510, 511}
_NO_KEY, _NO_MONEY = {"API_KEY_INVALID", "invalid_api_key"}, {"insufficient_quota", "billing_hard_limit_reached"}
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|maximum context|token count .* exceeds|(?:prompt|input|request) (?:is )?too"
    r" long|exceeds? .*(?:context|tokens allowed)|too many (?:input )?tokens",
    re.IGNORECASE,
)
_SECRET = re.compile(r"(?i)\b(bearer |sk-|AIza)[^\s\"'<>,;]{4,}|\b((?:api[-_]?)?key|token)=[^\s\"'<>,;&]+")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A status of HTTP that is no answer.

    Attributes:
        status: of HTTP.
        said: the server's own words.
        reasons: the codes that it gives beside.
        wait_s: seconds that it asks for, or None.
    """

    status: int
    said: str = ""
    reasons: frozenset[str] = frozenset()
    wait_s: float | None = None


def refusal(model: RemoteModel, found: Refusal, key: str) -> NarrowboatError:
    """The error that a refusal is."""
    said = cleaned(found.said, key)
    tail = f" ({found.status})" + (f": {said}" if said else "")
    final = next((row for row in _FINAL if row[0](found)), None)
    if final is None:
        quota = found.status == 429
        message = (
            f"{model.name}: the rate or the quota of the key is used up" if quota else f"{model.name} can't answer now"
        )
        wait = found.wait_s if found.wait_s is None else min(found.wait_s, MOST_WAIT_S)
        return RemoteError(message + tail, hint="try again later", status=found.status, wait_s=wait, quota=quota)
    names = {"name": model.name, "variables": " or ".join(config.API_KEYS[model.vendor])}
    facts = {"reason": "too_long"} if final[0] is too_long else {}
    return EngineError(final[1].format(**names) + tail, hint=final[2].format(**names), status=found.status, **facts)


def failure(model: RemoteModel, error: BaseException, key: str) -> NarrowboatError:
    """The error that anything else is that a client raises: no connection, an end too early, no sense in the answer."""
    for cause in _causes(error):
        if isinstance(cause, Interrupted):
            return cause
        if isinstance(cause, OutOfTime):
            return _for_now(f"{model.name} gave no answer within {cause.args[0]:.0f} s")
        if isinstance(cause, TooMuch):
            return _for_now(f"an answer of {model.name} is not taken: {cause}")
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "see the address, or name the certificate of its authority in SSL_CERT_FILE"
            return EngineError(f"{model.name}: the server's certificate is not trusted", hint=hint)
        for kind, words in _BROKE:
            if isinstance(cause, kind):
                return _for_now(f"{model.name} {words}{_why(cause)}")
    no_json = isinstance(error, json.JSONDecodeError) or "JSON" in str(error)
    return malformed(model, "it is no JSON" if no_json else f"{type(error).__name__} while it was read")


def malformed(model: RemoteModel, what: str) -> RemoteError:
    """The error that an answer without sense is. ``what`` is in words of ours: those of the answer may be anything."""
    return _for_now(f"an answer of {model.name} makes no sense: {what}")


def cleaned(text: str, key: str) -> str:
    """A server's words on one line, shortened, without the key or a part of it, or anything that looks like one."""
    if text.lstrip().startswith("<"):
        return ""  # a page for people, most often of a proxy
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:4000]).split())
    for secret in (key, base64.b64encode(key.encode()).decode()) if key else ():
        line = _without(line, secret)
    line = _SECRET.sub(lambda found: f"{found[1] or ''}…" if found[1] else f"{found[2]}=…", line)
    return line if len(line) <= _SAID else line[: _SAID - 1] + "…"


def _without(line: str, secret: str) -> str:
    size = min(_IN_COMMON, len(secret))
    pieces = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    shows = [False] * len(line)
    for at in range(len(line) - size + 1):
        if line[at : at + size] in pieces:
            shows[at : at + size] = [True] * size
    kept = ("…" if hidden else c for c, hidden in zip(line, shows, strict=True))
    return re.sub("…+", "…", "".join(kept))


def too_long(found: Refusal) -> bool:
    """Whether the question is more than the model, or the server, takes in."""
    told = "context_length_exceeded" in found.reasons or _TOO_LONG.search(found.said[:2000]) is not None
    return found.status == 413 or (found.status in (400, 422) and told)


#: What another try would not help: when it is so, in words, and a hint. The first that fits.
_FINAL: tuple[tuple[Callable[[Refusal], bool], str, str], ...] = (
    (
        lambda found: found.status == 402 or bool(found.reasons & _NO_MONEY),
        "{name}: the account of the key has nothing left",
        "see its billing",
    ),
    (
        lambda found: found.status == 401 or bool(found.reasons & _NO_KEY),
        "{name} does not know the key",
        "see {variables}",
    ),
    (
        lambda found: found.status == 403,
        "{name} may not be used",
        "see whether the key in {variables} may use it, and from here",
    ),
    (
        lambda found: found.status == 404,
        "there is no {name}",
        "see the name of the model, and the address of the server where one is given",
    ),
    (too_long, "{name} takes no question of this size", "ask with less"),
    (
        lambda found: 300 <= found.status < 400,
        "{name} is somewhere else",
        "give the address that it leads to; redirects are not followed, since the key would go along",
    ),
    (
        lambda found: found.status in _NEVER or (found.status < 500 and found.status not in _FOR_NOW),
        "{name} will not do it",
        "see what it says, and docs/engines.md",
    ),
)
_BROKE: tuple[tuple[type[BaseException], str], ...] = (
    (h11.LocalProtocolError, "was sent another length than was announced: did a file change?"),
    (httpcore2.ConnectTimeout, "can't be reached: no connection in time"),
    (httpcore2.ConnectError, "can't be reached"),
    (httpcore2.ProxyError, "can't be reached: the proxy will not have it"),
    (httpcore2.WriteTimeout, "stalled: it took in no more of the question"),
    (httpcore2.TimeoutException, "stalled"),
    (httpcore2.NetworkError, "broke off the connection"),
    (httpcore2.ProtocolError, "broke off the connection, or speaks no HTTP"),
    (httpx2.TransportError, "broke off the connection"),
    (ssl.SSLError, "broke off the encrypted connection"),
)


def _for_now(message: str) -> RemoteError:
    return RemoteError(message, hint="try again later", status=None, wait_s=None, quota=False)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 20:
        yield error
        error, seen = error.__cause__ or error.__context__, seen + 1


def _why(error: BaseException) -> str:
    inner = next((found for found in _causes(error) if isinstance(found, OSError) and found.strerror), None)
    return f": {inner.strerror}" if inner is not None else ""
