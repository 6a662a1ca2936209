"""The parser of the command line.

Covers: all commands with their options and help texts.
Does not cover: variables and conversion (``options``), the commands themselves (``commands/``).
"""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version

from narrowboat.cli.command import Command
from narrowboat.cli.commands import cancel, clean, demo, doctor, jobs, models, retry, show, transcribe
from narrowboat.cli.options import COMMON, Option

COMMANDS: tuple[Command, ...] = (
    transcribe.COMMAND,
    jobs.COMMAND,
    show.COMMAND,
    retry.COMMAND,
    cancel.COMMAND,
    clean.COMMAND,
    models.COMMAND,
    doctor.COMMAND,
    demo.COMMAND,
)

_ABOUT = "Heavy media jobs in a fixed amount of memory: finishes every job, as fast as the budget allows."
_EPILOG = """\
examples:
  narrowboat demo                                      a first transcript, within 512M
  narrowboat transcribe talk.mp3 --memory 1G           transcribe a file
  narrowboat doctor                                    what this machine allows

Every option can be set by the variable that its help names. NARROWBOAT_CACHE says where models are kept.

exit codes: 0 all done; 1 some job failed; 2 wrong usage; 3 refused, since it cannot fit the memory;
130 interrupted (work is kept).
`narrowboat COMMAND --help` tells about a command.
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser; parsed values have ``command`` (a :class:`Command`) and each option's text or None."""
    parser = argparse.ArgumentParser(
        prog="narrowboat",
        description=_ABOUT,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"narrowboat {_version()}")
    choices = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        _add(choices, command)
    return parser


def options_of(command: Command) -> tuple[Option, ...]:
    """All options of a command, the common ones last."""
    return (*command.options, *COMMON)


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
    if command.options:
        own = parser.add_argument_group("options of this command")
        for option in command.options:
            option.add(own)
    common = parser.add_argument_group("common options")
    for option in COMMON:
        option.add(common)
    parser.set_defaults(command=command)


def _version() -> str:
    try:
        return version("narrowboat")
    except PackageNotFoundError:
        return "unknown"
