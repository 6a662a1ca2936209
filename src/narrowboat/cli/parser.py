"""The parser of the command line.

Covers: all commands with their options and help texts.
Does not cover: variables and conversion (``options``), the commands themselves (``commands/``).
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any, NoReturn

from narrowboat.cli.command import Command
from narrowboat.cli.options import COMMON, RUNNING, Option
from narrowboat.shown import safe_text

#: Each is a module of ``commands/``, loaded when it is asked for: a list of jobs must not wait for what runs them.
COMMANDS: tuple[str, ...] = (
    "transcribe",
    "watch",
    "pose",
    "analyse",
    "extract",
    "outline",
    "split",
    "jobs",
    "batches",
    "show",
    "retry",
)
COMMANDS += ("cancel", "sources", "clean", "models", "doctor", "demo", "serve", "keys")

_ABOUT = "Heavy media jobs in a fixed amount of memory: finishes every job, as fast as the budget allows."
_EPILOG = """\
examples:
  narrowboat demo                                      a first transcript, first poses and first answers, within 512M
  narrowboat transcribe talk.mp3 --memory 1G           transcribe a file
  narrowboat pose squat.mp4 --overlay                  people's landmarks in a video, and a video that shows them
  narrowboat doctor                                    what this machine allows

Every option can be set by the variable that its help names. NARROWBOAT_CACHE says where models are kept.

exit codes: 0 all done; 1 some job failed; 2 wrong usage; 3 refused, since it cannot fit the memory;
130 interrupted (work is kept).
`narrowboat COMMAND --help` tells about a command.
"""


def load(name: str) -> Command:
    """The command of this name."""
    command: Command = importlib.import_module(f"narrowboat.cli.commands.{name}").COMMAND
    return command


def build_parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser; parsed values have ``command`` (a :class:`Command`) and each option's text or None.

    Args:
        words: what will be parsed. When it begins with a command, the others are not loaded.
    """
    parser: argparse.ArgumentParser = _Parser(
        prog="narrowboat",
        description=_ABOUT,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="print the version and leave")
    # With its own idea of `prog`, argparse would lay out a help text to find it.
    choices = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="narrowboat")
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        _add(choices, load(name))
    return parser


def options_of(command: Command) -> tuple[Option, ...]:
    """All options of a command, the common ones last."""
    return (*command.options, *(RUNNING if command.runs else ()), *COMMON)


def _add(choices: argparse._SubParsersAction[argparse.ArgumentParser], command: Command) -> None:
    parser = choices.add_parser(
        command.name,
        help=command.help,
        description=command.about,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in command.examples.strip().splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(parser)
    running = RUNNING if command.runs else ()
    for title, options in (
        ("options of this command", command.options),
        ("how jobs are run", running),
        ("common options", COMMON),
    ):
        group = parser.add_argument_group(title)  # one without options is not shown
        for option in options:
            option.add(group)
    parser.set_defaults(command=command)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every error is said, without the secrets of addresses."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"narrowboat: {safe_text(message)} (`{self.prog} --help` tells what there is)\n")


class _Version(argparse.Action):
    """``--version``; the figure is looked up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("narrowboat")
        except PackageNotFoundError:
            found = "unknown"
        print(f"narrowboat {found}")
        parser.exit()
