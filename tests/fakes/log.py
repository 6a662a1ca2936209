"""What the fakes have seen: one entry for each request, without its key.

Covers: entries, the newest ``MOST`` of them; keys as hashes, wherever the client put them.
Does not cover: control requests, which are not logged.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from typing import Any

from fakes.http import Request

MOST = 20_000
#: Characters of a text that are kept.
TEXT = 4_000


def key_of(request: Request) -> tuple[str | None, bool]:
    """The key of a request, and whether its address held it, which proxies and logs write down."""
    if "key" in request.query:
        return request.query["key"], True
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token, False
    return request.headers.get("x-goog-api-key") or None, False


def hashed(key: str | None) -> str | None:
    """What is shown of a key."""
    return None if key is None else hashlib.sha256(key.encode()).hexdigest()[:16]


def cut(text: str) -> str:
    """A text as the log keeps it."""
    return text if len(text) <= TEXT else f"{text[:TEXT]}… ({len(text)} characters)"


class Log:
    """The requests, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[dict[str, Any]] = deque(maxlen=MOST)
        self.count = 0
        self._began = time.monotonic()

    def add(self, request: Request, vendor: str, op: str) -> dict[str, Any]:
        """Write down that a request has come; the entry, to be filled in."""
        key, in_url = key_of(request)
        self.count += 1
        entry = {
            "n": self.count,
            "at_s": round(time.monotonic() - self._began, 3),
            "vendor": vendor,
            "op": op,
            "method": request.method,
            "path": request.path,
            "key": hashed(key),
            "key_in_url": in_url,
            "agent": request.headers.get("user-agent"),
            "status": None,
            "outcome": "at work",
        }
        self.entries.append(entry)
        return entry

    def ended(self, entry: dict[str, Any], outcome: str, status: int | None) -> None:
        """Say how it went: ``answered``, ``refused``, the fault it met, or ``gone`` (the client)."""
        took = time.monotonic() - self._began - entry["at_s"]
        entry.update(outcome=outcome, status=status, took_s=round(took, 3))
