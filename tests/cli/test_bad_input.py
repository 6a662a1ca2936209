"""Sources that can't be worked on: one clear line each, the right exit code, no output."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from command_harness import Cli

REPORT = {
    "version": int,
    "limit_bytes": int,
    "limit_source": str,
    "budget_bytes": int,
    "enforcement": list,
    "oom_group": bool,
    "pressure": list,
    "wall_s": float,
    "supervisor_peak_bytes": int,
    "peak_used_bytes": int,
    "peak_reserved_bytes": int,
    "counts": dict,
    "jobs": list,
}
JOB = {
    "id": str,
    "pipeline": str,
    "source": str,
    "label": (str, type(None)),
    "state": str,
    "reason": (dict, type(None)),
    "attempts": int,
    "overruns": int,
    "items": int,
    "items_resumed": int,
    "peak_used_bytes": int,
    "seconds": (int, float),
    "outputs": list,
}


def check_report(report: dict[str, object]) -> None:
    for schema, thing in [(REPORT, report), *((JOB, job) for job in report["jobs"])]:  # type: ignore[attr-defined]
        assert set(schema) == set(thing)
        for name, kind in schema.items():
            assert isinstance(thing[name], kind), name


def no_output(cli: Cli) -> bool:
    return not any(cli.out.iterdir()) and not (cli.home / "scratch").exists()


def test_a_missing_file(cli: Cli) -> None:
    done = cli.run("transcribe", "missing.mp3")
    assert done.code == 1
    assert done.err.splitlines() == [f"✗ missing.mp3: {cli.folder / 'missing.mp3'} does not exist"]
    assert no_output(cli)


def test_a_folder(cli: Cli) -> None:
    (cli.folder / "talks").mkdir()
    done = cli.run("transcribe", "talks")
    assert done.code == 1
    assert done.err.splitlines() == [f"✗ talks: {cli.folder / 'talks'} is a folder (name the files in it)"]
    assert no_output(cli)


def test_an_empty_file(cli: Cli) -> None:
    (cli.folder / "empty.mp3").touch()
    done = cli.run("transcribe", "empty.mp3")
    assert done.code == 1
    assert done.err.splitlines() == [f"✗ empty.mp3: {cli.folder / 'empty.mp3'} is empty (0 bytes)"]
    assert no_output(cli)


def test_text_that_is_called_mp3(cli: Cli, text_mp3: Path) -> None:
    done = cli.run("transcribe", text_mp3)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith("✗ text.mp3: text.mp3 is not media")
    assert no_output(cli)


def test_an_address_of_a_kind_that_is_not_supported_is_wrong_usage(cli: Cli) -> None:
    done = cli.run("transcribe", "ftp://user:secret@example.org/talk.mp3")
    assert done.code == 2
    assert "✗ ftp://example.org/talk.mp3" in done.err
    assert "secret" not in done.err + done.out


def test_nothing_can_fit(cli: Cli, text_mp3: Path) -> None:
    report = cli.folder / "report.json"
    done = cli.run("transcribe", text_mp3, "--memory", "40M", "--report", report)
    assert done.code == 3
    (line,) = done.err.splitlines()
    assert "more than the whole budget" in line
    assert "the limit of 40.0 MiB (--memory)" in line
    (job,) = json.loads(report.read_text())["jobs"]
    assert job["reason"]["code"] == "cannot_fit"
    assert no_output(cli)


def test_several_that_fail_in_their_own_ways(cli: Cli, text_mp3: Path) -> None:
    report = cli.folder / "report.json"
    done = cli.run("transcribe", "missing.mp3", text_mp3, "--json", "--report", report)
    assert done.code == 1
    check_report(done.json)
    assert json.loads(report.read_text()) == done.json
    codes = {Path(job["source"]).name: job["reason"]["code"] for job in done.json["jobs"]}
    assert codes == {"missing.mp3": "source", "text.mp3": "source"}
    assert "2 failed" in done.err
    assert not list(cli.folder.glob(".*"))


def test_quiet_prints_errors_only(cli: Cli) -> None:
    done = cli.run("transcribe", "missing.mp3", "--quiet")
    assert done.out == ""
    assert len(done.err.splitlines()) == 1


@pytest.mark.skipif(os.name != "posix", reason="file names of bytes")
def test_names_that_a_terminal_would_obey_or_that_are_no_text(cli: Cli) -> None:
    for name in (b"red\x1b[31m.mp3", b"latin-\xe9.mp3", b"two\nlines.mp3"):
        path = os.fsencode(cli.folder) + b"/" + name
        Path(os.fsdecode(path)).write_bytes(b"no sound at all\n" * 20 + name)
    done = cli.run("transcribe", *sorted(path.name for path in cli.folder.glob("*.mp3")))
    assert done.code == 1
    assert "\x1b" not in done.err + done.out
    assert "3 failed" in done.out
    assert len([line for line in done.err.splitlines() if line.startswith("✗")]) == 3
    assert any(line.startswith("✗ two\\nlines.mp3: two\\nlines.mp3 is not media") for line in done.err.splitlines())
    listed = cli.run("jobs")
    assert listed.code == 0
    assert "\x1b" not in listed.out
