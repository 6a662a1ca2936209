"""A label over many jobs: counted, listed, retried, cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path

from command_harness import Cli
from test_while_it_runs import TINY, recognising

from narrowboat.journal import Journal, NewJob


def test_a_batch_from_beginning_to_retry(cli: Cli, text_mp3: Path) -> None:
    assert cli.run("batches").out.startswith("no batches in ")
    made = cli.run("transcribe", "one.mp3", text_mp3, "--label", "june", "--json").json
    assert made["counts"] == {"queued": 0, "running": 0, "done": 0, "failed": 2, "cancelled": 0}
    assert {job["label"] for job in made["jobs"]} == {"june"}
    cli.run("transcribe", "two.mp3", "--label", "may")
    cli.run("transcribe", "three.mp3")

    may, june = cli.run("batches", "--json").json["batches"]
    assert (may["label"], june["label"]) == ("may", "june")
    assert (june["total"], june["counts"]["failed"], june["progress"]) == (2, 2, 1.0)
    assert june["first"] <= june["last"]
    lines = cli.run("batches").out.splitlines()
    assert lines[0].split() == ["label", "progress", "jobs", "begun", "last"]
    assert "june   100 %     0/2 done · 2 failed" in lines[2]

    of_june = cli.run("jobs", "--label", "june", "--json").json
    assert (of_june["total"], {job["label"] for job in of_june["jobs"]}) == (2, {"june"})
    assert cli.run("jobs", "--label", "june", "--state", "done").out.strip().endswith("'june' that are done")

    again = cli.run("retry", "--failed", "--label", "june", "--json")
    assert again.code == 1
    assert {job["id"] for job in again.json["jobs"]} == {job["id"] for job in of_june["jobs"]}
    every = cli.run("retry", "--failed", "--json").json
    assert every["counts"]["failed"] == 4


def test_retry_failed_leaves_the_others_alone(cli: Cli) -> None:
    async def prepare() -> None:
        async with await Journal.open(cli.home, owner="me") as journal:
            for state in ("done", "cancelled", "failed", "queued"):
                row, _ = await journal.submit(NewJob("transcribe", state, f"/nowhere/{state}.mp3", {}, "june"))
                if state != "queued":
                    await journal.end(await journal.claim(row.id, 60), state)

    asyncio.run(prepare())
    done = cli.run("retry", "--failed", "--json").json
    assert [(job["source"], job["state"]) for job in done["jobs"]] == [("/nowhere/failed.mp3", "failed")]
    assert [job["state"] for job in cli.jobs().values()] == ["queued", "failed", "cancelled", "done"]

    gone = cli.run("cancel", "--label", "june", "--json").json["cancelled"]
    assert [(job["id"], job["state"]) for job in gone] == [("j0004", "cancelled")]
    assert cli.run("cancel", "--label", "june").out.strip() == "no job with the label 'june' waits or runs"


def test_a_batch_is_cancelled_from_a_second_terminal(cli: Cli, long_clip: Path, clip: Path) -> None:
    other = clip.rename(clip.with_name("other.wav"))
    running = cli.start("transcribe", long_clip, other, *TINY, "--label", "june", "--cores", "1", "--memory", "330M")
    recognising(cli, running, long_clip)
    (batch,) = cli.run("batches", "--json").json["batches"]
    assert batch["total"] == 2
    cli.run("cancel", "--label", "june")
    code, said = running.end()
    assert code == 1, said
    assert cli.jobs()["j0001"]["state"] == "cancelled"
    assert cli.run("batches", "--json").json["batches"][0]["progress"] == 1.0


def test_what_makes_no_sense_is_told(cli: Cli) -> None:
    for words, told in (
        (("retry",), "retry takes ids of jobs, or --failed"),
        (("retry", "j0001", "--failed"), "retry takes ids of jobs, or --failed"),
        (("retry", "--label", "june"), "--failed --label TEXT is for those of one label"),
        (("cancel",), "cancel takes ids of jobs, or --label"),
        (("cancel", "j0001", "--label", "june"), "cancel takes ids of jobs, or --label"),
    ):
        done = cli.run(*words)
        assert done.code == 2
        assert told in done.err
    done = cli.run("retry", "--failed")
    assert (done.code, done.out.strip()) == (0, "no job has failed")
