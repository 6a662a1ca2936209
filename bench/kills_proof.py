"""What was committed at each kill, and that none of it was lost, changed or computed again.

Covers: reading a journal from outside while it is in use, comparing what it has over time, what the workers computed
(written down by ``witness/sitecustomize``), the chain of attempts.
Does not cover: killing (``kills_batch``), or what is made of it all (``kills``).

The proof has two halves that know nothing of each other. The journal: an item seen once is there ever after and the
same, and each attempt of a step begins at the number of items that those before it gave. The workers: nothing that
was committed at a kill is computed at a later time. An item is told by its job and its value, which has times in it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Snapshot:
    """A journal at one time (``at``: monotonic seconds, when it had been read)."""

    at: float
    jobs: dict[str, str]
    items: dict[tuple[str, str, int], str]


@contextlib.contextmanager
def reading(home: Path) -> Iterator[sqlite3.Connection]:
    """The journal of a home, read only.

    Raises:
        sqlite3.Error: there is none yet.
    """
    with contextlib.closing(sqlite3.connect(f"{(home / 'journal.db').as_uri()}?mode=ro", uri=True, timeout=30)) as db:
        yield db


def snapshot(home: Path) -> Snapshot:
    """What is committed now; nothing where there is no journal yet."""
    jobs, items = {}, {}
    with contextlib.suppress(sqlite3.OperationalError), reading(home) as db:
        db.execute("BEGIN")  # both at one time
        jobs = dict(db.execute("SELECT id, state FROM jobs"))
        rows = db.execute("SELECT job, key, seq, value FROM items JOIN steps ON steps.id = items.step")
        items = {(job, key, seq): plain(json.loads(value)) for job, key, seq, value in rows}
    return Snapshot(time.monotonic(), jobs, items)


def plain(value: Any) -> str:
    """The same text for the same JSON value."""
    return json.dumps(value, sort_keys=True)


@dataclass
class Committed:
    """All that was ever seen committed in one home, and what went wrong with it."""

    wrong: list[str] = field(default_factory=list)
    _jobs: set[str] = field(default_factory=set)
    _items: dict[tuple[str, str, int], str] = field(default_factory=dict)
    _since: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, seen: Snapshot) -> None:
        """Compare with what was seen before."""
        self.wrong += [f"job {job} is gone from the journal" for job in sorted(self._jobs - seen.jobs.keys())]
        for key, value in self._items.items():
            if seen.items.get(key) != value:
                self.wrong.append(f"item {key} was committed and is {'changed' if key in seen.items else 'gone'}")
        self._jobs |= seen.jobs.keys()
        self._items.update(seen.items)
        for (job, _, _), value in seen.items.items():
            self._since.setdefault((job, value), seen.at)

    def repeated(self, computed: list[Computed]) -> list[str]:
        """Items that were computed after they had been seen committed."""
        return [
            f"{one.job}: computed {one.at - since:.3f} s after it was seen committed: {one.value[:80]}"
            for one in computed
            if (since := self._since.get((one.job, one.value))) is not None and one.at > since
        ]


@dataclass(frozen=True)
class Computed:
    """One item that a worker computed, and when (monotonic seconds)."""

    job: str
    value: str
    at: float


def computed(witness: Path, home: Path) -> list[Computed]:
    """What the workers of a home computed, in the order in which they wrote it down."""
    with reading(home) as db:
        by_source = {source: job for job, source in db.execute("SELECT id, source FROM jobs")}
    found = []
    for line in witness.read_text("utf-8").splitlines() if witness.exists() else []:
        told = json.loads(line)
        job = by_source.get(told["path"], Path(told["path"]).parent.name)  # what was fetched lies in scratch/JOB
        found.append(Computed(job, plain(told["value"]), told["at"]))
    return found


def broken_chains(home: Path) -> list[str]:
    """Attempts that did not begin where those before them had ended, steps whose items do not add up."""
    found = []
    with reading(home) as db:
        for step, job, key, items in db.execute("SELECT id, job, key, items FROM steps").fetchall():
            rows = db.execute("SELECT id, first_item, items FROM attempts WHERE step = ? ORDER BY id", [step])
            attempts = [*rows, (None, items, 0)]
            for (number, first, gave), (_, following, _) in itertools.pairwise(attempts):
                if following < first or (gave is not None and following != first + gave):
                    found.append(f"{key} of {job}: attempt {number} from {first} gave {gave}, the next is {following}")
            (there,) = db.execute("SELECT count(*) FROM items WHERE step = ?", [step]).fetchone()
            if there != items:
                found.append(f"{key} of {job} has {there} items and says {items}")
        (health,) = db.execute("PRAGMA integrity_check").fetchone()
        found += [] if health == "ok" else [f"the journal is damaged: {health}"]
    return found


def at_work(home: Path, since: float) -> list[str]:
    """The steps that had an attempt open at a time (epoch seconds), and whether it had given an item by then."""
    query = (
        "SELECT steps.key, steps.items > attempts.first_item FROM attempts JOIN steps ON steps.id = attempts.step"
        " WHERE attempts.started <= ? AND (attempts.ended IS NULL OR attempts.ended > ?)"
    )
    with contextlib.suppress(sqlite3.OperationalError), reading(home) as db:
        rows = db.execute(query, [since, since]).fetchall()
        return [
            f"{key}, {'on its way' if gave else 'no item yet'}" if key == "recognise" else key for key, gave in rows
        ]
    return []


def most_kills_in_a_row(home: Path) -> int:
    """Of all steps that are not done, how often one was killed at most since its last item."""
    query = (
        "SELECT count(*) AS n FROM attempts JOIN steps ON steps.id = attempts.step WHERE outcome = 'killed'"
        " AND state = 'running' AND first_item = steps.items GROUP BY step ORDER BY n DESC LIMIT 1"
    )
    with contextlib.suppress(sqlite3.OperationalError), reading(home) as db:
        return int((db.execute(query).fetchone() or [0])[0])
    return 0


def ends(home: Path) -> dict[str, str]:
    """Each job's state, with the reason where it is not done."""
    with reading(home) as db:
        rows = db.execute("SELECT id, state, reason FROM jobs").fetchall()
    return {job: state if reason is None else f"{state}: {reason}" for job, state, reason in rows}


def outcomes(home: Path) -> dict[str, int]:
    """How the attempts ended: how many each way."""
    with reading(home) as db:
        return dict(db.execute("SELECT coalesce(outcome, 'open'), count(*) FROM attempts GROUP BY 1"))
