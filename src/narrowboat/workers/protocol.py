"""The frames between the supervisor and a worker.

Covers: JSON objects behind a four-byte length (big-endian) on a socket of their own, so that whatever a library
prints on stdout or stderr can't break them.
Does not cover: what the frames mean to a step (``child``) or to a job (``runner/``).

To a worker: ``run`` (a Call), ``cores``, ``answer`` (to what was asked: an error or none), ``stop``, ``exit``.
From it: ``ready``, ``beat`` (while an attempt runs), ``item``, ``progress``, ``log``, ``room`` and ``remote_file``
(asked for: they wait for the answer), ``done``, ``stopped``, ``error``.

Where many calls share a worker, each has a number, and the frames that concern it carry it as ``call``.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import asdict, dataclass, field
from typing import Any

from narrowboat.values import Json

#: The largest frame in bytes. An item is small; what is larger belongs in a part file in scratch.
MAX_FRAME = 4 << 20
HEAD = struct.Struct(">I")


class FrameTooLarge(ValueError):
    """A frame passed :data:`MAX_FRAME`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt of a step, as it is sent to a worker.

    Attributes:
        function: ``package.module:qualified.name``; for the module ``__main__``, ``main_path`` is its file.
        input: the step's JSON input.
        cursor: of the last committed item; None at the first start.
        sequence: number of the next item, from 0.
        scratch: the job's folder.
        cores, most_cores: see ``context.cores``.
        heartbeat: seconds without a sign of life after which the worker counts as hung.
        time_limit: seconds that the attempt may take; None for any number.
        call: the number of one of many calls at once; None for the only one.
        allowed_networks: see ``context.allowed_networks``.
    """

    function: str
    input: Json
    scratch: str
    cursor: Json = None
    sequence: int = 0
    cores: int = 1
    most_cores: int = 1
    heartbeat: float = 60.0
    time_limit: float | None = None
    main_path: str | None = None
    path: list[str] = field(default_factory=list)
    call: int | None = None
    allowed_networks: list[str] | None = None

    def frame(self) -> dict[str, Any]:
        """The call as a frame."""
        return {"op": "run", **asdict(self)}


def encode(frame: dict[str, Any]) -> bytes:
    """A frame as bytes.

    Raises:
        FrameTooLarge: it passes :data:`MAX_FRAME`.
        TypeError, ValueError: it holds a value that is not JSON (NaN included: JSON has none).
    """
    # ASCII: a file name that is not UTF-8 (half a surrogate pair in Python) goes through as it is
    body = json.dumps(frame, separators=(",", ":"), allow_nan=False).encode()
    if len(body) > MAX_FRAME:
        raise FrameTooLarge(f"{len(body)} bytes")
    return HEAD.pack(len(body)) + body


def send(channel: socket.socket, frame: dict[str, Any]) -> None:
    """Send a frame, waiting while the other side is behind. For workers."""
    channel.sendall(encode(frame))


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """The next frame; None when the other side is gone. For workers."""
    head = _exactly(channel, HEAD.size)
    if head is None:
        return None
    body = _exactly(channel, HEAD.unpack(head)[0])
    return None if body is None else json.loads(body)


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    got = bytearray()
    while len(got) < count:
        try:
            part = channel.recv(count - len(got))
        except ConnectionError:
            return None
        if not part:
            return None
        got += part
    return bytes(got)
