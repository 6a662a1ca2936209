"""What is remembered durably: jobs, steps, items, attempts, peaks, outputs, and who owns which scratch.

Covers: the one SQLite database of a home, who may open it, claims and leases. Use :class:`Journal`.
Does not cover: deciding what a job's state should be (``runner/``), deleting files (``runner/``).

The names are loaded when they are first used: who only lists jobs does not load what writes them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from narrowboat.journal.journal import Journal
    from narrowboat.journal.rows import AttemptRow, Claim, HistoryRow, JobRow, NewJob, OutputRow, PeakRow, StepRow

__all__ = [
    "AttemptRow",
    "Claim",
    "HistoryRow",
    "JobRow",
    "Journal",
    "NewJob",
    "OutputRow",
    "PeakRow",
    "StepRow",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'narrowboat.journal' has no attribute {name!r}")
    return getattr(importlib.import_module(f"narrowboat.journal.{'journal' if name == 'Journal' else 'rows'}"), name)
