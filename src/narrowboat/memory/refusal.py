"""The error that says why a demand can never be admitted, with the numbers.

Covers: the words, and the limit that would do.
Does not cover: deciding that it can't be admitted (``budget``).
"""

from __future__ import annotations

from narrowboat.errors import CannotFit
from narrowboat.memory.machine import Limit, Room
from narrowboat.sizes import MIB, format_size

#: Bytes of room for a supervisor that grows as it works: without it, the limit that is told would not do by then.
GROWS = 12 * MIB


def refusal(
    what: str, demand: int, *, budget: int, own: int, files: int, headroom: int, limit: Limit, room: Room
) -> CannotFit:
    """The error for ``what``, which asked for ``demand`` bytes of ``budget``.

    Args:
        own: bytes of the supervisor and the fork server.
        files: bytes of our files that lie in memory.
        headroom: bytes kept free.
        room: what the whole tree may use; what others use counts unless only the machine bounds us.
    """
    others = room.others_bytes if room.bound_by != "machine" else 0
    needed = -(-(demand + own + files + headroom + others + GROWS) // MIB) * MIB
    taken = f"{format_size(own)} for the supervisor, {format_size(headroom)} headroom"
    if files:
        taken += f", {format_size(files)} for files that lie in memory"
    if others:
        taken += f", {format_size(others)} that others use"
    return CannotFit(
        f"{what} needs {format_size(demand)}, more than the whole budget of {format_size(budget)}:"
        f" the limit of {format_size(limit.bytes)} ({limit.source}) less {taken}",
        hint=f"a limit of {format_size(needed)} would do",
        demand_bytes=demand,
        budget_bytes=budget,
        limit_bytes=limit.bytes,
        needed_limit_bytes=needed,
    )
