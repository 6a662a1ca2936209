"""How a worker's attempt ended, from facts.

Covers: the classes of ending and the error that says each to a person.
Does not cover: what is done about it (``runner/attempts.py``).

Nothing is guessed: where the facts don't tell who sent a SIGKILL, the reason says so.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any, Literal

from narrowboat.errors import NarrowboatError, Overrun, TimeLimit, WorkerDied
from narrowboat.sizes import format_size
from narrowboat.values import Json

Outcome = Literal["done", "failed", "overrun", "fault", "killed", "stopped", "squeezed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended.

    Attributes:
        outcome: ``done``; ``failed`` (the step raised, or took longer than it may); ``overrun`` (used more than
            reserved); ``fault`` (crash, wrong exit, hang); ``killed`` (by somebody else, or with the fork server);
            ``stopped`` (asked to); ``squeezed`` (killed to keep all inside the limit, through no fault of its own).
        result: what a step that is no stream returned.
        error: why, when it is not ``done``.
    """

    outcome: Outcome
    result: Json = None
    error: NarrowboatError | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a worker that ended without an answer; sizes in bytes."""

    status: int | None  # as waitpid gives it; None when the fork server went with it
    reserved: int
    peak: int
    killed: str | None
    overran: bool
    memory_error: bool
    kernel_kills: int
    stderr: str
    silent: str | None = None
    time_limit: float | None = None
    limit_kills: int = 0  # the kernel's, at the limit of the worker's own cgroup
    limit: int = 0
    outer_kills: int = 0  # the kernel's in that cgroup, which had not reached its limit: one around it had


def classify(step: str, facts: Facts) -> Ending:
    """The ending of a worker that gave no answer, answered with MemoryError, or met the limit of its own cgroup.

    The last holds as well when the kernel killed only a process that the worker had started, and the step then raised.
    """
    used = f"{format_size(facts.peak)} of {format_size(facts.reserved)} reserved"
    ours = _stopped_by_us(step, facts, used) or _out_of_memory(step, facts, used)
    if ours is not None:
        return ours
    foreign = facts.status is None or _signal(facts.status) == signal.SIGKILL
    return Ending("killed" if foreign else "fault", error=_death(step, facts, used))


def _stopped_by_us(step: str, facts: Facts, used: str) -> Ending | None:
    sizes: dict[str, Any] = {"reserved_bytes": facts.reserved, "peak_bytes": facts.peak}
    if facts.killed is not None and not facts.overran:
        return Ending("squeezed", error=Overrun(f"{step} was stopped at {used}: {facts.killed}", **sizes))
    if facts.killed is not None and facts.limit_kills:  # the kernel was first
        return _out_of_memory(step, facts, used)
    if facts.killed is not None:
        return Ending("overrun", error=Overrun(f"{step} used {used} and was stopped", **sizes))
    if facts.time_limit is not None:
        text = f"{step} took longer than its time limit of {facts.time_limit:g} s, at {used}"
        return Ending("failed", error=TimeLimit(text, hint="give it a larger one", time_limit_s=facts.time_limit))
    if facts.silent is not None:
        return Ending("fault", error=WorkerDied(f"{step} hung: {facts.silent}, at {used}", **sizes))
    return None


def _out_of_memory(step: str, facts: Facts, used: str) -> Ending | None:
    sizes: dict[str, Any] = {"reserved_bytes": facts.reserved, "peak_bytes": facts.peak}
    if facts.limit_kills:
        text = f"{step} used {used}: its own memory limit of {format_size(facts.limit)} stopped it"
        return Ending("overrun", error=Overrun(text, limit_bytes=facts.limit, **sizes))
    if _signal(facts.status) == signal.SIGKILL and facts.outer_kills:
        text = f"the kernel killed {step} at {used}, within its own limit: all together were too many"
        return Ending("squeezed", error=Overrun(text, **sizes))
    if facts.memory_error:
        return Ending("overrun", error=Overrun(f"{step} was refused memory (MemoryError) at {used}", **sizes))
    if _signal(facts.status) == signal.SIGKILL and facts.kernel_kills > 0:
        return Ending("overrun", error=Overrun(f"the kernel killed {step} for memory at {used}", **sizes))
    return None


def _death(step: str, facts: Facts, used: str) -> WorkerDied:
    number = _signal(facts.status)
    tail = f"; its last words: {facts.stderr.strip().splitlines()[-1][:300]}" if facts.stderr.strip() else ""
    more: dict[str, Any] = {"peak_bytes": facts.peak, "reserved_bytes": facts.reserved, "stderr": facts.stderr}
    if facts.status is None:
        return WorkerDied(f"{step} ended with the fork server, at {used}{tail}", **more)
    if number == signal.SIGKILL:
        what = "was killed (SIGKILL) by somebody else; the kernel counts no kill for memory here"
        return WorkerDied(f"{step} {what}, at {used}{tail}", signal=number, **more)
    if number is not None:
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        return WorkerDied(f"{step} crashed with {name}, at {used}{tail}", signal=number, **more)
    code = os.waitstatus_to_exitcode(facts.status)
    return WorkerDied(f"{step} exited with code {code} and gave no result{tail}", exit_code=code, **more)


def _signal(status: int | None) -> int | None:
    return os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
