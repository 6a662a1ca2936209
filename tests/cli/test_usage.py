"""Wrong usage: one message on standard error, exit code 2, and nothing has happened."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from command_harness import COMMAND, Cli

from narrowboat.cli.main import main
from narrowboat.cli.options import COMMON, RUNNING, Option, settle
from narrowboat.cli.parser import COMMANDS, build_parser, load, options_of
from narrowboat.errors import UsageError


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["transcribe", "x.mp3", "--memory", "banana"], "--memory: 'banana' is not a size"),
        (["transcribe", "x.mp3", "--memory", "0"], "--memory: a size must be above zero"),
        (["transcribe", "x.mp3", "--cores", "none"], "--cores: 'none' is no number above zero"),
        (["transcribe", "x.mp3", "--max-download", "-3"], "--max-download"),
        (["transcribe", "x.mp3", "--time-limit", "0s"], "--time-limit: '0s' is no time to do anything in"),
        (["jobs", "--limit", "99999999999"], "use a whole number, 1 to 999999999"),
        (["transcribe", "x.mp3", "--model", "local:whisper-huge"], "there is no speech model 'local:whisper-huge'"),
        (["transcribe", "x.mp3", "--language", "klingon"], "'klingon' is not a language"),
        (["transcribe", "x.mp3", "--model", "local:whisper-tiny.en", "--language", "de"], "knows English only"),
        (["transcribe", "x.mp3", "--formats", "txt,doc"], "--formats: 'doc' is not known"),
        (["transcribe", "x.mp3", "--formats", " , "], "--formats: at least one is needed"),
        (["transcribe", "x.mp3", "--report", "nowhere/report.json"], "nowhere can't be written"),
        (["transcribe", "x.mp3", "--report", "."], "is a folder"),
        (["transcribe", "x.mp3", "--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["transcribe"], "required: SOURCE"),
        ([], "required: COMMAND"),
        (["sing"], "invalid choice: 'sing'"),
        (["clean", "--older", "soon"], "--older: 'soon' is no length of time"),
        (["jobs", "--state", "happy"], "--state: 'happy' is not known"),
        (["models", "pull"], "pull needs a name"),
        (["models", "pull", "whisper-huge"], "there is no pack 'whisper-huge'"),
        (["show", "j0007"], "there is no job 'j0007'"),
        (["cancel", "j0007"], "there is no job 'j0007'"),
        (["retry", "j0007"], "there is no job 'j0007'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_two(
    tmp_path: Path,
    args: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable in [key for key in os.environ if key.startswith("NARROWBOAT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("NARROWBOAT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    try:
        code: object = main(args)
    except SystemExit as exit:  # argparse's own
        code = exit.code
    said = capsys.readouterr()
    assert code == 2
    assert message in said.err
    assert said.out == ""
    assert not list(tmp_path.rglob("*.txt"))


def test_wrong_usage_of_the_real_command(cli: Cli) -> None:
    done = cli.run("transcribe", "x.mp3", "--memory", "banana")
    assert (done.code, done.out) == (2, "")
    assert done.err == "narrowboat: --memory: 'banana' is not a size (write it as 512M, 1.5G or a number of bytes)\n"
    done = cli.run("transcribe", "x.mp3", "--frobnicate")
    assert done.code == 2
    assert done.err == "narrowboat: unrecognized arguments: --frobnicate (`narrowboat --help` tells what there is)\n"


def test_an_output_folder_that_is_a_file(cli: Cli) -> None:
    cli.out.write_text("mine")
    done = cli.run("transcribe", "x.mp3")
    assert done.code == 2
    assert f"--out: {cli.out} can't be written: it is a file" in done.err
    assert cli.out.read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that root can't write either")
def test_an_output_folder_that_cannot_be_made(cli: Cli) -> None:
    done = cli.run("transcribe", "x.mp3", "--out", "/proc/narrowboat")
    assert done.code == 2
    assert "--out: /proc/narrowboat can't be written" in done.err


def test_a_home_that_cannot_be_made(cli: Cli) -> None:
    (cli.folder / "file").write_text("")
    done = cli.run("transcribe", "x.mp3", "--home", cli.folder / "file" / "home")
    assert done.code == 2
    assert "can't be used as home" in done.err


def test_a_missing_extra_is_told_with_the_command_to_install_it(cli: Cli) -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'ctranslate2' else find(name, *a)\n"
        "from narrowboat.cli.main import main; sys.exit(main(['transcribe', 'x.mp3']))"
    )
    done = subprocess.run([COMMAND[0], "-c", code], env=cli.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "narrowboat: transcribing needs ctranslate2, which this Python has not (pip install 'narrowboat[speech]')"
    )


def test_help_and_version(cli: Cli) -> None:
    assert cli.run("--version").out.startswith("narrowboat ")
    assert cli.run("transcribe", "--help").code == 0


def test_every_option_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in map(load, COMMANDS):
        with pytest.raises(SystemExit):
            main([command.name, "--help"])
        text = " ".join(capsys.readouterr().out.split())
        assert "examples:" in text
        for option in options_of(command):
            assert option.flag in text
            assert option.variable in text


# -- variables -----------------------------------------------------------------------------------------------------


ALL = [(command, option) for command in map(load, COMMANDS) for option in options_of(command)]
_VALUES = {
    "FROM-TO": ("10-20", (10, 20)),
    "SIZE": ("3M", 3 << 20),
    "N": ("3", 3),
    "DIR": ("/some/where", Path("/some/where")),
    "FILE": ("/some/file", Path("/some/file")),
    "MODEL": ("local:x", "local:x"),
    "CODE": ("en", "en"),
    "TEXT": ("word", "word"),
    "TIME": ("2h", 7200.0),
    "DATE": ("2026-11-01", datetime(2026, 11, 1).timestamp()),
    "ADDRESS": ("https://example.org/a.mp3", "https://example.org/a.mp3"),
    "NETWORKS": ("10.1.0.0/16,::1/128", ["10.1.0.0/16", "::1/128"]),
    "HOW": ("strong", "strong"),
    "NUMBER": ("3.5", 3.5),
    "ANGLES": ("a=nose:left_hip:left_knee", {"a": ("nose", "left_hip", "left_knee")}),
    "MEANS": ("polling,rlimit", ["polling", "rlimit"]),
    "WHICH": ("outline", "outline"),
    "WAY": ("labels", "labels"),
    "HOST": ("::1", "::1"),
    "PORT": ("8123", 8123),
    "URL": ("https://example.org/{id}", "https://example.org/{id}"),
    "FEEDS": ("https://a.example/x https://b.example/y", ["https://a.example/x", "https://b.example/y"]),
    "FORM": ("json", ["json"]),
    "NAME": ("phone", "phone"),
}


#: Commands that need a source, or an id.
_NEED_ONE = {"transcribe", "watch", "pose", "analyse", "extract", "outline", "split", "show", "retry", "cancel"}


@pytest.mark.parametrize(("command", "option"), ALL, ids=[f"{c.name} {o.flag}" for c, o in ALL])
def test_every_option_has_a_variable(command: object, option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    name = command.name  # type: ignore[attr-defined]
    needs = ["x"] if name in _NEED_ONE else []
    for variable in [key for key in os.environ if key.startswith("NARROWBOAT_")]:
        monkeypatch.delenv(variable)
    lists = {"--formats": ("srt,txt", ["srt", "txt"]), "--state": ("done", ["done"])}
    lists |= {"pose --formats": ("full,json", ["full", "json"]), "analyse --formats": ("report", ["report"])}
    lists |= {"extract --formats": ("md,csv", ["md", "csv"])}
    lists |= {"--size": ("64x48", [64, 48]), "--filter": ("none", "none")}
    text, expected = (
        lists.get(f"{name} {option.flag}") or lists.get(option.flag) or _VALUES.get(option.metavar or "", ("yes", True))
    )
    unset = getattr(settle(build_parser().parse_args([name, *needs]), options_of(command)), option.name)  # type: ignore[arg-type]
    assert unset != expected
    monkeypatch.setenv(option.variable, text)
    values = settle(build_parser().parse_args([name, *needs]), options_of(command))  # type: ignore[arg-type]
    assert getattr(values, option.name) == expected


def test_the_command_line_is_stronger_than_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARROWBOAT_MEMORY", "banana")
    values = settle(build_parser().parse_args(["doctor", "--memory", "5M"]), options_of(load("doctor")))
    assert values.memory == 5 << 20


def test_a_list_has_no_options_that_say_how_jobs_are_run(cli: Cli) -> None:
    for name in ("jobs", "batches", "show", "cancel", "clean", "sources", "keys"):
        assert not {option.flag for option in options_of(load(name))} & {option.flag for option in RUNNING}
    done = cli.run("jobs", "--memory", "5M")
    assert done.code == 2
    assert "--memory" in done.err


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(UsageError, match="NARROWBOAT_QUIET: 'perhaps' is neither yes nor no"):
        settle_with("NARROWBOAT_QUIET", "perhaps")


def settle_with(variable: str, value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        settle(build_parser().parse_args(["jobs"]), COMMON)


def test_what_is_set_for_speech_does_not_reach_documents() -> None:
    speech = {option.variable for option in options_of(load("transcribe"))}
    for command in ("extract", "outline", "pose", "analyse"):
        own = {option.variable for option in load(command).options if option.flag in ("--model", "--formats")}
        assert own
        assert not own & speech


def test_what_is_set_for_jobs_does_not_reach_clean() -> None:
    variables = [option.variable for option in load("clean").options]
    assert all(variable.startswith("NARROWBOAT_CLEAN_") for variable in variables)


# -- surprises --------------------------------------------------------------------------------------------------------


def test_an_internal_error_is_one_line_and_the_traceback_is_kept(cli: Cli) -> None:
    code = "import sys; from narrowboat.cli import main as m; m.settle = lambda *a: 1 / 0\nsys.exit(m.main(['jobs']))"
    done = subprocess.run([COMMAND[0], "-c", code], env=cli.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("narrowboat: internal error: ZeroDivisionError: division by zero; please report")
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" in (cli.home / "last-error.txt").read_text()


def test_a_reader_that_leaves_is_no_error(cli: Cli) -> None:
    process = subprocess.Popen(
        [*COMMAND, "models"], env=cli.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cli.folder
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
