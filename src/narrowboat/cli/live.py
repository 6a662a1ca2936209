"""The live display on a terminal, drawn by rich on standard error.

Covers: a line per running job, a line for the memory of all. Imported only for a terminal.
Does not cover: what the words mean (``display``).
"""

from __future__ import annotations

import sys
import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from narrowboat.cli.output import Output, one_line, plain
from narrowboat.cli.progress import counted, fraction, memory, speed, stage
from narrowboat.runner.status import JobStatus, Status
from narrowboat.sizes import format_size

_DRAW_EVERY_S = 0.25
_BAR = 20
_WIDE = 100  # columns


class LiveDisplay:
    """Redrawn in place four times a second; what ended scrolls above.

    Args:
        out: results go to standard output when that is no terminal.
        console: for tests.
    """

    def __init__(self, out: Output, console: Console | None = None) -> None:
        self._out = out
        self._console = console or Console(stderr=True, highlight=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._drawn = 0.0
        self._gone = False

    def show(self, status: Status) -> None:
        now = time.monotonic()
        if self._gone or now - self._drawn < _DRAW_EVERY_S:
            return
        self._drawn = now
        try:
            if not self._live.is_started:
                self._live.start()
            self._live.update(draw(status, *self._console.size), refresh=True)
        except OSError:  # the terminal was closed; the work goes on
            self._gone = True

    def result(self, text: str, *, failed: bool = False) -> None:
        if not (failed or self._out.json or sys.stdout.isatty()):
            self._out.line(text)
        else:
            self._print(Text(plain(text), style="red" if failed else "green"))

    def note(self, text: str) -> None:
        self._print(Text(plain(text)))

    def close(self) -> None:
        try:
            if self._live.is_started:
                self._live.stop()
        except OSError:
            self._gone = True

    def _print(self, text: Text) -> None:
        try:
            self._console.print(text, soft_wrap=True)
        except OSError:
            self._gone = True


def draw(status: Status, width: int, height: int) -> Group:
    """The picture of a moment, for a terminal of so many columns and lines. A narrow one gets no bars."""
    room = max(1, height - 4)
    table = Table.grid(padding=(0, 2))
    for justify in ("left", "left", "right", "right", "right"):
        table.add_column(no_wrap=True, justify=justify)
    if width >= _WIDE:
        table.add_column(width=_BAR)
    for job in status.jobs[:room]:
        table.add_row(*_row(job, width))
    parts: list[Table | Text] = [table] if status.jobs else []
    if len(status.jobs) > room:
        parts.append(Text(f"… and {len(status.jobs) - room} more", style="dim"))
    return Group(*parts, Text(_totals(status), style="dim", no_wrap=True, overflow="ellipsis"))


def _row(job: JobStatus, width: int) -> list[Text | ProgressBar]:
    done = fraction(job)
    cells: list[Text | ProgressBar] = [
        Text(one_line(job.source, width // 3)),
        Text(one_line(stage(job), width // 4), style="cyan"),
        Text("" if done is None else f"{100 * done:.0f} %"),
        Text(speed(job)),
        Text(memory(job)),
    ]
    if width >= _WIDE:
        cells.append(Text("") if done is None else ProgressBar(total=1.0, completed=done, width=_BAR))
    return cells


def _totals(status: Status) -> str:
    figures = status.memory
    jobs = counted(status.counts) if sum(status.counts.values()) else "starting"
    idle = f" ({format_size(figures.idle)} idle)" if figures.idle else ""
    return (
        f"{jobs} · {format_size(status.used)} used · {format_size(figures.reserved)}{idle} reserved of"
        f" {format_size(max(0, figures.budget))} budget · limit {format_size(figures.limit.bytes)}"
    )
