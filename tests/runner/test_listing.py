"""Jobs of a home as they are told from outside."""

import asyncio
import socket
from pathlib import Path

import pytest

from narrowboat.journal import Journal, NewJob
from narrowboat.runner.asking import ask
from narrowboat.runner.listing import listing


def test_what_ran_when_its_supervisor_died_is_told_as_queued(tmp_path: Path) -> None:
    async def leave_three() -> None:
        async with await Journal.open(tmp_path, owner="gone") as journal:
            for name in ("done", "cut off", "waiting"):
                job = NewJob(
                    "transcribe", name, f"https://host/{name}?…", {}, address=f"https://host/{name}?key=secret"
                )
                row, _ = await journal.submit(job)
                if name != "waiting":
                    claim = await journal.claim(row.id, 60)
                if name == "done":
                    await journal.end(claim, "done")

    asyncio.run(leave_three())
    found = listing(tmp_path)
    assert [(job["id"], job["state"]) for job in found["jobs"]] == [
        ("j0003", "queued"),
        ("j0002", "queued"),
        ("j0001", "done"),
    ]
    assert (found["total"], found["supervisor"]) == (3, False)
    assert "secret" not in str(found)
    assert [job["id"] for job in listing(tmp_path, ["queued"])["jobs"]] == ["j0003", "j0002"]
    assert listing(tmp_path, ["running", "failed"]) == {"jobs": [], "total": 0, "supervisor": False}
    newest = listing(tmp_path, limit=1)
    assert ([job["id"] for job in newest["jobs"]], newest["total"]) == (["j0003"], 3)


def test_a_supervisor_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "control.sock"))
        silent.listen()
        with pytest.raises(TimeoutError):
            ask(tmp_path, {"op": "status"}, timeout_s=0.05)


def test_a_socket_that_a_killed_supervisor_left_is_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "control.sock"))
    assert ask(tmp_path, {"op": "status"}) is None
    assert listing(tmp_path) == {"jobs": [], "total": 0, "supervisor": False}
