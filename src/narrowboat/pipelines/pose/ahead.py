"""Reading in a thread of its own, a little ahead of who works on what is read. Loads in workers only.

Covers: an iterator that is advanced elsewhere, its errors, and ending it early.
Does not cover: what is read.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

_T = TypeVar("_T")
_END = object()


def ahead(source: Iterator[_T], depth: int = 2) -> Generator[_T, None, None]:
    """What ``source`` gives, in its order, with up to ``depth`` of it waiting.

    What was given stays good as long as it is held. Closing stops the thread and closes the source.
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()

    def put(value: object) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(value, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        end: object = _END
        try:
            for value in source:
                if not put(value):
                    break
        except BaseException as error:
            end = _Failed(error)
        finally:
            close = getattr(source, "close", None)
            if close is not None:
                close()
        put(end)

    thread = threading.Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    try:
        while (value := waiting.get()) is not _END:
            if isinstance(value, _Failed):
                raise value.error
            yield value  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


class _Failed:
    def __init__(self, error: BaseException) -> None:
        self.error = error
