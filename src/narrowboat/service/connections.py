"""Connections that cost a bounded amount of memory and time, whoever is at the other end.

Covers: how many there are, how long a request's head may take, how long somebody may not read what is sent.
Does not cover: bodies (``operations``, ``uploads``), requests (``door``).

A connection costs about 20 KiB, and up to 64 KiB each way while somebody is slow (uvicorn's high-water marks).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Connections at the same time; more are closed as they come.
MOST = 512
#: Seconds in which the head of a request has to come, from the first byte or the opening of the connection on.
HEAD_S = 15.0
#: Seconds for which somebody may not read what is sent to them.
STALL_S = 60.0


class PatientProtocol(H11Protocol):
    """uvicorn's, with an end to patience."""

    _head: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
            return
        self._head = self.loop.call_later(HEAD_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Bytes of a head or a body."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._head = _cancelled(self._head)
        elif self._head is None:  # a next head, or what comes after an early answer
            self._head = self.loop.call_later(HEAD_S, self._give_up)

    def on_response_complete(self) -> None:
        """The next head has its own time."""
        self._head = _cancelled(self._head)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Somebody does not read."""
        super().pause_writing()
        self._stall = self._stall or self.loop.call_later(STALL_S, self._give_up)

    def resume_writing(self) -> None:
        """They read again."""
        self._stall = _cancelled(self._stall)
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of it."""
        self._head, self._stall = _cancelled(self._head), _cancelled(self._stall)
        super().connection_lost(exc)

    def _give_up(self) -> None:
        self._head = self._stall = None
        self.transport.abort()  # close() would wait for them to read


def _cancelled(timer: asyncio.TimerHandle | None) -> Any:
    if timer is not None:
        timer.cancel()
    return None
