"""Keys that let somebody in: made, listed, revoked, recognised.

Covers: ``HOME/keys.json``, which only its owner can read and which has hashes alone. It is read again when it changes,
so that a key that is made or revoked beside a running service counts at once. Keys of the environment count too.
Does not cover: where a key stands in a request (``door``). Keys are 32 random bytes: SHA-256 without salt or stretching
is enough, since nothing can be guessed.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from narrowboat.errors import NotFound, UsageError

FILE = "keys.json"
PREFIX = "nb_"
_SHORTEST = 16  # characters
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept; ``created`` in seconds since the epoch."""

    name: str
    sha256: str
    created: float


class Keys:
    """The keys of a home.

    Args:
        given: keys that the environment has, beside those of the home.

    Raises:
        UsageError: one of those is too short to be safe.
    """

    def __init__(self, home: Path, given: Sequence[str] = ()) -> None:
        if any(len(key) < _SHORTEST for key in given):
            raise UsageError(f"a key of the environment has less than {_SHORTEST} characters", hint="make a longer one")
        self._given = [Key("environment", _hash(key), 0.0) for key in given]
        self._path = home / FILE
        self._read_at: tuple[int, int] | None = None
        self._keys: list[Key] = []

    def all(self) -> list[Key]:
        """The keys, oldest first.

        Raises:
            UsageError: the file can't be read or makes no sense; nobody is let in by it.
        """
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_ino) != self._read_at:
                self._keys = [Key(**entry) for entry in json.loads(self._path.read_text("utf-8"))["keys"]]
                self._read_at = (found.st_mtime_ns, found.st_ino)
        except FileNotFoundError:
            self._keys, self._read_at = [], None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UsageError(f"{self._path} can't be read: {error}", hint="move it away and make new keys") from error
        return self._keys

    @property
    def any(self) -> bool:
        """Whether there is any key."""
        return bool(self._given or self.all())

    def owner(self, text: str) -> str | None:
        """The name of the key ``text``; None when there is no such key. Takes as long for a wrong one."""
        given, name = _hash(text), None
        for key in [*self._given, *self.all()]:
            if hmac.compare_digest(key.sha256, given):
                name = key.name
        return name

    def add(self, name: str) -> str:
        """Make a key; it is told this once and kept nowhere.

        Raises:
            UsageError: the name makes no sense, or is taken.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name for a key", hint="use letters, digits, '.', '_' and '-', at most 40")
        with self._changing():
            if any(key.name == name for key in self.all()):
                raise UsageError(f"there is a key {name!r} already", hint="revoke it first, or choose another name")
            made = PREFIX + secrets.token_urlsafe(32)
            self._write([*self.all(), Key(name, _hash(made), round(time.time(), 3))])
        return made

    def revoke(self, name: str) -> None:
        """Make a key useless.

        Raises:
            NotFound: there is none of that name.
        """
        with self._changing():
            kept = [key for key in self.all() if key.name != name]
            if len(kept) == len(self.all()):
                raise NotFound(f"there is no key {name!r}", hint="`narrowboat keys` lists them")
            self._write(kept)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_name(f".{FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, keys: list[Key]) -> None:
        part = self._path.with_name(f".{FILE}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"version": 1, "keys": [asdict(key) for key in keys]}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
