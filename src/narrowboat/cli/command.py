"""What a command of the command line is.

Covers: the declaration that each module in ``commands/`` makes.
Does not cover: parsing (``parser``), doing (``commands/``).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from narrowboat.cli.options import Option
from narrowboat.cli.output import Output

#: Exit code of a command that was stopped by a signal: 128 + SIGINT, as shells have it.
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: as it is typed.
        help: one line.
        about: what it does, in a few sentences.
        examples: lines for the end of its help.
        run: does it; gets the settled values and the output, returns the exit code.
        options: beside the common ones.
        arguments: declares what comes without a flag.
        runs: it runs jobs, and has the options that say how.
    """

    name: str
    help: str
    about: str
    examples: str
    run: Callable[[argparse.Namespace, Output], int]
    options: tuple[Option, ...] = ()
    arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    runs: bool = False
