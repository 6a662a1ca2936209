"""Jobs that found no room in scratch, and wait for what other jobs of the run will give back.

Covers: who waits, whether waiting helps, whose turn it is, who gives up what it holds when all wait for each other.
Does not cover: giving room (``space``), running the job again (``scheduler``).

A job that waits runs no step, so it holds no memory and keeps nobody from ending. What it has in scratch stays, and no
further job is started meanwhile, so that none takes the room before it. Where all that hold any wait, the one that came
last gives up its files: it fetches them again, as after a retry, and no item that is committed is computed anew. So the
first of them is alone with the disk in the end, and fails only if that is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from narrowboat.errors import DiskFull, Interrupted
from narrowboat.runner.space import Space
from narrowboat.runner.stop import Stop

_LOOK_S = 0.2  # seconds between two looks
#: Tries in a row that a job has without waiting. Where a file system tells of room that it does not give, and no other
#: job is there that may have taken it, that is all; else it waits for longer each time, up to so many looks.
_AT_ONCE, _MOST_LOOKS = 5, 50


class Shortage:
    """The jobs of a run that wait for room in scratch. One event loop, no locks.

    Args:
        root: the folder of scratch, with a folder for each job.
        running: the ids of the jobs that run.
        give_up: empties the scratch of a job.
        stop: that the run is to end.
    """

    def __init__(
        self,
        root: Path,
        space: Space,
        *,
        running: Callable[[], Collection[str]],
        give_up: Callable[[str], None],
        stop: Stop,
    ) -> None:
        self._root = root
        self._space = space
        self._running = running
        self._give_up = give_up
        self._stop = stop
        self._places: dict[str, int] = {}  # in the row; kept until the job ends
        self._next = 0
        self._lacks: dict[str, int] = {}  # bytes, of those that wait now
        self._at_once: dict[str, int] = {}  # tries in a row that followed without waiting

    @property
    def there(self) -> bool:
        """Somebody waits: no further job is to start."""
        return bool(self._lacks)

    def forget(self, job_id: str) -> None:
        """The job has ended."""
        self._places.pop(job_id, None)
        self._at_once.pop(job_id, None)

    async def over(self, job_id: str, error: DiskFull, waits: Callable[[], None]) -> bool:
        """Wait until it makes sense to try again; False when nobody will give back what is missing.

        Args:
            error: what the job was told.
            waits: called when it begins to wait.

        Raises:
            Interrupted: the run is being stopped.
        """
        lacks = error.facts.get("needed_bytes")
        if lacks is None or not Path(error.facts["path"]).is_relative_to(self._root):
            return False
        self._space.settle(self._root / job_id)
        self._lacks[job_id] = lacks
        if job_id not in self._places:
            self._places[job_id] = self._next = self._next + 1
        try:
            if self._has_room(job_id):  # it has come by now, or is only told of
                return await self._may_try_at_once(job_id)
            if not await self._wait(job_id, waits):
                return False
            self._at_once.pop(job_id, None)
            return True
        finally:
            del self._lacks[job_id]

    async def _may_try_at_once(self, job_id: str) -> bool:
        self._at_once[job_id] = tries = self._at_once.get(job_id, 0) + 1
        if tries > _AT_ONCE and len(self._running()) == 1:
            return False
        for _ in range(min(tries, _MOST_LOOKS) if tries > _AT_ONCE else 0):  # others take it each time: they will end
            await self._nap()
        return True

    async def _wait(self, job_id: str, waits: Callable[[], None]) -> bool:
        told = False
        while not self._has_room(job_id):
            if await self._no_hope(job_id):
                return False
            if not told:
                waits()
                told = True
            if others := self._in_whose_favour_it_gives_up(job_id):
                self._give_up(job_id)
                await self._until(lambda: others.isdisjoint(self._running()))
                return True
            await self._nap()
        return True

    def _has_room(self, job_id: str) -> bool:
        """There is room for it, beside what those want who came before it."""
        place = self._places[job_id]
        before = [lacks for other, lacks in self._lacks.items() if self._places[other] <= place]
        return sum(before) <= self._space.free()

    async def _no_hope(self, job_id: str) -> bool:
        """It is hopeless at two looks: what others hold is read after what is free, and may become so in between."""
        if not self._is_hopeless(job_id):
            return False
        await self._nap()
        return self._is_hopeless(job_id) and not self._has_room(job_id)

    def _is_hopeless(self, job_id: str) -> bool:
        """Nobody came before it, and others hold nothing, or too little."""
        if any(self._places[other] < self._places[job_id] for other in self._lacks):
            return False
        held = sum(self._held(other) for other in self._running() if other != job_id)
        return held == 0 or self._lacks[job_id] > self._space.most() + held

    def _in_whose_favour_it_gives_up(self, job_id: str) -> set[str]:
        """Those who came before it, when all who hold any wait and it is the last of these; else nobody."""
        holding = {other for other in self._running() if self._held(other)}
        if job_id not in holding or not holding <= self._lacks.keys():
            return set()
        place = self._places[job_id]
        if any(self._places[other] > place for other in holding):
            return set()
        return {other for other in self._lacks if self._places[other] < place}

    def _held(self, job_id: str) -> int:
        return self._space.held(self._root / job_id)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true():
            await self._nap()

    async def _nap(self) -> None:
        await self._stop.sleep(_LOOK_S)
        if self._stop.asked:
            raise Interrupted("the run was stopped; committed work is kept")
