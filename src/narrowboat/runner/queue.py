"""The jobs that wait to start, in the order in which they came, and which of them a cap holds back.

Covers: the next job to start. Those that go through the same lanes stand in one line, so that finding it takes as long
with ten thousand jobs behind a cap as with ten.
Does not cover: whether there is room (``scheduler``, ``memory/``), who is in a lane (``lanes``).
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from narrowboat.runner.lanes import Lane, Lanes


@dataclass(frozen=True, slots=True)
class Way:
    """The lanes that a job goes through.

    Attributes:
        through: those that it is in from its start to its end.
        later: those that a step of it may wait for on the way. It starts when nobody waits there: one that waits is
            enough to go on without a gap, and more would be started only to wait.
    """

    through: tuple[Lane, ...] = ()
    later: tuple[Lane, ...] = ()


class Queue:
    """Ids of jobs, first come first served among those that no cap holds back."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._lines: dict[Way, deque[tuple[int, str]]] = {}
        self._came = 0

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, job_id: str, way: Way) -> None:
        """A job that waits to start."""
        self._came += 1
        self._lines.setdefault(self._limited(way), deque()).append((self._came, job_id))

    def remove(self, job_id: str) -> None:
        """It waits no more; nothing when it did not."""
        for way, line in list(self._lines.items()):
            with contextlib.suppress(StopIteration):
                line.remove(next(entry for entry in line if entry[1] == job_id))
                self._drop_if_empty(way)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._lines.clear()

    def next(self) -> str | None:
        """The job to start next; None when there is none, or caps hold back all of them."""
        way = self._first()
        return None if way is None else self._lines[way][0][1]

    def take(self) -> str | None:
        """The job of :meth:`next`, out of the queue and in its lanes; :meth:`Lanes.leave` them when it has ended."""
        way = self._first()
        if way is None:
            return None
        _, job_id = self._lines[way].popleft()
        self._drop_if_empty(way)
        for lane in way.through:
            self._lanes.take(*lane)
        return job_id

    def _first(self) -> Way | None:
        open_ways = (way for way in self._lines if self._open(way))
        return min(open_ways, key=lambda way: self._lines[way][0][0], default=None)

    def _open(self, way: Way) -> bool:
        return all(self._lanes.has_room(*lane) for lane in way.through) and not any(
            self._lanes.waiting(*lane) for lane in way.later
        )

    def _limited(self, way: Way) -> Way:
        return Way(self._capped(way.through), self._capped(way.later))

    def _capped(self, lanes: Iterable[Lane]) -> tuple[Lane, ...]:
        return tuple(lane for lane in lanes if self._lanes.limit(lane[0]) is not None)

    def _drop_if_empty(self, way: Way) -> None:
        if not self._lines[way]:
            del self._lines[way]
