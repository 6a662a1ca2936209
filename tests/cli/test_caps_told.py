"""Caps on the command line: a bad one stops the command before anything starts; `doctor` tells those that are set."""

from __future__ import annotations

from pathlib import Path

from command_harness import Cli


def test_a_bad_cap_is_told_before_anything_starts(cli: Cli, text_mp3: Path) -> None:
    done = cli.run("transcribe", text_mp3, MAX_CONCURRENT_DOWNLOADS="many")
    assert done.code == 2
    told = "narrowboat: MAX_CONCURRENT_DOWNLOADS: 'many' is no whole number above zero"
    assert done.err.strip() == f"{told} (correct it, or unset it for no cap)"
    assert not (cli.home / "journal.db").exists()


def test_doctor_tells_the_caps_that_are_set(cli: Cli) -> None:
    told = cli.run("doctor", MAX_FILE_SIZE_MB="300", CHUNK_CONCURRENCY="2", MAX_BATCH_SIZE="")
    assert [line for line in told.out.splitlines() if line.startswith("cap ")] == [
        "cap       MAX_FILE_SIZE_MB: 300 MiB",
        "cap       CHUNK_CONCURRENCY: 2",
    ]
    assert cli.run("doctor", "--json", GEMINI_API_CONCURRENCY="4").json["caps"] == {"GEMINI_API_CONCURRENCY": 4}
