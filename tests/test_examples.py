"""The examples run, and do what they say: as a user starts them, in processes of their own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def _run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_map_does_what_fits_and_refuses_what_cannot() -> None:
    out = _run("map.py")
    results = dict(line.split(maxsplit=1) for line in out.splitlines()[:-1])
    assert len(results) == 9
    assert results["1,000,000"] == "78,498"
    assert results["40,000,000"] == "2,433,654"
    assert "more than the whole budget" in results["10,000,000,000"]
    peak = re.fullmatch(r"peak (\d+) MiB used of a limit of 256 MiB", out.splitlines()[-1])
    assert peak
    assert 20 < int(peak[1]) <= 256


def test_reserve_keeps_the_sum_within_the_budget() -> None:
    first, *lines, last = _run("reserve.py").splitlines()
    budget = int(first.split()[1])
    assert [re.sub(r" .*", "", line.partition(": ")[2]) for line in lines] == [
        "60", "90", "120", "30", "refused:", "60", "90", "30"
    ]  # fmt: skip
    assert "a limit of" in lines[4]
    assert 120 <= int(last.split()[1]) <= budget


def _committed(home: Path) -> int:
    address = f"{(home / 'journal.db').as_uri()}?mode=ro"
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(address, uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM items").fetchone()[0])
    return 0


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    line = "It floats on what it is given, and what it is given is counted: the boat, the lock, the long canal.\n"
    path.write_text(line * 240_000)
    return path


def test_stream_goes_on_where_it_was_killed(tmp_path: Path, text: Path) -> None:
    undisturbed = _run("stream.py", str(text), "--home", str(tmp_path / "other"))
    home = tmp_path / "home"
    command = [sys.executable, str(EXAMPLES / "stream.py"), str(text), "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        for _ in killed.stdout:
            if _committed(home) >= 3:
                os.kill(killed.pid, signal.SIGKILL)
                break
        else:
            pytest.fail("it ended before anything was committed")
    out = _run("stream.py", str(text), "--home", str(home))
    from_journal, counted = out.count("from the journal:"), out.count(" counted:")
    assert from_journal >= 3
    assert counted > 0
    assert f"done, {from_journal} blocks from the journal" in out
    assert out.replace("from the journal:", "counted:").splitlines()[:-1] == undisturbed.splitlines()[:-1]
