"""The real command as a process, on a home of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from narrowboat.config import CAPS

COMMAND = [sys.executable, "-m", "narrowboat"]
PATIENCE_S = 60.0


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Running:
    """A command that runs in the background; its lines are read as they come."""

    def __init__(self, args: list[str], env: dict[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *args], env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._said:
                self.lines.append(line.rstrip())
                self._said.notify_all()

    def wait_for(self, text: str) -> None:
        with self._said:
            assert self._said.wait_for(lambda: any(text in line for line in self.lines), PATIENCE_S), self.lines

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code, "\n".join(self.lines)


@dataclass
class Cli:
    folder: Path
    started: list[Running] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("NARROWBOAT_") or k == "NARROWBOAT_CACHE"}
        kept = {k: v for k, v in kept.items() if k not in CAPS}
        return {**kept, "NARROWBOAT_HOME": str(self.home), "NARROWBOAT_OUT": str(self.out), **more}

    def run(self, *args: object, **env: str) -> Done:
        done = subprocess.run(
            [*COMMAND, *map(str, args)],
            env=self.environment(**env),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *args: object, **env: str) -> Running:
        running = Running(list(map(str, args)), self.environment(**env), self.folder)
        self.started.append(running)
        return running

    def jobs(self) -> dict[str, dict[str, Any]]:
        return {job["id"]: job for job in self.run("jobs", "--json").json["jobs"]}

    def until(self, true: Callable[[], bool], running: Running) -> None:
        """Look until something is so; each look is a process of its own, so nothing spins."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert running.process.poll() is None, running.lines
            assert time.monotonic() < deadline, running.lines


def cut(source: Path, target: Path, start_s: float, seconds: float, times: int = 1) -> Path:
    """A piece of a wav file, repeated."""
    with wave.open(str(source)) as given, wave.open(str(target), "wb") as made:
        made.setparams(given.getparams())
        given.setpos(int(start_s * given.getframerate()))
        frames = given.readframes(int(seconds * given.getframerate()))
        for _ in range(times):
            made.writeframes(frames)
    return target
