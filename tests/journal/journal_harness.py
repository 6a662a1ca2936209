"""Small helpers for the journal's tests."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from narrowboat.journal import Claim, Journal, NewJob, StepRow
from narrowboat.journal.database import FILE, connect
from narrowboat.journal.reserve import Reserve
from narrowboat.journal.writer import Writer


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))  # type: ignore[arg-type]

    return run


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def past_the_lock(home: Path, owner: str, clock: Clock, group_s: float) -> Journal:
    """A supervisor that the home's lock could not keep out; the first one is at work."""
    path = home / FILE
    return Journal(path, owner, clock, Writer(connect(path), path, Reserve(home), group_s=group_s))


def new_job(identity: str = "a", **given: Any) -> NewJob:
    return NewJob(**{"pipeline": "transcribe", "identity": identity, "source": "a.mp3", "options": {}} | given)


async def running(journal: Journal, identity: str = "a") -> tuple[Claim, StepRow]:
    """A claimed job with a step begun."""
    job, _ = await journal.submit(new_job(identity))
    claim = await journal.claim(job.id, 60)
    return claim, await journal.begin_step(claim, "recognise", "m:f", "1", "hash")


async def add(journal: Journal, claim: Claim, step: StepRow, numbers: range) -> None:
    for number in numbers:
        journal.add_item(claim, step.id, number, {"at": number}, {"n": number})
    await journal.flush()


async def numbers(journal: Journal, job_id: str, key: str = "recognise") -> list[int]:
    found = []
    async for seq, value in journal.items(job_id, key):
        assert value == {"n": seq}
        found.append(seq)
    return found


def child(script: str, *args: str | Path) -> subprocess.Popen[str]:
    """Another Python process that runs ``script``, with this folder on its path."""
    path = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    return subprocess.Popen(
        [sys.executable, "-c", path + script, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
