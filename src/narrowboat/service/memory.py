"""Memory as the service tells of it: what there is, and what uses it.

Covers: one set of figures for ``/health/memory``, events and metrics.
Does not cover: measuring and reserving (``memory/``, ``runner``).
"""

from __future__ import annotations

from narrowboat.disk import free_bytes
from narrowboat.runner.report import enforcement
from narrowboat.runner.runner import Runner
from narrowboat.service.forms import Forms
from narrowboat.values import Json


class Memory:
    """Tells how things are now."""

    def __init__(self, runner: Runner, forms: Forms) -> None:
        self._runner = runner
        self._forms = forms
        self._tiers: list[dict[str, Json]] | None = None

    def told(self) -> dict[str, Json]:
        """What there is of memory, and what uses it."""
        status = self._runner.status()
        memory, space = status.memory, self._runner.keeper.space
        known = {"queued": 0, "running": 0, **status.counts}
        return {
            "status": _health(status.used, memory.limit.bytes, status.pressure),
            "limit_bytes": memory.limit.bytes,
            "limit_source": memory.limit.source,
            "budget_bytes": memory.budget,
            "reserved_bytes": memory.reserved,
            "used_bytes": status.used,
            "peak_used_bytes": status.peak_used,
            "own_bytes": memory.own,
            "idle_bytes": memory.idle,
            "cores": memory.cores,
            "cores_reserved": memory.cores_reserved,
            "waiting": memory.waiting,
            "pressure": status.pressure,
            "guard": self._guard(),
            "jobs": {"queued": known["queued"], "running": known["running"]},
            "scratch": {
                "in_memory": space.in_memory,
                "free_bytes": free_bytes(self._runner.home),
                "promised_bytes": space.promised(),
                "uploads": self._forms.coming,
            },
        }

    def _guard(self) -> list[dict[str, Json]]:
        if self._tiers is None:
            self._tiers = [
                {"name": tier.name, "in_force": tier.in_force, "detail": tier.detail}
                for tier in enforcement(self._runner)
            ]
        return self._tiers


def _health(used: int, limit: int, pressure: str | None) -> str:
    """Three words that old clients know. Reservations keep use below the limit: neither is a reason to send less."""
    if pressure is not None:
        return "critical"
    return "warning" if used > 0.9 * limit else "healthy"
