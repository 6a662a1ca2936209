"""A run in the foreground: a runner, a display, signals, and what is said at the end.

Covers: following the jobs of a runner to their ends, Ctrl-C, the exit code, the run report.
Does not cover: which jobs (``commands/``), how progress looks (``display``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from narrowboat.cli.command import INTERRUPTED
from narrowboat.cli.display import Display, make_display
from narrowboat.cli.output import Output, duration, in_one_line, near
from narrowboat.config import caps
from narrowboat.errors import DiskFull, UsageError, exit_code
from narrowboat.runner.entries import Entry
from narrowboat.runner.reading import ENDED, name_of
from narrowboat.runner.report import report, write_report
from narrowboat.runner.runner import Runner
from narrowboat.sizes import format_size

_LOOK_EVERY_S = 0.1
#: Seconds that steps get to reach an item boundary once a SIGTERM's drain is over. With the drain's five, less than
#: the ten after which Docker kills; Kubernetes waits for thirty, so a longer --drain suits it.
_TERM_GRACE_S = 4.0
Submit = Callable[[Runner, Display], Awaitable[None]]


async def run_jobs(
    values: argparse.Namespace, out: Output, submit: Submit, *, preload: Sequence[str] = ()
) -> tuple[int, dict[str, Any]]:
    """Run what ``submit`` gives to the runner; the exit code and the run report.

    Args:
        preload: modules of the steps that the fork server imports.

    Raises:
        HomeHeld: another supervisor has the home.
        NarrowboatError: what ``submit`` raised; what ran is stopped and kept.
    """
    check_report(values.report)
    async with Runner(
        values.memory,
        cores=values.cores,
        home=values.home,
        preload=preload,
        guard=values.guard,
        time_limit=values.time_limit,
        allowed_networks=values.allow_networks if values.address_guard else None,
        caps=caps(),
    ) as runner:
        session = Session(runner, make_display(out), drain_s=values.drain)
        await session.follow(submit)
        made = await report(runner)
    if values.report is not None:
        write_report(made, values.report)
    out.line(summary(made, session.interrupted))
    code = INTERRUPTED if session.interrupted else code_of(runner.entries)
    return code, made


class Session:
    """Follows the jobs of a runner.

    Args:
        drain_s: seconds that running jobs get to end when a SIGTERM comes.
    """

    def __init__(self, runner: Runner, display: Display, *, drain_s: float) -> None:
        self._runner = runner
        self._display = display
        self._drain_s = drain_s
        self._draining = False
        self._not_all_submitted = False
        self._told: dict[str, Entry] = {}
        self._pressure: str | None = None
        self._stops: list[asyncio.Task[None]] = []

    @property
    def interrupted(self) -> bool:
        """True when a signal has stopped the run before all was done."""
        unfinished = any(entry.state not in ENDED for entry in self._runner.entries)
        return bool(self._stops) and (unfinished or self._not_all_submitted)

    async def follow(self, submit: Submit) -> None:
        """Submit, and show everything until all jobs have ended or the run was stopped."""
        submitting = asyncio.ensure_future(submit(self._runner, self._display))
        try:
            with self._signals():
                while not self._over(submitting):
                    await self._look()
                    await asyncio.sleep(_LOOK_EVERY_S)
                for stop in self._stops:
                    await stop
                await self._look()
        finally:
            self._display.close()
            submitting.cancel()
            await asyncio.wait([submitting])
            self._not_all_submitted = submitting.cancelled()
        if not submitting.cancelled() and not self._stops:
            submitting.result()

    def _over(self, submitting: asyncio.Future[None]) -> bool:
        if self._stops:
            return all(stop.done() for stop in self._stops)
        if submitting.done() and submitting.exception() is not None:
            return True
        return submitting.done() and all(entry.state in ENDED for entry in self._runner.entries)

    async def _look(self) -> None:
        for entry in self._runner.entries:
            if entry.state in ENDED and self._told.get(entry.id) is not entry:
                self._told[entry.id] = entry
                await self._tell(entry)
        status = self._runner.status()
        if (status.pressure is None) != (self._pressure is None):
            self._display.note(status.pressure or "memory is no longer short: work is admitted again")
        self._pressure = status.pressure
        self._display.show(status)

    async def _tell(self, entry: Entry) -> None:
        name = name_of(entry.source)
        if entry.state != "done":
            self._display.result(in_one_line(f"✗ {name}: {entry.error or entry.state}"), failed=True)
            return
        outputs = await self._runner.journal.outputs(entry.id)
        paths = ", ".join(near(output.path) for output in outputs if output.written and output.path.exists())
        line = f"✓ {name} → {paths}" if paths else f"✓ {name}"
        if entry.again:
            line += " · already done"
        elif entry.items_resumed:
            line += f" · went on after {entry.items_resumed} {'item' if entry.items_resumed == 1 else 'items'}"
        self._display.result(in_one_line(line))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._terminate, signal.SIGHUP: self._stop}
        heard = [number for number in handlers if signal.getsignal(number) != signal.SIG_IGN]  # nohup, background
        for number in heard:
            loop.add_signal_handler(number, handlers[number])
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)

    def _interrupt(self) -> None:
        """Ctrl-C: the first time stop, the second time at once."""
        if self._draining or not self._stops:
            self._stop()
        else:
            self._display.note("stopping at once")
            self._stops.append(asyncio.ensure_future(self._runner.abort()))

    def _terminate(self) -> None:
        """SIGTERM, as containers send it: let what runs end for a while, then stop. A second one stops now."""
        if self._stops or self._drain_s <= 0:
            self._stop()
            return
        self._draining = True
        self._display.note(f"ending: nothing new starts; what runs has {duration(self._drain_s)}, then work is kept")
        self._stops.append(asyncio.ensure_future(self._drain()))

    async def _drain(self) -> None:
        await self._runner.drain(self._drain_s)
        if self._draining:
            self._draining = False
            await self._runner.stop(_TERM_GRACE_S)

    def _stop(self) -> None:
        if self._draining or not self._stops:
            self._draining = False
            self._display.note("stopping: work is kept; press Ctrl-C again to stop at once")
            self._stops.append(asyncio.ensure_future(self._runner.stop()))


def code_of(entries: list[Entry]) -> int:
    """0 when all are done; the code that all have in common when none is (3: nothing can fit); else 1."""
    failed = {exit_code(entry.error) if entry.error else 1 for entry in entries if entry.state != "done"}
    if not failed:
        return 0
    if len(failed) == 1 and all(entry.state != "done" for entry in entries):
        return failed.pop()
    return 1


def summary(made: dict[str, Any], interrupted: bool = False) -> str:
    """The line at the end: jobs by how they ended, memory used and reserved, time."""
    states = [job["state"] for job in made["jobs"]]
    counts = [f"{states.count(state)} {state}" for state in (*ENDED, "queued", "running") if state in states]
    parts = [
        ", ".join(counts) or "nothing done",
        f"peak {format_size(made['peak_used_bytes'])} used of {format_size(made['limit_bytes'])}"
        f" ({where(made['limit_source'])})",
        f"{format_size(made['peak_reserved_bytes'])} reserved of {format_size(max(0, made['budget_bytes']))} budget",
        duration(made["wall_s"]),
    ]
    kept = "; stopped, work is kept: the same command goes on" if interrupted else ""
    return " · ".join(parts) + kept


def where(source: str) -> str:
    """Where a limit was found, in a word."""
    return "container" if source.startswith("cgroup") else source


def check_report(path: Path | None) -> None:
    """See that a report can be written, before anything starts.

    Raises:
        UsageError: its folder is missing, or can't be written.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"--report: {path} is a folder", hint="give the name of a file")
    try:
        try_writing(path.parent)
    except OSError as error:
        raise UsageError(f"--report: {path.parent} can't be written: {error.strerror or error}") from error


def check_out(path: Path) -> None:
    """Make the folder of the outputs, and see that it can be written.

    Raises:
        UsageError: it can't. DiskFull: there is no space for anything.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        try_writing(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(
                f"--out: no space is left on the disk of {path}", hint="free some", path=str(path)
            ) from error
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise UsageError(f"--out: {path} can't be written: {reason}", hint="choose another folder") from error


def try_writing(folder: Path) -> None:
    """Make a file in ``folder``, without a name where the system can, so that a kill leaves none; OSError when that
    can't be done.
    """
    with tempfile.TemporaryFile(prefix=".narrowboat-", dir=folder) as file:
        file.write(b"\0")
        file.flush()
