"""Frozen values that cross the borders between packages.

Covers: what a step asks for (:class:`Demand`), what it yields (:class:`Item`), what the guard can use, what users have
capped (:class:`Caps`), and the JSON types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Json: TypeAlias = Any  # str | int | float | bool | None | list[Json] | dict[str, Json]
Facts: TypeAlias = Mapping[str, Json]  # what the probe found out about a source

#: What the guard can use, strongest first; ``--guard`` names them.
GUARD_MEANS = ("cgroup", "polling", "oom-score", "rlimit")


@dataclass(frozen=True, slots=True)
class Demand:
    """What one attempt of a step asks for.

    Attributes:
        bytes: memory that can't be reclaimed (anonymous + shared + tmpfs), with one core.
        cores: cores that it keeps busy; 0 for one that waits on others (a remote call, a download).
        most_cores: how many it can use when they are free. It is asked to give those beyond ``cores``
            back when somebody waits for them.
        bytes_per_core: memory that each core beyond ``cores`` adds.
    """

    bytes: int
    cores: int = 1
    most_cores: int = 1
    bytes_per_core: int = 0

    def with_bytes(self, size: int) -> Demand:
        """The same, with another size of memory."""
        return replace(self, bytes=size)


@dataclass(frozen=True, slots=True)
class Client:
    """The client of a remote engine. All calls of one client share one worker, each in a thread of its own.

    Attributes:
        name: of the shared worker, such as ``gemini``; calls that name the same share it.
        bytes: what loading the client adds to what a worker begins with; a step's own demand is what one call adds.
        at_once: calls at the same time, at most.
        key: tells apart whose quota it is (a hash, never the key itself); calls of one client and key wait together
            when the server asks for it.
    """

    name: str
    bytes: int
    at_once: int = 32
    key: str = ""


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be at work at the same time beside what fits, and how large a download may be. None for any number.

    Attributes:
        file_bytes: of one source that is fetched; a job's own ``max_download`` counts where it is smaller.
        downloads: steps that fetch, of all jobs.
        transcriptions: jobs that transcribe.
        chunks: remote calls of one job.
        gemini: remote calls to Gemini, of all jobs.
        batch: jobs of one label.
    """

    file_bytes: int | None = None
    downloads: int | None = None
    transcriptions: int | None = None
    chunks: int | None = None
    gemini: int | None = None
    batch: int | None = None

    def smaller(self, max_bytes: int | None) -> int | None:
        """The smaller of a job's own limit of a download and the cap; None when neither is set."""
        return min((size for size in (max_bytes, self.file_bytes) if size is not None), default=None)


@dataclass(frozen=True, slots=True)
class Item:
    """One result of a step, in order.

    Attributes:
        value: small JSON. Bulk goes to a part file in scratch, which the value names.
        cursor: JSON from which the step goes on after this item when it is started again.
    """

    value: Json
    cursor: Json
