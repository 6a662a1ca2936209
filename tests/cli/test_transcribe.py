"""Real speech through the command: outputs, reports, doing nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from command_harness import Cli, cut
from test_bad_input import check_report

TINY = ("--model", "local:whisper-tiny.en")


def attempts(cli: Cli, job_id: str, step: str) -> int:
    shown = cli.run("show", job_id, "--json").json
    return sum(attempt["step"] == step for attempt in shown["attempts_made"])


def job_of(report: dict[str, Any]) -> dict[str, Any]:
    (job,) = report["jobs"]
    return job


def test_the_life_of_a_transcript(cli: Cli, clip: Path) -> None:
    report = cli.folder / "report.json"
    done = cli.run("transcribe", clip, *TINY, "--memory", "512M", "--report", report, "--label", "first")
    assert done.code == 0
    assert f"✓ clip.wav → {cli.out.relative_to(cli.folder)}/clip.txt" in done.out
    assert "1 done · peak " in done.out
    assert "of 512 MiB (--memory)" in done.out
    assert "best of times" in (cli.out / "clip.txt").read_text()
    made = json.loads(report.read_text())
    check_report(made)
    assert made["limit_bytes"] == 512 << 20
    assert {"polling", "own session"} <= set(made["enforcement"])
    assert 0 < made["supervisor_peak_bytes"] <= 50 << 20
    assert 0 < made["peak_used_bytes"] < 512 << 20
    assert 0 < made["peak_reserved_bytes"] <= made["budget_bytes"] + (8 << 20)
    job = job_of(made)
    assert (job["state"], job["reason"], job["pipeline"], job["source"]) == ("done", None, "transcribe", str(clip))
    assert job["outputs"] == [str(cli.out / "clip.txt")]
    assert job["items"] >= 1

    again = cli.run("transcribe", clip, *TINY)
    assert again.code == 0
    assert "already done" in again.out
    assert attempts(cli, job["id"], "recognise") == 1

    formats = cli.run("transcribe", clip, *TINY, "--formats", "txt,srt,vtt,json", "--json")
    assert formats.code == 0
    assert sorted(Path(path).name for path in job_of(formats.json)["outputs"]) == [
        "clip.json",
        "clip.srt",
        "clip.txt",
        "clip.vtt",
    ]
    assert attempts(cli, job["id"], "recognise") == 1
    assert "-->" in (cli.out / "clip.srt").read_text()
    assert (cli.out / "clip.vtt").read_text().startswith("WEBVTT")
    assert json.loads((cli.out / "clip.json").read_text())["segments"]

    (cli.out / "clip.txt").unlink()
    assert cli.run("transcribe", clip, *TINY).code == 0
    assert "best of times" in (cli.out / "clip.txt").read_text()
    assert attempts(cli, job["id"], "recognise") == 1

    anew = cli.run("transcribe", clip, *TINY, "--again", "--json")
    assert job_of(anew.json)["id"] == job["id"]
    assert job_of(anew.json)["seconds"] > 0
    assert attempts(cli, job["id"], "captions") == 1  # what was done is forgotten
    assert not (cli.home / "scratch").exists()

    shown = cli.run("show", job["id"][:3])
    assert shown.code == 0
    for text in (job["id"], "state    done", "label    first", "recognise", "clip.srt", "attempts"):
        assert text in shown.out


def test_two_sources_of_one_name_and_a_file_that_is_not_ours(cli: Cli, speech: Path) -> None:
    for folder, start in (("a", 0), ("b", 10)):
        (cli.folder / folder).mkdir()
        cut(speech, cli.folder / folder / "talk.wav", start, 3)
    cli.out.mkdir()
    (cli.out / "talk.txt").write_text("mine")
    done = cli.run("transcribe", "a/talk.wav", "b/talk.wav", *TINY, "--json")
    assert done.code == 0
    assert (cli.out / "talk.txt").read_text() == "mine"
    first, second = ((cli.out / name).read_text() for name in ("talk-2.txt", "talk-3.txt"))
    assert first.strip() and second.strip() and first != second
    assert [Path(job["outputs"][0]).name for job in done.json["jobs"]] == ["talk-2.txt", "talk-3.txt"]


def test_one_content_under_two_names_is_one_job(cli: Cli, clip: Path) -> None:
    (cli.folder / "copy.wav").write_bytes(clip.read_bytes())
    done = cli.run("transcribe", clip, "copy.wav", clip, *TINY, "--json")
    assert done.code == 0
    assert len(done.json["jobs"]) == 1
    assert f"{cli.folder / 'copy.wav'} has the same content as {clip}" in done.err


def test_some_done_some_failed_is_one(cli: Cli, clip: Path, text_mp3: Path) -> None:
    done = cli.run("transcribe", clip, text_mp3, *TINY)
    assert done.code == 1
    assert "1 done, 1 failed" in done.out
    assert (cli.out / "clip.txt").exists()


def test_the_default_folder_and_variables(cli: Cli, clip: Path) -> None:
    done = cli.run(
        "transcribe",
        clip,
        NARROWBOAT_OUT="",
        NARROWBOAT_MODEL="local:whisper-tiny.en",
        NARROWBOAT_FORMATS="srt",
        NARROWBOAT_JSON="1",
    )
    assert done.code == 0
    assert [path.name for path in (cli.home / "outputs").iterdir()] == ["clip.srt"]
    assert job_of(done.json)["outputs"] == [str(cli.home / "outputs" / "clip.srt")]
