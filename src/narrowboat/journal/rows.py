"""What the journal takes and gives: frozen rows.

Covers: the values and how they are made from database rows. Times are seconds since the epoch, sizes bytes.
Does not cover: the tables themselves (``sql/schema``).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from narrowboat.values import Client, Json

ENDED = ("done", "failed", "cancelled")
STATES = ("queued", "running", *ENDED)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to submit.

    Attributes:
        identity: names pipeline, source content and the options that change the result.
        source: as it may be shown.
        address: what a restart needs beside it and nobody may see; None where there is nothing of that.
        watched: where watching makes the job: for which key, and when the episode was published.
    """

    pipeline: str
    identity: str
    source: str
    options: dict[str, Json]
    label: str | None = None
    address: Json = None
    watched: tuple[str, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write for a job, until somebody claims it with a higher token."""

    job_id: str
    token: int
    owner: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as it stands.

    Attributes:
        state: ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
        reason: JSON of the error that it ended with.
        attempts, overruns: tries of its steps; how many of them went over their reservation.
        items: committed items of all steps.
        items_resumed: of these, how many were there before each step's last attempt: not computed again.
        supervisor_deaths: in a row, without a new item.
    """

    id: str
    pipeline: str
    identity: str
    source: str
    options: dict[str, Json]
    label: str | None
    state: str
    reason: dict[str, Json] | None
    created: float
    started: float | None
    ended: float | None
    attempts: int
    overruns: int
    items: int
    items_resumed: int
    supervisor_deaths: int
    cancel_requested: bool
    token: int


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of a job. ``state`` is ``running`` or ``done``; ``cursor`` is that of the last item."""

    id: int
    job_id: str
    key: str
    name: str
    version: str
    input_hash: str
    state: str
    result: Json
    items: int
    cursor: Json


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try of a step. ``outcome`` is None while it is open.

    ``pid`` with ``start_ticks`` (field 22 of ``/proc/PID/stat``) says which process it was.
    """

    id: int
    job_id: str
    step_id: int
    step_key: str
    declared_bytes: int
    reserved_bytes: int
    cores: int
    started: float
    ended: float | None
    outcome: str | None
    error: dict[str, Json] | None
    peak_bytes: int | None
    items: int | None
    seconds: float | None
    pid: int | None
    start_ticks: int | None
    pgid: int | None
    supervisor_died: bool


@dataclass(frozen=True, slots=True)
class PeakRow:
    """What an attempt used.

    Attributes:
        censored: it was killed there, and would have used at least this much.
        again: an attempt of the same input was killed before.
        seconds: that it took; 0 when not known.
    """

    step_key: str
    version: str
    engine: str
    features: dict[str, Json]
    declared_bytes: int
    reserved_bytes: int
    peak_bytes: int
    censored: bool
    again: bool
    seconds: float
    at: float


@dataclass(frozen=True, slots=True)
class OutputRow:
    """A file that a job writes. ``bytes`` is None until it is written."""

    format: str
    path: Path
    bytes: int | None
    written: bool


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A line of a job's history."""

    at: float
    message: str


@dataclass(frozen=True, slots=True)
class RemoteFileRow:
    """What may lie in a remote store.

    Attributes:
        name: in its store.
        job_id: whose it is; empty for a call of no job.
        remove: the step that removes it, ``module:function``; ``given`` is its input.
        client: whose call the removal is.
    """

    name: str
    job_id: str
    remove: str
    given: Json
    client: Client


@dataclass(frozen=True, slots=True)
class FailedSourceRow:
    """A source that could not be fetched.

    Attributes:
        key: SHA-256 of what tells it from others.
        shown: without secrets.
        failures: in a row.
        error: JSON of the last.
        told: the validator that it had then; None when not known.
        first, last: times of the first failure in the row and of the last.
        until: it is left alone until then; None when it may be tried.
    """

    key: str
    shown: str
    failures: int
    error: dict[str, Json]
    told: str | None
    first: float
    last: float
    until: float | None


def dump(value: Json) -> str:
    """Compact JSON of ``value`` that the database can hold.

    Raises:
        TypeError, ValueError: it is not JSON.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, from a file name or a model
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text


def load(text: str | None) -> Json:
    """The value of JSON ``text``; None for none."""
    return None if text is None else json.loads(text)


def os_text(text: str) -> str | bytes:
    """``text`` as the database takes it: a file name that is not UTF-8 as its bytes (see CAST in the SQL)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _is_escaped(text) else "replace")
    return text


def _is_escaped(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" and not "\udc80" <= c <= "\udcff" for c in text)


def job_row(row: sqlite3.Row) -> JobRow:
    """From the view ``job_rows``."""
    values = {name: row[name] for name in JobRow.__slots__}
    values["options"] = load(row["options"])
    values["reason"] = load(row["reason"])
    values["cancel_requested"] = bool(row["cancel_requested"])
    return JobRow(**values)


def step_row(row: sqlite3.Row) -> StepRow:
    """From the table ``steps``."""
    values = {name: row["job" if name == "job_id" else name] for name in StepRow.__slots__}
    values["result"] = load(row["result"])
    values["cursor"] = load(row["cursor"])
    return StepRow(**values)


def attempt_row(row: sqlite3.Row) -> AttemptRow:
    """From the table ``attempts`` with its step's key."""
    given = {"job_id": "job", "step_id": "step"}
    values = {name: row[given.get(name, name)] for name in AttemptRow.__slots__}
    values["error"] = load(row["error"])
    values["supervisor_died"] = bool(row["supervisor_died"])
    return AttemptRow(**values)


def failed_source_row(row: sqlite3.Row) -> FailedSourceRow:
    """From the table ``failed_sources``."""
    values = {name: row[name] for name in FailedSourceRow.__slots__}
    values["error"] = load(row["error"])
    return FailedSourceRow(**values)


def peak_row(row: sqlite3.Row) -> PeakRow:
    """From the table ``peaks``."""
    values = {name: row[name] for name in PeakRow.__slots__}
    values["features"] = load(row["features"])
    values["censored"], values["again"] = bool(row["censored"]), bool(row["again"])
    return PeakRow(**values)
