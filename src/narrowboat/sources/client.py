"""One HTTP request: open it, and say in one sentence what went wrong.

Covers: timeouts, redirects, credentials in the address, which answers are final and which are worth another try.
Does not cover: trying again, resuming, writing (``http.py``). Loads in workers only.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

from narrowboat.config import storage_headers
from narrowboat.errors import SourceError
from narrowboat.shown import safe_url
from narrowboat.sources.address_guard import AddressGuard
from narrowboat.sources.connections import MOST_REDIRECTS, Pace, pool_manager
from narrowboat.waits import retry_after

#: Seconds in which the head of an answer has to come, however it drips.
HEAD_S = 60.0
WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524}
#: Errors that say nothing of the other side: this machine has no network.
_OFFLINE = (errno.ENETUNREACH, errno.ENETDOWN, socket.EAI_AGAIN)


class Passing(Exception):
    """A failure that may pass; ``wait`` is what the server asked for, in seconds, or None."""

    def __init__(self, message: str, wait: float | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message, self.wait, self.facts = message, wait, facts


@dataclass(frozen=True, slots=True)
class Client:
    """Opens requests.

    Attributes:
        pace: of reading what comes.
        connect_s: seconds to connect, to each address of a host.
        guard: what connections are made through; None to connect anywhere.
    """

    pace: Pace
    connect_s: float = 15.0
    guard: AddressGuard | None = None

    def open(self, method: str, url: str, headers: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """The answer, its body unread, with a status below 400 or equal to 416. The caller closes it.

        Its head, redirects included, has to come within a minute, however it drips.

        Raises:
            SourceError: another try would not help: 404, too many redirects, a bad certificate or address.
            AddressRefused: the guard does not let it through, or what it redirects to.
            Passing: another try may help: no connection, 429, 5xx.
        """
        shown = safe_url(url)
        manager = pool_manager(self.guard, self.pace, self.connect_s, storage_headers(url))
        plain, sent = _without_credentials(url)
        sent |= storage_headers(url)
        sent |= {"Accept-Encoding": "identity", "Connection": "close", "User-Agent": "narrowboat"}
        try:
            with self.pace.within(HEAD_S):
                response = manager.request(
                    method,
                    plain,
                    headers=sent | (headers or {}),
                    preload_content=False,
                    decode_content=False,
                    enforce_content_length=False,
                )
        except (urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            raise explain(error, shown) from None
        if response.status >= 400 and response.status != 416:
            response.close()
            raise _refused(response, shown)
        return response


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, {}
    user, host = parts.netloc.rpartition("@")[::2]
    headers = urllib3.make_headers(basic_auth=unquote(user)) if user else {}
    return parts._replace(netloc=host).geturl(), {"Authorization": headers["authorization"]} if headers else {}


def _refused(response: urllib3.BaseHTTPResponse, shown: str) -> Passing | SourceError:
    reason = http.client.responses.get(response.status, response.reason or "")
    message = f"{shown} answered {response.status} {reason}".rstrip()
    if response.status in WORTH_ANOTHER_TRY:
        return Passing(message, wait=retry_after(response.headers.get("Retry-After")), status=response.status)
    hints = {401: "it needs a user and password", 403: "it may need a login, or the link has expired"}
    hints |= dict.fromkeys((404, 410), "check the address")
    return SourceError(message, hint=hints.get(response.status), status=response.status)


_FAILURES: tuple[tuple[type[BaseException], type[Passing | SourceError], str], ...] = (
    (urllib3.exceptions.ResponseError, SourceError, f"redirects more than {MOST_REDIRECTS} times"),
    (urllib3.exceptions.URLSchemeUnknown, SourceError, "leads to something that is neither http nor https"),
    (urllib3.exceptions.LocationValueError, SourceError, "leads to an address that can't be fetched"),
    (UnicodeError, SourceError, "is not an address that can be fetched"),
    (urllib3.exceptions.NameResolutionError, Passing, "can't be reached: its name is not known here"),
    (urllib3.exceptions.NewConnectionError, Passing, "can't be reached"),
    (urllib3.exceptions.ConnectTimeoutError, Passing, "does not answer"),
    (urllib3.exceptions.ReadTimeoutError, Passing, "stalled"),
    (TimeoutError, Passing, "stalled"),
    (urllib3.exceptions.SSLError, Passing, "broke off the encrypted connection"),
    (ssl.SSLError, Passing, "broke off the encrypted connection"),
)


def explain(error: BaseException, shown: str) -> Passing | SourceError:
    """What a failure below HTTP was, in one sentence, and whether it may pass."""
    while isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        error = error.reason
    if isinstance(error, urllib3.exceptions.SSLError) and "certificate" in str(error).lower():
        return SourceError(f"{shown} shows a certificate that is not trusted", hint="check the address")
    for kind, answer, words in _FAILURES:
        if isinstance(error, kind):
            inner = error.__cause__
            why = f": {inner.strerror}" if isinstance(inner, OSError) and inner.strerror and answer is Passing else ""
            facts: dict[str, Any] = {"offline": True} if isinstance(inner, OSError) and inner.errno in _OFFLINE else {}
            return answer(f"{shown} {words}{why}", **facts)
    return Passing(f"{shown} broke off the connection")
