"""HTTP for the clients of remote engines. Loads in workers only.

Covers: waits that have an end and can be stopped, whichever client waits; how large an answer may be; proxies. Nothing
is redirected, since a key would go along.
Does not cover: what is asked (``gemini``, ``openai_compatible``), what an error means (``refusals``).

The clients know timeouts between two bytes only: a server that sends one now and then holds them for ever, and nobody
can call them back. So the sockets are ours: whoever reads one looks twice a second whether the call is out of time or
has been asked to stop.
"""

from __future__ import annotations

import contextlib
import logging
import math
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import httpcore2
import httpx2

from narrowboat import config, context
from narrowboat.errors import Interrupted

#: Seconds that a call may take in all: uploading, waiting and clearing up. Shorter than what the runner gives it.
LIMIT_S = 600.0
#: Seconds that a call may take to clear up behind itself, also when it was stopped or is out of time.
CLEAR_S = 15.0
#: Seconds to connect, and that a server may take in no bytes of what is sent.
CONNECT_S, STALL_S = 15.0, 60.0
#: Bytes of an answer: a transcript of an hour with times for each word takes about 5 MiB.
MOST_BYTES = 32 << 20
_LOOK_S = 0.5
#: Seconds after which an idle connection is not used again: servers close theirs after a minute or more.
_IDLE_S = 30.0

# What these write at their finer levels holds addresses and headers; a worker's last words are kept for its errors.
for _name in ("google_genai", "httpcore2", "httpx2", "openai"):
    logging.getLogger(_name).setLevel(logging.ERROR)


class OutOfTime(Exception):
    """The call has taken as long as it may: so many seconds."""


class TooMuch(Exception):
    """The answer is larger than any answer is."""


class _Waits(threading.local):
    until = math.inf
    seconds = math.inf
    stoppable = True


_waits = _Waits()


@contextlib.contextmanager
def limited(seconds: float, *, stoppable: bool = True) -> Iterator[None]:
    """Whatever this thread does inside takes at most so long, and ends early when the step is asked to stop.

    Raises:
        OutOfTime, Interrupted: from whatever waits at that moment.
    """
    before = _waits.until, _waits.seconds, _waits.stoppable
    _waits.until, _waits.seconds, _waits.stoppable = time.monotonic() + seconds, seconds, stoppable
    try:
        yield
    finally:
        _waits.until, _waits.seconds, _waits.stoppable = before


def look() -> float:
    """The seconds that are left; raises as :func:`limited` says."""
    if _waits.stoppable and context.stopping():
        raise Interrupted("the call was stopped")
    left = _waits.until - time.monotonic()
    if left <= 0:
        raise OutOfTime(_waits.seconds)
    return left


def pause(seconds: float) -> None:
    """Wait; raises as :func:`limited` says."""
    until = time.monotonic() + seconds
    while (left := min(until - time.monotonic(), look())) > 0:
        time.sleep(min(left, _LOOK_S))


def client(url: str) -> httpx2.Client:
    """A client for one server, for any number of threads."""
    return httpx2.Client(transport=_Transport(url), trust_env=False, follow_redirects=False)


class _Transport(httpx2.BaseTransport):
    def __init__(self, url: str) -> None:
        proxy = config.proxy_for(url)
        secure = url.startswith("https:") or (proxy or "").startswith("https:")
        tls: ssl.SSLContext | None = httpx2.create_ssl_context() if secure else None
        self._pool = httpcore2.ConnectionPool(
            ssl_context=tls,
            proxy=None if proxy is None else _proxy(proxy),
            max_connections=None,
            keepalive_expiry=_IDLE_S,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        look()
        request.headers["accept-encoding"] = "identity"  # a small answer must not become a large one
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        answer = self._pool.handle_request(asked)
        assert isinstance(answer.stream, Iterable)
        headers, body = httpx2.Headers(answer.headers), _Body(answer.stream)
        if headers.get("content-encoding", "identity").lower() != "identity":
            body.close()
            raise TooMuch("it is compressed, which was not asked for")
        return httpx2.Response(answer.status, headers=headers, stream=body, extensions=answer.extensions)

    def close(self) -> None:
        self._pool.close()


class _Body(httpx2.SyncByteStream):
    """An answer's bytes, as many as an answer may have."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        left = MOST_BYTES
        for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise TooMuch(f"it has more than {MOST_BYTES >> 20} MiB")
            yield piece

    def close(self) -> None:
        self._stream.close()


class _Backend(httpcore2.SyncBackend):
    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *more: Any, **named: Any) -> Any:
        return _Watched(super().connect_tcp(host, port, min(CONNECT_S, look()), *more, **named))


class _Watched(httpcore2.NetworkStream):
    """A connection whose reader looks up now and then."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while True:
            wait = min(look(), _LOOK_S)
            try:
                return self._stream.read(max_bytes, wait)
            except httpcore2.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, min(look(), STALL_S))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Watched(self._stream.start_tls(ssl_context, server_hostname, min(CONNECT_S, look())))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _proxy(url: str) -> httpcore2.Proxy:
    parts = urlsplit(url)
    user = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return httpcore2.Proxy(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(), auth=user)
