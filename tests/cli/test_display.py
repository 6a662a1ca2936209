"""What is drawn while jobs run."""

from __future__ import annotations

import io
import os
import pty
import subprocess
from pathlib import Path

from command_harness import COMMAND, Cli
from rich.console import Console

from narrowboat.cli.display import EVERY_S, PlainDisplay
from narrowboat.cli.live import draw
from narrowboat.cli.output import Output, duration, one_line, plain
from narrowboat.cli.session import summary
from narrowboat.memory.machine import Limit
from narrowboat.memory.snapshot import Snapshot
from narrowboat.runner.status import JobStatus, Status

MIB = 1 << 20


def job(name: str = "talk.mp3", stage: str = "recognising", **facts: object) -> JobStatus:
    return JobStatus("j0001", name, stage, facts.pop("fraction", None), False, 290 * MIB, 330 * MIB, facts)  # type: ignore[arg-type]


def status(*jobs: JobStatus) -> Status:
    memory = Snapshot(Limit(512 * MIB, "--memory"), 437 * MIB, 330 * MIB, 0, 40 * MIB, 2, 1, 0)
    counts = {"queued": 3, "running": len(jobs), "done": 1, "failed": 0, "cancelled": 0}
    return Status(memory, 331 * MIB, 340 * MIB, list(jobs), counts)


def drawn(shown: Status, width: int, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=height)
    console.print(draw(shown, width, height))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_wide_terminal_shows_everything() -> None:
    lines = drawn(status(job(fraction=0.42, speed=12.34)), 140)
    assert lines[0].startswith("talk.mp3  recognising  42 %  12.3×  290 MiB of 330 MiB  ━━━")
    assert lines[1] == ("1/5 done · 1 running · 331 MiB used · 330 MiB reserved of 437 MiB budget · limit 512 MiB")


def test_a_narrow_terminal_keeps_the_figures() -> None:
    lines = drawn(status(job(name="a very long name of a talk " * 3 + ".mp3", fraction=1.0, speed=12.34)), 80)
    assert all(len(line) <= 80 for line in lines)
    assert "100 %  12.3×  290 MiB of 330 MiB" in lines[0]


def test_a_download_shows_bytes() -> None:
    (line, _) = drawn(status(job(stage="fetch", step_fraction=0.5, bytes_done=5 * MIB, bytes_total=10 * MIB)), 140)
    assert "50 %  5.0 MiB of 10.0 MiB" in line


def test_a_low_terminal_says_how_many_more() -> None:
    lines = drawn(status(*[job() for _ in range(30)]), 100, height=10)
    assert len(lines) <= 9
    assert "… and 24 more" in lines[-2]


def test_names_are_text_and_not_markup() -> None:
    assert drawn(status(job(name="[red]loud[/red]\x1b[1m.mp3")), 140)[0].startswith("[red]loud[/red]\\x1b[1m.mp3")


def test_plain_lines_are_few(capsys: object) -> None:
    now = 0.0
    display = PlainDisplay(Output(), lambda: now)
    for tenth in range(300):
        now = tenth / 10
        display.show(status(job(fraction=tenth / 300, speed=8.0)))
    lines = capsys.readouterr().err.splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if line.endswith("done · 1 running")] == ["1/5 done · 1 running"]
    assert len(lines) - 1 == 1 + 30 // EVERY_S - 1
    assert lines[0] == "talk.mp3: recognising 3 % · 8.0× · 290 MiB of 330 MiB"


def test_a_stage_that_passes_at_once_gets_no_line(capsys: object) -> None:
    now = 0.0
    display = PlainDisplay(Output(), lambda: now)
    for stage in ("probe", "prepare", "captions"):
        display.show(status(job(stage=stage)))
        now += 0.5
    assert capsys.readouterr().err == ""  # type: ignore[attr-defined]


def test_words() -> None:
    assert [duration(s) for s in (0.26, 9.96, 59.4, 130, 3600 * 3 + 300)] == [
        "0.3 s",
        "10.0 s",
        "59 s",
        "2 min 10 s",
        "3 h 5 min",
    ]
    assert plain("a\x1b]0;x\x07\u202e.mp3") == "a\\x1b]0;x\\x07\\x202e.mp3"
    assert one_line("x" * 50 + ".mp3", 20) == "xxxxxxxxxxxxx…xx.mp3"
    made = {
        "jobs": [{"state": "done"}] * 3 + [{"state": "failed"}],
        "peak_used_bytes": 371 * MIB,
        "limit_bytes": 512 * MIB,
        "limit_source": "cgroup v2 /",
        "peak_reserved_bytes": 330 * MIB,
        "budget_bytes": 437 * MIB,
        "wall_s": 130.0,
    }
    assert summary(made) == (
        "3 done, 1 failed · peak 371 MiB used of 512 MiB (container) · 330 MiB reserved of 437 MiB budget · 2 min 10 s"
    )


def test_on_a_real_terminal(cli: Cli, text_mp3: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "transcribe", str(text_mp3)],
        env=cli.environment(TERM="xterm-256color", COLUMNS="120", LINES="24"),
        cwd=cli.folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    said = b""
    try:
        while part := os.read(master, 4096):
            said += part
    except OSError:  # the last one has closed it
        pass
    os.close(master)
    assert process.wait() == 1
    text = said.decode()
    assert "✗ text.mp3: text.mp3 is not media" in text
    assert "1 failed · peak" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0  # the cursor is back
    assert "Traceback" not in text
