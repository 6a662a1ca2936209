"""``-`` as a source: what comes from standard input."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_harness import COMMAND, PATIENCE_S, Cli

TINY = ("--model", "local:whisper-tiny.en")


def run(cli: Cli, *args: str, stdin: Any = None, body: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, "transcribe", *args, *TINY],
        env=cli.environment(),
        cwd=cli.folder,
        stdin=stdin,
        input=body,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )


def kept(cli: Cli) -> list[str]:
    return [path.name for path in (cli.home / "scratch").rglob("*") if path.is_file()]


def test_speech_from_a_pipe(cli: Cli, clip: Path) -> None:
    done = run(cli, "-", "--name", "Episode 1.wav", body=clip.read_bytes())
    assert done.returncode == 0, done.stderr
    assert "best of times" in (cli.out / "Episode 1.txt").read_text()
    assert kept(cli) == []
    (job_id,) = cli.jobs()
    for told in (cli.run("jobs").out, cli.run("show", job_id).out.splitlines()[0]):
        assert "Episode 1.wav (sent)" in told
        assert "scratch" not in told

    again = run(cli, "-", str(clip), body=clip.read_bytes())  # the content tells which job it is
    assert again.returncode == 0
    assert b"has the same content as" in again.stderr
    assert len(cli.jobs()) == 1


@pytest.mark.parametrize(
    ("stdin", "code", "said"),
    [
        (subprocess.DEVNULL, 1, b"standard input is empty (0 bytes)"),
        ("terminal", 2, b"standard input is a terminal, so that - names nothing (pipe into it:"),
    ],
)
def test_nothing_can_come(cli: Cli, stdin: Any, code: int, said: bytes) -> None:
    descriptors = pty.openpty() if stdin == "terminal" else ()
    done = run(cli, "-", stdin=descriptors[-1] if descriptors else stdin)
    for descriptor in descriptors:
        os.close(descriptor)
    assert (done.returncode, done.stderr.startswith(b"narrowboat: " + said)) == (code, True), done.stderr
    assert kept(cli) == []


def test_standard_input_that_is_closed(cli: Cli) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "transcribe", "-"]
    done = subprocess.run(command, env=cli.environment(), cwd=cli.folder, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"standard input is closed" in done.stderr


def test_above_the_cap(cli: Cli) -> None:
    done = run(cli, "-", "--max-download", "100K", body=b"x" * 200_000)
    assert done.returncode == 1
    assert b"standard input sent" in done.stderr and b"more than the 100 KiB allowed" in done.stderr
    assert kept(cli) == []


def test_a_name_without_standard_input(cli: Cli) -> None:
    done = run(cli, "a.mp3", "--name", "b.mp3", stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert b"--name is for what comes from standard input" in done.stderr


def test_ctrl_c_on_the_way_leaves_nothing(cli: Cli) -> None:
    with subprocess.Popen(
        [*COMMAND, "transcribe", "-", *TINY],
        env=cli.environment(),
        cwd=cli.folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdin is not None and running.stderr is not None
        running.stdin.write(b"x" * 50_000)
        running.stdin.flush()
        while kept(cli) != ["stdin"]:
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        assert b"stopping: work is kept" in running.stderr.read()
        assert running.wait(PATIENCE_S) == 130
    assert not (cli.home / "scratch").exists()


def test_a_kill_of_the_supervisor_and_a_retry(cli: Cli, clip: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "transcribe", "-", "--name", "talk.wav", *TINY],
        env=cli.environment(),
        cwd=cli.folder,
        stdin=clip.open("rb"),
    ) as running:
        while not cli.jobs():
            assert running.poll() is None
        running.kill()
        running.wait(PATIENCE_S)
    (job_id,) = cli.jobs()
    assert "talk.wav" in kept(cli)
    assert cli.run("retry", job_id).code == 0
    assert "best of times" in (cli.out / "talk.txt").read_text()
    assert not (cli.home / "scratch").exists()
