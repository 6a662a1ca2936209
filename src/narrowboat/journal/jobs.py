"""Jobs: submitted, claimed, released, ended, asked about.

Covers: the life of a job and who may write for it.
Does not cover: when to do which (``runner/``), its steps (``steps``).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from narrowboat.errors import Cancelled, LeaseLost, NotFound, SourceError, UsageError
from narrowboat.journal.core import NOW, Core, check_claim, no_such_job
from narrowboat.journal.ids import filled, job_id
from narrowboat.journal.queries import queries
from narrowboat.journal.rows import ENDED, STATES, Claim, JobRow, NewJob, dump, job_row, os_text
from narrowboat.values import Json

_SQL = queries("jobs")


class Jobs(Core):
    """Topic of :class:`~narrowboat.journal.Journal`."""

    async def submit(self, job: NewJob) -> tuple[JobRow, bool]:
        """The job of this identity, and whether it is new. An old one comes in whatever state it is.

        A label, when one is given, becomes that of an old job too, and so does an address: the last one counts.
        """
        if job.address is not None:
            await self._addresses.keep(job.identity, job.address)
        values = {
            "pipeline": job.pipeline,
            "identity": job.identity,
            "source": os_text(job.source),
            "options": dump(job.options),
            "label": None if job.label is None else os_text(job.label),
            "hidden": int(job.address is not None),
            "watched": job.watched,
            "now": self._clock(),
        }
        return await self._write(lambda db: _submit(db, values))

    async def job(self, text: str) -> JobRow:
        """The job whose id is ``text``, also without its zeros (``j1`` is ``j0001``), or begins with it.

        Raises:
            NotFound: none, or more than one.
        """
        return await self._read(lambda db: _row(db, _meant(db, text)))

    async def address(self, row: JobRow) -> Json:
        """The address that a job was submitted with; None when its source is all there is.

        Raises:
            SourceError: it was kept apart, and is not there any more.
        """
        hidden = await self._read(lambda db: db.execute(_SQL["hidden"], {"job": row.id}).fetchone())
        if hidden is None or not hidden[0]:
            return None
        found = await self._addresses.get(row.identity)
        if found is None:
            raise SourceError(
                f"the whole address of {row.source} is not in {self._addresses.path} any more",
                hint="submit it again with its address",
            )
        return found

    async def set_address(self, identity: str, address: Json) -> None:
        """Keep another address for a job that has one already."""
        await self._addresses.keep(identity, address)

    async def jobs(
        self,
        *,
        states: Iterable[str] | None = None,
        pipeline: str | None = None,
        limit: int | None = None,
    ) -> list[JobRow]:
        """Jobs in the order of submission."""
        values = {
            "states": None if states is None else json.dumps(list(states)),
            "pipeline": pipeline,
            "limit": -1 if limit is None else limit,
        }
        return await self._read(lambda db: [job_row(row) for row in db.execute(_SQL["oldest_first"], values)])

    async def page(
        self,
        states: Iterable[str],
        *,
        pipeline: str | None = None,
        label: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> tuple[list[JobRow], int]:
        """The newest jobs, of those submitted before the job ``before``; and how many there are in all.

        Raises:
            NotFound: there is no job ``before``.
        """
        values = {
            "states": json.dumps(list(states)),
            "pipeline": pipeline,
            "label": None if label is None else os_text(label),
            "limit": limit,
        }
        return await self._read(lambda db: _page(db, before, values))

    async def ended_before(self, at: float, limit: int = 100) -> list[str]:
        """The ids of jobs that had ended by ``at``, in seconds since the epoch, in the order of submission."""
        values = {"at": at, "limit": limit}
        return await self._read(lambda db: [row["id"] for row in db.execute(_SQL["ended_before"], values)])

    async def ids_in(self, states: Iterable[str], label: str | None = None) -> list[str]:
        """The ids of jobs that are in ``states``, of one label or of any, in the order of submission."""
        values = {"states": json.dumps(list(states)), "label": None if label is None else os_text(label)}
        return await self._read(lambda db: [row["id"] for row in db.execute(_SQL["ids_in"], values)])

    async def counts(self) -> dict[str, int]:
        """How many jobs are in each state; every state is there."""
        found = await self._read(lambda db: db.execute(_SQL["counts"]).fetchall())
        return dict.fromkeys(STATES, 0) | {row["state"]: row["n"] for row in found}

    async def claim(self, job_id: str, lease_s: float) -> Claim:
        """Take a job that is queued, or whose lease has run out, for ``lease_s`` seconds.

        Raises:
            LeaseLost: it is not to be had, and why.
        """
        now = self._clock()
        # Not synced: what takes a claim's commit away takes all that was written with it, and its owner.
        claim = await self._write(lambda db: _claim(db, job_id, self._owner, now, now + lease_s), NOW)
        self._writing().forget_late(claim)  # whatever was written with its token before was made up
        return claim

    async def renew(self, claim: Claim, lease_s: float) -> None:
        """Keep the job for ``lease_s`` seconds from now."""
        values = {"job": claim.job_id, "until": self._clock() + lease_s}
        await self._write(lambda db: _owned(db, claim, "renew", values), NOW)

    async def release(self, claim: Claim) -> None:
        """Back to the queue, because a stop was asked for. A job that was asked to cancel is cancelled."""
        now = self._clock()
        await self._write(lambda db: _release(db, claim, now))
        self._writing().forget_late(claim)

    async def end(self, claim: Claim, state: str, error: dict[str, Json] | None = None) -> None:
        """The job is ``done``, ``failed`` or ``cancelled``; ``error`` is the JSON of why.

        Raises:
            LeaseLost: see :class:`~narrowboat.journal.Claim`.
            NarrowboatError: ``done``, but a queued write of this claim had failed.
        """
        if state not in ENDED:
            raise UsageError(f"a job can't end {state!r}", hint=f"it ends {', '.join(ENDED)}")
        reason, now, writer = None if error is None else dump(error), self._clock(), self._writing()

        def work(db: sqlite3.Connection) -> None:
            if state == "done":
                writer.raise_late(claim)
            _end(db, claim, state, reason, now)

        await self._write(work)
        self._writing().forget_late(claim)

    async def request_cancel(self, job_id: str) -> JobRow:
        """A queued job is cancelled at once; a running one is marked; one that ended stays as it is."""
        now = self._clock()
        return await self._write(lambda db: _request_cancel(db, job_id, now))

    async def requeue(self, job_id: str, *, options: dict[str, Json] | None = None) -> JobRow:
        """Queue a job that ended once more, with what it has: items, finished steps, outputs.

        Its faults are forgiven. ``options``, when given, replace its options.

        Raises:
            UsageError: it is running.
        """
        text = None if options is None else dump(options)
        return await self._write(lambda db: _requeue(db, job_id, text))

    async def set_options(self, job_id: str, options: dict[str, Json]) -> JobRow:
        """Replace the options of a job that waits. Its faults still count.

        Raises:
            UsageError: it is running.
        """
        text = dump(options)
        return await self._write(lambda db: _set_options(db, job_id, text))

    async def set_source(self, job_id: str, path: str) -> None:
        """The job's content lies elsewhere now.

        Raises:
            UsageError: it is running.
        """
        await self._write(lambda db: _set_source(db, job_id, os_text(path)))

    async def needed_sources(self, folder: Path) -> set[str]:
        """The files below ``folder`` that a job is, or may still be, worked on with: it is queued, runs, or failed
        and its source was not at fault."""
        values = {"folder": os_text(os.fspath(folder) + os.sep)}
        return await self._read(lambda db: {row["source"] for row in db.execute(_SQL["needed_below"], values)})

    async def restart(self, job_id: str) -> JobRow:
        """Queue a job anew: items, steps and attempts are forgotten; its files keep their names.

        Raises:
            UsageError: it is running.
        """
        return await self._write(lambda db: _restart(db, job_id))

    async def forget(self, job_id: str) -> list[Path]:
        """Delete a job and all its rows; the paths of its scratch, to delete and then disown.

        Raises:
            UsageError: it is running.
        """
        paths, identity = await self._write(lambda db: _forget(db, job_id))
        await self._addresses.forget(identity)
        return paths


def _row(db: sqlite3.Connection, job_id: str) -> JobRow:
    # Ids are ASCII, and text that is not even Unicode can't be asked for.
    found = db.execute(_SQL["row"], {"job": job_id}).fetchone() if job_id.isascii() else None
    if found is None:
        raise no_such_job(job_id)
    return job_row(found)


def _page(db: sqlite3.Connection, before: str | None, values: dict[str, Any]) -> tuple[list[JobRow], int]:
    number = None
    if before is not None:
        number = db.execute(_SQL["number_of"], {"job": _meant(db, before)}).fetchone()["number"]
    rows = [job_row(row) for row in db.execute(_SQL["page"], {**values, "before": number})]
    return rows, int(db.execute(_SQL["how_many_of"], values).fetchone()[0])


def _meant(db: sqlite3.Connection, text: str) -> str:
    text = text.strip().lower()
    if not text.isascii():
        raise no_such_job(text)
    for exact in (text, filled(text)):
        if db.execute(_SQL["row"], {"job": exact}).fetchone() is not None:
            return exact
    ids = [row["id"] for row in db.execute(_SQL["ids_from"], {"prefix": text})] if text else []
    if len(ids) > 1:
        raise NotFound(f"{text!r} fits more than one job: {', '.join(ids)}", hint="type more of it", job=text)
    if not ids:
        raise no_such_job(text)
    return str(ids[0])


def _submit(db: sqlite3.Connection, values: dict[str, Any]) -> tuple[JobRow, bool]:
    known = db.execute(_SQL["id_of_identity"], values).fetchone()
    if known is not None:
        if values["label"] is not None:
            db.execute(_SQL["relabel"], {"job": known["id"], "label": values["label"]})
        return _row(db, known["id"]), False
    number = db.execute(_SQL["next_number"]).fetchone()[0]
    db.execute(_SQL["insert"], {**values, "number": number, "id": job_id(number)})
    if values["watched"] is not None:
        key, published = values["watched"]
        db.execute(queries("known_feeds")["watch"], {"job": job_id(number), "key": key, "published": published})
    return _row(db, job_id(number)), True


def _claim(db: sqlite3.Connection, job_id: str, owner: str, now: float, until: float) -> Claim:
    values = {"job": job_id, "owner": owner, "now": now, "until": until}
    # Attempts of an owner whose lease ran out are over for us; of a queued job there are none.
    taken = db.execute(_SQL["claim"], values).fetchall()
    if taken:
        db.execute(_SQL["close_attempts"], {**values, "outcome": "interrupted"})
        return Claim(job_id, taken[0]["token"], owner)
    found = db.execute(_SQL["holder"], values).fetchone()
    if found is None:
        why = "there is no such job"
    elif found["state"] == "running":
        why = f"{found['owner']} has it for {found['lease_until'] - now:.0f} s more"
    else:
        why = f"it is {found['state']}"
    raise LeaseLost(f"job {job_id} can't be claimed: {why}", job=job_id)


def _owned(db: sqlite3.Connection, claim: Claim, query: str, values: dict[str, Any]) -> None:
    check_claim(db, claim)
    db.execute(_SQL[query], values)


def _release(db: sqlite3.Connection, claim: Claim, now: float) -> None:
    check_claim(db, claim)
    if _row(db, claim.job_id).cancel_requested:
        _end(db, claim, "cancelled", _cancelled(), now)
        return
    values = {"job": claim.job_id, "now": now, "outcome": "stopped"}
    db.execute(_SQL["close_attempts"], values)
    db.execute(_SQL["release"], values)


def _end(db: sqlite3.Connection, claim: Claim, state: str, reason: str | None, now: float) -> None:
    check_claim(db, claim)
    outcome = "cancelled" if state == "cancelled" else "stopped"
    db.execute(_SQL["close_attempts"], {"job": claim.job_id, "now": now, "outcome": outcome})
    db.execute(_SQL["end"], {"job": claim.job_id, "state": state, "reason": reason, "now": now})


def _cancelled() -> str:
    return dump(Cancelled("the job was cancelled").to_json())


def _request_cancel(db: sqlite3.Connection, job_id: str, now: float) -> JobRow:
    state = _row(db, job_id).state
    if state == "queued":
        db.execute(_SQL["end"], {"job": job_id, "state": "cancelled", "reason": _cancelled(), "now": now})
    else:
        db.execute(_SQL["ask_cancel"], {"job": job_id})
    return _row(db, job_id)


def _not_running(db: sqlite3.Connection, job_id: str) -> JobRow:
    found = _row(db, job_id)
    if found.state == "running":
        raise UsageError(f"job {job_id} is running", hint="cancel it first, or wait for it", job=job_id)
    return found


def _requeue(db: sqlite3.Connection, job_id: str, options: str | None) -> JobRow:
    _not_running(db, job_id)
    db.execute(_SQL["forgive"], {"job": job_id})
    db.execute(_SQL["queue_again"], {"job": job_id, "options": options})
    return _row(db, job_id)


def _set_options(db: sqlite3.Connection, job_id: str, options: str) -> JobRow:
    _not_running(db, job_id)
    db.execute(_SQL["set_options"], {"job": job_id, "options": options})
    return _row(db, job_id)


def _set_source(db: sqlite3.Connection, job_id: str, path: str | bytes) -> None:
    _not_running(db, job_id)
    db.execute(_SQL["set_source"], {"job": job_id, "source": path})


def _restart(db: sqlite3.Connection, job_id: str) -> JobRow:
    _not_running(db, job_id)
    values = {"job": job_id, "options": None}
    for query in ("forget_steps", "forget_start", "unwrite_outputs", "queue_again"):
        db.execute(_SQL[query], values)
    return _row(db, job_id)


def _forget(db: sqlite3.Connection, job_id: str) -> tuple[list[Path], str]:
    identity = _not_running(db, job_id).identity
    paths = [Path(row["path"]) for row in db.execute(queries("records")["scratch_of"], {"job": job_id})]
    db.execute(_SQL["forget"], {"job": job_id})
    for _ in range(db.execute("PRAGMA freelist_count").fetchone()[0]):
        db.execute("PRAGMA incremental_vacuum(1)")  # one page per call is all that this module does
    return paths, identity


def recover(db: sqlite3.Connection, now: float) -> None:
    """What a new supervisor finds running was cut off: queue it again, and count that against it."""
    values = {"now": now, "reason": _cancelled()}
    db.execute("BEGIN IMMEDIATE")
    for query in ("count_deaths", "interrupt_attempts", "recover_cancelled", "recover_running"):
        db.execute(_SQL[query], values)
    db.execute("COMMIT")
