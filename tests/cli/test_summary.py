"""Summaries through the command: what is written, what is computed again and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_harness import Cli, cut

TINY = ("--model", "local:whisper-tiny.en")


def attempts(cli: Cli) -> dict[str, int]:
    shown = cli.run("show", "j1", "--json").json
    steps = [attempt["step"] for attempt in shown["attempts_made"]]
    return {step: steps.count(step) for step in steps}


@pytest.fixture
def clip(speech: Path, tmp_path: Path) -> Path:
    return cut(speech, tmp_path / "clip.wav", 0, 20)


def transcript(cli: Cli) -> Any:
    return json.loads((cli.out / "clip.json").read_text())


def test_a_summary_of_a_finished_job_computes_only_that(cli: Cli, clip: Path) -> None:
    assert cli.run("transcribe", clip, *TINY, "--formats", "txt,json").code == 0
    assert "summary" not in transcript(cli)
    text = (cli.out / "clip.txt").read_text()
    (cli.out / "clip.txt").write_text("corrected by hand")

    done = cli.run("transcribe", clip, *TINY, "--formats", "txt,json", "--summary", "--summary-words", "10-20")
    assert done.code == 0
    assert "clip.summary.txt" in done.out
    summary = transcript(cli)["summary"]
    assert summary["made_by"] == {"model": "extractive", "kind": "quotes"}
    assert all(quote["text"] in " ".join(text.split()) for quote in summary["quotes"])
    written = (cli.out / "clip.summary.txt").read_text()
    assert written.startswith("Summary (quotes")
    assert summary["text"] in written
    assert (cli.out / "clip.txt").read_text() == "corrected by hand"
    assert (attempts(cli)["recognise"], attempts(cli)["summary"]) == (1, 1)

    again = cli.run("transcribe", clip, *TINY, "--formats", "json", "--summary", "--summary-words", "10-20")
    assert "already done" in again.out
    assert attempts(cli)["summary"] == 1

    other = cli.run("transcribe", clip, *TINY, "--formats", "json", "--summary", "--summary-words", "5-8")
    assert other.code == 0
    assert transcript(cli)["summary"]["words"] < summary["words"]
    assert (attempts(cli)["recognise"], attempts(cli)["summary"]) == (1, 2)

    without = cli.run("transcribe", clip, *TINY, "--formats", "json")
    assert without.code == 0
    assert "summary" not in transcript(cli)
    assert (attempts(cli)["recognise"], attempts(cli)["summary"]) == (1, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--summary", "--summary-words", "600-400"), "goes from 600 to 400"),
        (("--summary", "--summary-words", "many"), "write it as 400-600"),
        (("--summary", "--summary-words", "0"), "is no range"),
        (("--summary", "--summary-model", "gpt"), "there is no language model 'gpt'"),
        (("--formats", "txt,summary"), "summary needs --summary"),
    ],
)
def test_bad_options_are_told_before_anything_starts(cli: Cli, options: tuple[str, ...], said: str) -> None:
    done = cli.run("transcribe", "missing.mp3", *options)
    assert done.code == 2
    assert said in done.err
    assert not cli.home.exists()
