"""What goes on beside the main work, in threads: reading a little ahead of it, writing a little behind. Loads in
workers only.

Covers: an iterator that is advanced elsewhere, calls that are made elsewhere in their order; errors, ending early.
Does not cover: what is read and called. Both only help where it leaves Python's lock, as decoding and encoding do.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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


class Behind:
    """Calls in a thread of its own, one after the other, with up to ``depth`` of them waiting."""

    def __init__(self, depth: int = 2) -> None:
        self._pool = ThreadPoolExecutor(1, "write behind")
        self._waiting: deque[Future[None]] = deque()
        self._depth = depth

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called later; raises what an earlier one raised."""
        while len(self._waiting) >= self._depth:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(function))

    def finish(self) -> None:
        """Wait for all of them; raises what one raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """Make no more calls."""
        self._pool.shutdown(cancel_futures=True)
