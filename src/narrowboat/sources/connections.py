"""The connections of a request: how they are made, and how long they may keep somebody waiting.

Covers: connecting through the address guard, redirects included; answers that drip; bodies read to the end of the
connection, so that one that is longer than declared shows.
Does not cover: requests (``client``), which addresses are let through (``address_guard``). Loads in workers only.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from narrowboat.sources.address_guard import AddressGuard

MOST_REDIRECTS = 10


@dataclass(slots=True)
class Pace:
    """How long an answer may keep us waiting; changed on the way.

    Attributes:
        stall_s: seconds without a byte.
        until: when all has to be there, in the time of ``time.monotonic``: an answer that drips never stalls.
    """

    stall_s: float
    until: float

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What is read in here has to be there in so many seconds."""
        until, self.until = self.until, min(self.until, time.monotonic() + seconds)
        try:
            yield
        finally:
            self.until = until


def pool_manager(
    guard: AddressGuard | None, pace: Pace, connect_s: float, secret: Iterable[str] = ()
) -> urllib3.PoolManager:
    """A manager for one request and its redirects. Headers named in ``secret`` don't follow to another host."""
    kept_back = {*urllib3.Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT, *secret}
    manager = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=connect_s, read=pace.stall_s),
        retries=urllib3.Retry(
            total=None,
            connect=0,
            read=0,
            other=0,
            status=0,
            redirect=MOST_REDIRECTS,
            remove_headers_on_redirect=kept_back,
        ),
    )
    manager.pool_classes_by_scheme = {
        "http": partial(_Pool, guard, pace),  # type: ignore[dict-item]
        "https": partial(_SecurePool, guard, pace),  # type: ignore[dict-item]
    }
    return manager


class _Paced(io.RawIOBase):
    """What comes from a socket, each read within the pace."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock, self._pace = sock, pace
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._pace.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(min(self._pace.stall_s, left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that is read at a pace, up to the end of the connection: a body that is longer than its declared
    length shows. The library's own one stops at the length, whatever else is sent."""

    def __init__(self, pace: Pace, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_Paced(sock, pace))

    def begin(self) -> None:
        super().begin()
        if not self.chunked and self.length:
            self.length = None
        # A body's socket is kept at hand; after any other answer the next request connects anew.
        self.will_close = self.status not in (200, 206)


class _Guarded:
    """What both kinds of connections have: one way to connect, one way to read."""

    _dns_host: str
    host: str
    port: int
    timeout: Any
    response_class: Any

    def __init__(self, guard: AddressGuard | None, pace: Pace, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._guard = guard
        self.response_class = partial(_Answer, pace)

    def _new_conn(self) -> socket.socket:
        if self._guard is None:
            made: socket.socket = super()._new_conn()  # type: ignore[misc]
            return made
        try:
            return self._guard.connect(self._dns_host, self.port, self.timeout)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error  # type: ignore[arg-type]
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no answer from {self.host}") from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error  # type: ignore[arg-type]


class _Connection(_Guarded, HTTPConnection):
    pass


class _SecureConnection(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    def __init__(self, guard: AddressGuard | None, pace: Pace, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ConnectionCls = partial(_Connection, guard, pace)  # type: ignore[assignment]


class _SecurePool(HTTPSConnectionPool):
    def __init__(self, guard: AddressGuard | None, pace: Pace, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ConnectionCls = partial(_SecureConnection, guard, pace)  # type: ignore[assignment]
