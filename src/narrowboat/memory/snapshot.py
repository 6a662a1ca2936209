"""The budget's figures at one moment.

Covers: a frozen value for displays, reports and messages.
Does not cover: keeping them (``budget``).
"""

from __future__ import annotations

from dataclasses import dataclass

from narrowboat.memory.machine import Limit


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The budget at one moment; all sizes in bytes.

    Attributes:
        idle: the part of ``reserved`` that idle workers hold, and give back when it is needed.
        paused: why nothing more is admitted for now.
    """

    limit: Limit
    budget: int
    reserved: int
    others: int
    own: int
    cores: int
    cores_reserved: int
    waiting: int
    idle: int = 0
    paused: str | None = None

    @property
    def free(self) -> int:
        """What may still be reserved; below zero when others have grown since."""
        return self.budget - self.reserved
