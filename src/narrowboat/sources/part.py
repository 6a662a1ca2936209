"""A file that is being fetched, kept in scratch so that a later attempt goes on where this one stops.

Covers: ``source.part`` and the note beside it that says what it is a part of.
Does not cover: what fills it (``http.py``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(slots=True)
class Part:
    """The file so far, and beside it what it is a part of, so that a later attempt can go on."""

    path: Path
    url: str  # hashed: addresses hold secrets
    validator: str | None = None
    total: int | None = None
    type: str | None = None

    @classmethod
    def load(cls, path: Path, url: str) -> Part:
        part = cls(path, hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest())
        try:
            note = json.loads(part._note.read_text())
            if note["url"] == part.url:
                part.validator, part.total, part.type = note["validator"], note["total"], note["type"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return part

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def start(self, validator: str | None, total: int | None, kind: str | None) -> None:
        """A new body: forget the old bytes, then note what the new ones belong to."""
        self.path.unlink(missing_ok=True)
        self.validator, self.total, self.type = validator, total, kind
        self._note.write_text(json.dumps({k: v for k, v in asdict(self).items() if k != "path"}))

    def finish(self, path: Path) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.rename(path)
        self._note.unlink(missing_ok=True)

    def remove(self) -> None:
        for path in (self.path, self._note):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
