"""Stand-ins for the seams of memory/: the machine's readings and the clock."""

from dataclasses import dataclass

from narrowboat.memory.machine import Limit, Room


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeMachine:
    """A box of ``size`` bytes in which others use ``others`` and the supervisor ``supervisor``."""

    size: int
    others: int = 0
    kills: int = 0
    supervisor: int = 20 << 20

    def limit(self) -> Limit:
        return Limit(self.size, "fake")

    def supervisor_used(self) -> int:
        return self.supervisor

    def room(self, own_bytes: int) -> Room:
        return Room(max(0, self.size - self.others), self.others, "fake")

    def surely_free(self) -> int | None:
        return None

    def kernel_kills(self) -> int:
        return self.kills
