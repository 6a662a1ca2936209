"""What is remembered durably: jobs, steps, items, attempts, peaks, outputs, and who owns which scratch.

Covers: the one SQLite database of a home, who may open it, claims and leases. Use :class:`Journal`.
Does not cover: deciding what a job's state should be (``runner/``), deleting files (``runner/``).
"""

from narrowboat.journal.journal import Journal
from narrowboat.journal.rows import (
    AttemptRow,
    Claim,
    HistoryRow,
    JobRow,
    NewJob,
    OutputRow,
    PeakRow,
    StepRow,
)

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
