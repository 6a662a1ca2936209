"""Files that clients have uploaded, on disk: hashed as they come, never held.

Covers: uploads in chunks at checked offsets, spools for what comes inside a request, states, expiry, removal.
Does not cover: the words of the protocol (``gemini_files``).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fakes.switches import Switches


@dataclass(slots=True)
class Stored:
    """A file, or a part of a question that came with it.

    Attributes:
        name: ``files/…``; empty for a part.
        sha256: in hex.
        path: where its bytes lie; None when they are not kept.
        polls: how often it will still be said to be in processing; None: for ever.
    """

    name: str
    label: str
    mime: str
    size: int
    sha256: str
    path: Path | None
    owner: str | None = None
    created: float = 0.0
    expires: float = 0.0
    polls: int | None = 0
    failed: bool = False

    def public(self) -> dict[str, Any]:
        """What the log and ``/__files`` show."""
        about = {"name": self.name, "label": self.label, "mime": self.mime, "size": self.size, "sha256": self.sha256}
        return {**about, "state": self.state}

    @property
    def state(self) -> str:
        return "PROCESSING" if self.polls != 0 else "FAILED" if self.failed else "ACTIVE"


@dataclass(slots=True)
class Spool:
    """Bytes on their way to disk."""

    path: Path | None
    size: int = 0
    sha: Any = field(default_factory=hashlib.sha256)

    async def take(self, blocks: AsyncIterator[bytes]) -> int:
        """Add a chunk: all of it, or nothing when it is cut on the way. How many bytes it had."""
        before, sha = self.size, self.sha.copy()
        try:
            with self._open() as out:
                async for block in blocks:
                    self.sha.update(block)
                    self.size += len(block)
                    out.write(block)
        except BaseException:
            self.size, self.sha = before, sha
            if self.path is not None:
                with self.path.open("r+b") as out:
                    out.truncate(before)
            raise
        return self.size - before

    def _open(self) -> contextlib.AbstractContextManager[BinaryIO]:
        return contextlib.nullcontext(_Nowhere()) if self.path is None else self.path.open("ab")  # type: ignore[arg-type]

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class _Nowhere:
    def write(self, _: bytes) -> None:
        pass


@dataclass(slots=True)
class Upload:
    """A resumable upload on its way."""

    spool: Spool
    file: Stored
    length: int | None


class Store:
    """All that lies here; ``folder`` is emptied at the start."""

    def __init__(self, folder: Path, switches: Switches) -> None:
        self.folder = folder
        self._switches = switches
        self._ids = itertools.count(1)
        self.files: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.most_files = 0
        self.bytes_taken = 0
        self.clear()

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.files.clear()
        self.uploads.clear()
        self.most_files = self.bytes_taken = 0

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the fakes' clock."""
        return time.time() + self._switches.clock_s

    def spool(self, keep: bool | None = None) -> Spool:
        """A place for bytes that come."""
        keep = self._switches.keep_files if keep is None else keep
        path = self.folder / f"{next(self._ids)}.bin" if keep else None
        if path is not None:
            path.touch()
        return Spool(path)

    def begin(self, file: Stored, length: int | None) -> str:
        """Start an upload; its id. The name is taken from now on."""
        upload_id = f"upload-{next(self._ids)}"
        self.uploads[upload_id] = Upload(self.spool(), file, length)
        return upload_id

    def free_name(self) -> str:
        """A name that nobody has."""
        return f"files/fake{next(self._ids):08d}"

    def finish(self, upload_id: str) -> Stored:
        """The upload is whole: it is a file now."""
        upload = self.uploads.pop(upload_id)
        file, spool = upload.file, upload.spool
        file.size, file.sha256, file.path = spool.size, spool.sha.hexdigest(), spool.path
        file.created, file.expires = self.now, self.now + self._switches.expiry_s
        self.files[file.name] = file
        self.bytes_taken += file.size
        self.most_files = max(self.most_files, len(self.files))
        return file

    def abandon(self, upload_id: str) -> None:
        """Forget an upload that is not wanted any more."""
        if (upload := self.uploads.pop(upload_id, None)) is not None:
            upload.spool.remove()

    def get(self, name: str, owner: str | None) -> Stored | None:
        """The file of that name that this owner may see, if it is still alive."""
        self._expire()
        file = self.files.get(name)
        return file if file is not None and file.owner == owner else None

    def list(self, owner: str | None) -> list[Stored]:
        """All files of an owner, the newest first."""
        self._expire()
        return [file for file in reversed(self.files.values()) if file.owner == owner]

    def remove(self, file: Stored) -> None:
        """Delete a file, or a part."""
        self.files.pop(file.name, None)
        if file.path is not None:
            file.path.unlink(missing_ok=True)

    def part(self, encoded: str, mime: str, label: str = "") -> Stored:
        """What came in base64 inside a question, put on disk.

        Raises:
            ValueError: it is not base64.
        """
        spool = self.spool(keep=True)
        assert spool.path is not None
        with spool.path.open("wb") as out:
            for block in _decoded(encoded):
                out.write(block)
                spool.sha.update(block)
                spool.size += len(block)
        return Stored("", label, mime, spool.size, spool.sha.hexdigest(), spool.path)

    def _expire(self) -> None:
        for file in [file for file in self.files.values() if file.expires <= self.now]:
            self.remove(file)


def _decoded(encoded: str, block: int = 256 << 10) -> Iterator[bytes]:
    """Base64 of either alphabet, with padding or without, as bytes come in the JSON of protocol buffers."""
    encoded = encoded.replace("-", "+").replace("_", "/").rstrip("=")
    encoded += "=" * (-len(encoded) % 4)
    for at in range(0, len(encoded), block):  # a multiple of four
        yield base64.b64decode(encoded[at : at + block], validate=True)
