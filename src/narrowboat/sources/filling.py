"""Filling a part with what comes: never more than allowed, never more than the disk has room for.

Covers: the cap, lengths that are not kept, room on the disk, telling how far it is, what stays of it
when it fails. Loads in workers only.
Does not cover: where the pieces come from (``http``, ``stores``), the part (``part``).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from narrowboat import context, disk
from narrowboat.errors import DiskFull, FetchError, SourceError, TooLarge
from narrowboat.sources.client import Passing
from narrowboat.sources.limits import refuse_size
from narrowboat.sources.pages import refuse_page
from narrowboat.sources.part import Part

PIECE = 1 << 16  # bytes
ROOM = 8 << 20  # bytes between two looks at the disk, and of what comes without a declared length
_TELL_S = 0.2  # seconds between two times that progress is told


class Filling:
    """Fills a part.

    Args:
        shown: what it comes from, as it may be shown.
        max_bytes: the cap; None for none.
    """

    def __init__(self, part: Part, shown: str, max_bytes: int | None) -> None:
        self.part, self._shown, self._max = part, shown, max_bytes
        self._told = 0.0
        self._room = 0  # bytes up to which the disk was found to have room

    def fill(self, read: Callable[[int], bytes]) -> None:
        """Append what ``read`` gives, asked with the bytes that are there, until it gives nothing.

        Raises:
            TooLarge: above the cap, by what ``part.total`` says or by what came.
            DiskFull: there is no room.
            SourceError: more came than was declared.
            Passing: less came than was declared.
        """
        done, total = self.part.size(), self.part.total
        refuse_size(self._shown, "is", total or 0, self._max)
        self._make_room(done)
        with self.part.path.open("ab") as file:
            while piece := read(done):
                done += len(piece)
                if total is not None and done > total:
                    raise SourceError(
                        f"{self._shown} sent more than the {total} bytes it declared",
                        hint="the server or something in between is at fault",
                        declared_bytes=total,
                    )
                refuse_size(self._shown, "sent", done, self._max)
                if done > self._room:
                    self._make_room(done)
                file.write(piece)
                file.flush()  # what came is there, whoever is killed next
                self._tell(done, total)
        if total is not None and done < total:
            raise Passing(f"{self._shown} was cut after {done} of {total} bytes", bytes=done, declared_bytes=total)
        self._tell(done, total, last=True)

    def _make_room(self, done: int) -> None:
        """Before the first byte for all that is declared, and again on the way: others may fill the disk meanwhile."""
        self._room = done + ROOM
        if self.part.total is not None:
            context.make_room(self.part.path, self.part.total, self._shown)
        else:
            context.make_room(self.part.path, self._room, f"more of {self._shown}")

    def _tell(self, done: int, total: int | None, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._told >= _TELL_S:
            self._told = now
            context.progress(done / total if total else 0.0, "fetch", bytes_done=done, bytes_total=total)


@contextlib.contextmanager
def kept(part: Part) -> Iterator[None]:
    """What fails for good in here leaves nothing of the part; what may pass leaves it to the next attempt.

    Raises:
        DiskFull, FetchError: what the system said when the part could not be written.
    """
    try:
        yield
    except (TooLarge, DiskFull, SourceError):
        part.remove()
        raise
    except OSError as error:
        part.remove()
        if error.errno in disk.FULL:
            raise disk.full(part.path.parent, "what is fetched") from None
        raise FetchError(f"{part.path} can't be written: {error.strerror or error}", path=str(part.path)) from None


def finished(part: Part, suffix: str, shown: str) -> Path:
    """The part, complete, as the file ``source`` with its suffix.

    Raises:
        SourceError: it is no file that anybody wants: see ``pages``.
    """
    refuse_page(part.path, part.size(), part.type, suffix, shown)
    path = part.path.with_name(f"source{suffix}")
    part.finish(path)
    return path
