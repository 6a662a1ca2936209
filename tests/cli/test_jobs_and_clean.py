"""jobs, show, retry, clean, models and doctor without a run beside them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from command_harness import COMMAND, Cli


def test_jobs_of_an_empty_home(cli: Cli) -> None:
    done = cli.run("jobs")
    assert (done.code, done.out.strip()) == (0, f"no jobs in {cli.home}")
    assert not cli.home.exists()


def test_jobs_by_state_and_number(cli: Cli, text_mp3: Path) -> None:
    cli.run("transcribe", "one.mp3", "two.mp3", text_mp3, "--label", "mine")
    listed = cli.run("jobs", "--limit", "2")
    assert len(listed.out.splitlines()) == 4
    assert "… and 1 older: --limit N or --all shows them" in listed.out
    bounded = cli.run("jobs", "--limit", "2", "--json").json
    assert (len(bounded["jobs"]), bounded["total"]) == (2, 3)
    assert len(cli.run("jobs", "--all", "--json").json["jobs"]) == 3
    assert cli.run("jobs", "--state", "failed", "--limit", "1", "--json").json["total"] == 3
    assert cli.run("jobs", "--state", "done,queued").out.strip().endswith("that are done or queued")
    assert "does not exist" in cli.run("jobs").out


def test_a_list_does_not_wait_for_what_runs_jobs(cli: Cli) -> None:
    cli.run("transcribe", "one.mp3")
    code = (
        "import sys; from narrowboat.cli.main import main; main(['jobs'])\n"
        "print({'asyncio', 'rich', 'narrowboat.runner.runner', 'importlib.metadata'} & set(sys.modules))"
    )
    done = subprocess.run([COMMAND[0], "-c", code], env=cli.environment(), capture_output=True, text=True, check=True)
    assert "one.mp3" in done.stdout
    assert done.stdout.endswith("set()\n")


def test_show_says_why_and_what_to_do(cli: Cli, text_mp3: Path) -> None:
    job_id = cli.run("transcribe", text_mp3, "--json").json["jobs"][0]["id"]
    shown = cli.run("show", job_id)
    assert "state    failed" in shown.out
    assert "reason   text.mp3 is not media" in shown.out
    assert "hint     give an audio or video file" in shown.out
    full = cli.run("show", job_id, "--json").json
    assert [(attempt["step"], attempt["outcome"]) for attempt in full["attempts_made"]] == [("probe", "failed")]


def test_an_id_that_fits_two_jobs(cli: Cli) -> None:
    cli.run("transcribe", "one.mp3", "two.mp3")
    done = cli.run("show", "j00")
    assert done.code == 2
    assert "fits more than one job" in done.err


def test_retry_of_what_fails_again(cli: Cli, text_mp3: Path) -> None:
    job_id = cli.run("transcribe", text_mp3, "--json").json["jobs"][0]["id"]
    done = cli.run("retry", job_id, "--json")
    assert done.code == 1
    assert [job["id"] for job in done.json["jobs"]] == [job_id]
    assert "✗ text.mp3" in done.err


def test_retry_checks_all_ids_before_anything_starts(cli: Cli, text_mp3: Path) -> None:
    job_id = cli.run("transcribe", text_mp3, "--json").json["jobs"][0]["id"]
    done = cli.run("retry", job_id, "j0999")
    assert done.code == 2
    assert "there is no job 'j0999'" in done.err
    assert cli.run("show", job_id, "--json").json["attempts"] == 1


def test_clean(cli: Cli, text_mp3: Path) -> None:
    cli.run("transcribe", "one.mp3", text_mp3)
    stray = cli.home / "scratch" / "stray"
    stray.mkdir(parents=True)
    (stray / "file").write_bytes(b"x" * 100_000)
    young = cli.run("clean", "--dry-run", "--json").json
    assert (young["jobs"], young["scratch"]) == ([], 1)
    assert young["freed_bytes"] >= 100_000
    assert stray.exists()

    dry = cli.run("clean", "--all", "--dry-run")
    assert dry.out.startswith("would forget 2 jobs, 1 stray scratch folder")
    assert len(cli.jobs()) == 2

    done = cli.run("clean", "--failed", "--older", "0s")
    assert done.out.startswith("forgot 2 jobs, 1 stray scratch folder")
    assert cli.jobs() == {}
    assert not (cli.home / "scratch").exists()
    assert text_mp3.exists()


def test_models(cli: Cli, packs: dict[str, Path]) -> None:
    assert packs["whisper-tiny.en"].is_dir()
    listed = cli.run("models")
    for text in ("local:whisper-base", "local:whisper-tiny.en", "sample-two-cities", "MIT", "67.4 MiB"):
        assert text in listed.out
    for text in ("extractive", "local:multilingual-e5-small", "gemini:MODEL", "openai:MODEL"):
        assert text in listed.out
    found = {pack["name"]: pack for pack in cli.run("models", "list", "--json").json["packs"]}
    assert found["whisper-tiny.en"]["path"] == str(packs["whisper-tiny.en"])
    elsewhere = cli.run("models", "--json", NARROWBOAT_CACHE=str(cli.folder / "cache")).json["packs"]
    assert all(pack["path"] is None for pack in elsewhere)


def test_a_pack_that_cannot_be_had(cli: Cli) -> None:
    done = cli.run(
        "models",
        "pull",
        "whisper-tiny.en",
        NARROWBOAT_CACHE=str(cli.folder / "cache"),
        PIP_NO_INDEX="1",
        PIP_CONFIG_FILE="/dev/null",
        PIP_FIND_LINKS="",
    )
    assert done.code == 1
    assert done.err.strip().splitlines()[-1].startswith("narrowboat: pip could not download")


def test_doctor(cli: Cli) -> None:
    found = cli.run("doctor", "--memory", "300M", "--json").json
    budget = found["budget"]
    assert found["limit_bytes"] == 300 << 20
    assert budget["bytes"] == budget["room_bytes"] - budget["own_bytes"] - budget["headroom_bytes"]
    assert found["worker_error"] is None
    assert not cli.home.exists()
    told = cli.run("doctor", "--memory", "100M")
    assert told.code == 0
    assert "limit     100 MiB, as --memory says" in told.out
    assert "polling" in told.out
    assert "whisper-base needs a budget of" in told.out
    assert "to change" in told.out


def test_doctors_advice_is_enough(cli: Cli) -> None:
    short = cli.run("doctor", "--memory", "100M", "--json").json
    (advice,) = [text for text in short["advice"] if text.startswith("whisper-base")]
    advised = advice.split("give it a limit of ")[1].split(",")[0]
    assert not any("whisper-base" in text for text in cli.run("doctor", "--memory", advised, "--json").json["advice"])
