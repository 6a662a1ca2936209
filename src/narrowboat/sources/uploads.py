"""A body that comes in pieces, from a pipe or over a connection, and becomes a file.

Covers: the cap, lengths that are not kept, a body that is empty; nothing is left of one that did not come whole.
Does not cover: room on the disk, where uploads lie and for how long (``runner/uploads``). Light: the supervisor
imports it. It looks at nothing of what comes.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from narrowboat import disk
from narrowboat.errors import FetchError, NarrowboatError, OutputError, SourceError
from narrowboat.sources.limits import refuse_size
from narrowboat.sources.locate import safe_name


class Upload:
    """One body on its way to ``folder / name``.

    Args:
        folder: of its own; made here.
        name: as the sender calls it; made harmless.
        shown: what messages call it: ``standard input``, ``the upload``.
        max_bytes: the cap; None for none.
        declared: bytes that the sender says will come; None when it does not say.

    Raises:
        TooLarge: it is declared above the cap.
        DiskFull, OutputError: the file can't be made.
    """

    def __init__(
        self, folder: Path, name: str, *, shown: str, max_bytes: int | None = None, declared: int | None = None
    ) -> None:
        refuse_size(shown, "is", declared or 0, max_bytes)
        self.path = folder / safe_name(name)
        self.size = 0
        self._shown, self._max, self._declared = shown, max_bytes, declared
        try:
            folder.mkdir(mode=0o700, parents=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(error) from error

    def add(self, piece: bytes) -> None:
        """The next piece. Blocks while it is written.

        Raises:
            TooLarge: it is above the cap now.
            SourceError: more came than was declared.
            DiskFull, OutputError: it can't be written.
        """
        size = self.size + len(piece)
        refuse_size(self._shown, "sent", size, self._max)
        if self._declared is not None and size > self._declared:
            raise SourceError(f"{self._shown} sent more than the {self._declared} bytes it declared")
        left = memoryview(piece)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            raise self._failed(error) from error
        self.size = size

    def finish(self) -> Path:
        """The file, once all has come: on the disk when this returns.

        Raises:
            SourceError: nothing came.
            FetchError: less came than was declared.
            DiskFull, OutputError: it can't be written.
        """
        if self._declared is not None and self.size < self._declared:
            raise FetchError(f"{self._shown} was cut after {self.size} of {self._declared} bytes", hint="send it again")
        if self.size == 0:
            raise SourceError(f"{self._shown} is empty (0 bytes)", reason="empty")
        try:
            os.fsync(self._file)
        except OSError as error:
            raise self._failed(error) from error
        self.close()
        return self.path

    def close(self) -> None:
        """Let go of the file. Harmless when done twice."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
        self._file = -1

    def _failed(self, error: OSError) -> NarrowboatError:
        if error.errno in disk.FULL:
            return disk.full(self.path, f"what {self._shown} sends")
        return OutputError(f"{self.path} can't be written: {error.strerror}", path=str(self.path))
