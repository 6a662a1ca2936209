"""Figures for Prometheus.

Covers: what is counted as it happens, and what is read when somebody asks.
Does not cover: what the figures mean (docs/service.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

MEDIA_TYPE = "text/plain; version=1.0.0; charset=utf-8"
_SECONDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
_SIZES = ("limit", "budget", "reserved", "used", "peak_used", "own", "idle")


class Metrics:
    """The figures of one service.

    Args:
        memory: what there is of memory now.
    """

    def __init__(self, memory: Callable[[], dict[str, Any]]) -> None:
        self._memory = memory
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._jobs = Counter(
            "narrowboat_jobs_ended", "Jobs that have ended.", ("pipeline", "state"), registry=self._registry
        )
        self._requests = Counter(
            "narrowboat_requests", "Requests.", ("method", "operation", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "narrowboat_request_seconds",
            "Until an answer begins.",
            ("operation",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def ended(self, pipeline: str, state: str) -> None:
        """A job has ended."""
        self._jobs.labels(pipeline, state).inc()

    def asked(self, method: str, operation: str, status: int, seconds: float) -> None:
        """A request was answered; ``operation`` is the path with its parameters unfilled."""
        self._requests.labels(method, operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """What is read when somebody asks."""
        found = self._memory()
        for name in _SIZES:
            yield GaugeMetricFamily(f"narrowboat_{name}_bytes", "See docs/memory.md.", found[f"{name}_bytes"])
        yield GaugeMetricFamily("narrowboat_waiting", "Attempts that wait for memory or a core.", found["waiting"])
        yield GaugeMetricFamily("narrowboat_uploads", "Uploads that come in.", found["scratch"]["uploads"])
        jobs = GaugeMetricFamily("narrowboat_jobs", "Jobs that have not ended.", labels=["state"])
        for state, number in found["jobs"].items():
            jobs.add_metric([state], number)
        yield jobs

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self._registry)
