"""The command ``narrowboat``.

Covers: from the arguments to an exit code; no error ever shows a traceback.
Does not cover: what the commands do (``commands/``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from narrowboat.cli.command import INTERRUPTED
from narrowboat.cli.options import settle
from narrowboat.cli.output import Output, drop, plain
from narrowboat.cli.parser import build_parser, options_of
from narrowboat.config import default_home
from narrowboat.errors import NarrowboatError, exit_code
from narrowboat.shown import safe_text


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. ``argv`` is without the program's name; the process's own when None."""
    out, home = Output(), None
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        parsed = build_parser(words).parse_args(words)
        values = settle(parsed, options_of(parsed.command))
        values.home = home = values.home or default_home().expanduser().absolute()
        out = Output(json=values.json, quiet=values.quiet)
        code = _run(values, out)
    except NarrowboatError as error:
        out.error(error)
        code = exit_code(error)
    except KeyboardInterrupt:
        out.note("interrupted; work is kept")
        code = INTERRUPTED
    except Exception as error:
        _internal(error, home or default_home())
        code = 1
    _flush()
    return code


def _run(values: argparse.Namespace, out: Output) -> int:
    code: int = values.command.run(values, out)
    return code


def _internal(error: Exception, home: Path) -> None:
    """One line for the person, the traceback in a file."""
    import traceback  # what a command that works never needs

    kept = home / "last-error.txt"
    try:
        home.mkdir(parents=True, exist_ok=True)
        kept.write_text(safe_text("".join(traceback.format_exception(error))), "utf-8", errors="replace")
        where = f"; please report it with {kept}"
    except OSError:
        where = "; please report it"
    text = " ".join(str(error).split())[:300]
    Output().error(plain(safe_text(f"internal error: {type(error).__name__}: {text}{where}")))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            drop(stream)
