"""A second terminal, Ctrl-C, and going on afterwards; all on real runs of real speech."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from command_harness import Cli, Running

TINY = ("--model", "local:whisper-tiny.en")


def recognising(cli: Cli, running: Running, source: Path, *, some_done: bool = False) -> str:
    """Wait until the source is being recognised (with ``some_done``: and has an item); the job's id."""
    found = []

    def look() -> bool:
        for job in cli.jobs().values():
            live = job["live"]
            if job["source"] == str(source) and live and live["stage"].startswith("recogn") and not live["waiting"]:
                found.append(job["id"])
                return live["used_bytes"] > 0 and (job["items"] > 0 or not some_done)
        return False

    cli.until(look, running)
    return str(found[-1])


def workers_of(pid: int) -> list[int]:
    """The processes below ``pid``."""
    found, left = [], [pid]
    while left:
        for task in Path(f"/proc/{left.pop()}/task").glob("*/children"):
            below = [int(child) for child in task.read_text().split()]
            found += below
            left += below
    return found


def test_a_second_terminal_then_ctrl_c_then_the_same_command(cli: Cli, long_clip: Path, text_mp3: Path) -> None:
    failed = cli.run("transcribe", text_mp3, "--json").json["jobs"][0]["id"]
    report = cli.folder / "report.json"
    running = cli.start("transcribe", long_clip, *TINY, "--report", report)
    job_id = recognising(cli, running, long_clip, some_done=True)

    listed = cli.run("jobs", "--state", "running")
    assert job_id in listed.out and failed not in listed.out
    shown = cli.run("show", job_id)
    assert "state    running: recognis" in shown.out

    refused = cli.run("transcribe", text_mp3)
    assert refused.code == 2
    assert f"is held by process {running.process.pid}" in refused.err
    refused = cli.run("clean")
    assert refused.code == 2
    assert f"is held by process {running.process.pid}" in refused.err

    handed = cli.run("retry", failed, "--json")
    assert handed.code == 0
    assert handed.json["taken"][0]["id"] == failed
    running.wait_for("✗ text.mp3")

    children = workers_of(running.process.pid)
    assert children
    running.interrupt()
    code, said = running.end()
    assert code == 130
    assert "stopping: work is kept; press Ctrl-C again to stop at once" in said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert [child for child in children if Path(f"/proc/{child}/cwd").exists()] == []
    jobs = {job["id"]: job for job in json.loads(report.read_text())["jobs"]}
    assert (jobs[job_id]["state"], jobs[job_id]["reason"]) == ("queued", None)
    kept = jobs[job_id]["items"]
    assert kept >= 1
    assert not (cli.out / "long.txt").exists()
    assert cli.jobs()[job_id]["state"] == "queued"

    on = cli.run("transcribe", long_clip, *TINY, "--json")
    assert on.code == 0
    (job,) = on.json["jobs"]
    assert job["id"] == job_id
    assert job["items_resumed"] == kept
    assert f"went on after {kept} item" in on.err
    assert (cli.out / "long.txt").read_text().count("best of times") == 3


def test_ctrl_c_twice_stops_at_once(cli: Cli, long_clip: Path) -> None:
    running = cli.start("transcribe", long_clip, *TINY)
    recognising(cli, running, long_clip)
    children = workers_of(running.process.pid)
    running.interrupt()
    running.wait_for("stopping: work is kept")
    running.interrupt()
    code, said = running.end()
    assert code == 130
    assert "Traceback" not in said
    assert [child for child in children if Path(f"/proc/{child}/cwd").exists()] == []


def test_sigterm_stops_as_ctrl_c_does(cli: Cli, long_clip: Path) -> None:
    running = cli.start("transcribe", long_clip, *TINY, "--quiet", "--drain", "0s")
    job_id = recognising(cli, running, long_clip)
    os.kill(running.process.pid, signal.SIGTERM)
    code, _ = running.end()
    assert code == 130
    assert cli.jobs()[job_id]["state"] == "queued"

    # No supervisor: the journal itself is told.
    cancelled = cli.run("cancel", job_id)
    assert (cancelled.code, cancelled.out.strip()) == (0, f"{job_id} is cancelled")
    assert cli.run("cancel", job_id).code == 2
    assert not (cli.home / "scratch").exists()


def test_sigterm_lets_what_runs_end(cli: Cli, speech: Path) -> None:
    running = cli.start("transcribe", speech, *TINY, "--drain", "2m")
    recognising(cli, running, speech)
    os.kill(running.process.pid, signal.SIGTERM)
    code, said = running.end()
    assert code == 0
    assert "ending: nothing new starts; what runs has 2 min 0 s, then work is kept" in said
    assert "✓ two_cities.wav" in said
    assert "the same command goes on" not in said


def test_a_second_sigterm_does_not_wait(cli: Cli, long_clip: Path) -> None:
    running = cli.start("transcribe", long_clip, *TINY, "--drain", "10m")
    job_id = recognising(cli, running, long_clip)
    os.kill(running.process.pid, signal.SIGTERM)
    running.wait_for("ending: nothing new starts")
    os.kill(running.process.pid, signal.SIGTERM)
    code, said = running.end()
    assert code == 130
    assert "stopping: work is kept" in said
    assert cli.jobs()[job_id]["state"] == "queued"


def test_cancel_and_retry(cli: Cli, speech: Path) -> None:
    running = cli.start("transcribe", speech, *TINY)
    job_id = recognising(cli, running, speech)
    assert cli.run("cancel", job_id).out.strip() == f"{job_id} is cancelled"
    code, said = running.end()
    assert code == 1
    assert "✗ two_cities.wav: it was cancelled" in said
    assert "1 cancelled" in said
    assert not (cli.out / "two_cities.txt").exists()

    again = cli.run("retry", job_id)
    assert again.code == 0
    assert "✓ two_cities.wav" in again.out
    assert (cli.out / "two_cities.txt").exists()
    refused = cli.run("retry", job_id)
    assert refused.code == 2
    assert "only what failed or was stopped can be retried" in refused.err
