"""Uploads: bodies that were sent and became files of the home, and lie there as long as a job needs them.

Covers: taking one in, with room on the disk; which are still needed; removing the others, also after a crash.
Does not cover: the body (``sources/uploads``), files of a job (``scratch``).

An upload is needed while a job of it is queued or runs, and after one that failed, so that it can be retried; not when
the upload itself was at fault. It goes when its job is done or cancelled, and with `clean`. Nothing but the journal's
jobs says which are needed, so that none is forgotten by a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import uuid
from collections.abc import AsyncIterable, Callable
from pathlib import Path

from narrowboat.journal.journal import Journal
from narrowboat.runner.space import Space
from narrowboat.sizes import MIB
from narrowboat.sources.uploads import Upload

#: Bytes that room is asked for at a time where the sender does not say how much comes.
ROOM = 8 * MIB


class Uploads:
    """The uploads of one home.

    Args:
        root: their folder.
    """

    def __init__(self, root: Path, journal: Journal, space: Space) -> None:
        self.root = root
        self._journal = journal
        self._space = space

    async def receive(
        self,
        pieces: AsyncIterable[bytes],
        name: str,
        *,
        shown: str,
        max_bytes: int | None,
        declared: int | None,
        tell: Callable[[int], None],
    ) -> Path:
        """The file that a body became. What did not come whole leaves nothing.

        Args:
            tell: called with the bytes that have come.

        Raises:
            TooLarge, SourceError, FetchError, DiskFull, OutputError: see ``sources/uploads``.
        """
        folder = self.root / uuid.uuid4().hex[:12]
        upload: Upload | None = None
        try:
            upload = Upload(folder, name, shown=shown, max_bytes=max_bytes, declared=declared)
            room = 0
            async for piece in pieces:
                if upload.size + len(piece) > room:
                    room = max(upload.size + len(piece) + ROOM, declared or 0)
                    await self._space.make_room(upload.path, room, shown)
                await asyncio.to_thread(upload.add, piece)
                tell(upload.size)
            return await asyncio.to_thread(upload.finish)
        except BaseException:
            self._drop(folder)
            raise
        finally:
            if upload is not None:
                upload.close()

    def is_one(self, source: str) -> bool:
        """Whether a source is, or was, an upload of this home."""
        return Path(source).is_relative_to(self.root)

    async def release(self, source: str) -> None:
        """Remove the upload that ``source`` is when no job needs it; nothing when it is none."""
        if self.is_one(source) and source not in await self._journal.needed_sources(self.root):
            self._drop(Path(source).parent)

    async def strays(self) -> list[Path]:
        """The folders of uploads that no job needs."""
        try:
            folders = list(self.root.iterdir())
        except OSError:
            return []
        needed = {Path(source).parent for source in await self._journal.needed_sources(self.root)}
        return [folder for folder in folders if folder not in needed]

    def _drop(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._space.forget(folder)
        with contextlib.suppress(OSError):
            self.root.rmdir()
