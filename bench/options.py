"""Options that several benchmarks have, said once.

Covers: the box, the guard, chances, where figures go, what is left to look at, and the folder that it is left in.
Does not cover: what a benchmark alone asks.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_OPTIONS: dict[str, dict[str, Any]] = {
    "--memory": {"default": "512M", "help": "the limit, of the box too (default: %(default)s)"},
    "--guard": {"help": "as Narrowboat's --guard; its own choice when not given"},
    "--model": {"default": "local:whisper-tiny.en", "help": "(default: %(default)s)"},
    "--seed": {"type": int, "default": random.SystemRandom().randrange(1 << 31), "help": "of all chances"},
    "--json": {"type": Path, "metavar": "FILE", "help": "write the figures and the machine's facts there"},
    "--keep": {"type": Path, "metavar": "DIR", "help": "work in DIR and leave homes and outputs there"},
}


def add(parser: argparse.ArgumentParser, *flags: str) -> None:
    """Declare these of the options."""
    for flag in flags:
        parser.add_argument(flag, **_OPTIONS[flag])


@contextlib.contextmanager
def folder(keep: Path | None, name: str) -> Iterator[Path]:
    """The folder of ``--keep``, or one that goes."""
    with contextlib.ExitStack() as stack:
        work = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"narrowboat-{name}-")))
        work.mkdir(parents=True, exist_ok=True)
        yield work.absolute()
