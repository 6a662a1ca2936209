"""What is printed: results on standard output, the rest on standard error.

Covers: which line goes where, text that is safe on a terminal, durations and tables in plain text.
Does not cover: progress while jobs run (``display``, ``live``).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from narrowboat.errors import NarrowboatError


class Output:
    """Standard output and error of a command. A reader who has left (``| head``) is no error.

    Args:
        json: results are the one JSON object; lines for people go to standard error.
        quiet: only errors for people.
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a file name may hold what the terminal's encoding has not
                stream.reconfigure(errors="backslashreplace")

    def line(self, text: str = "") -> None:
        """A line of the result."""
        if not self.quiet:
            _write(sys.stderr if self.json else sys.stdout, text)

    def note(self, text: str) -> None:
        """A line on the way."""
        if not self.quiet:
            _write(sys.stderr, text)

    def error(self, error: NarrowboatError | str) -> None:
        """What went wrong; printed always."""
        _write(sys.stderr, f"narrowboat: {error}")

    def failure(self, text: str) -> None:
        """A job that failed; printed always."""
        _write(sys.stderr, text)

    def data(self, value: dict[str, Any]) -> None:
        """The one JSON object, when it was asked for."""
        if self.json:
            _write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=True), raw=True)


def _write(stream: TextIO, text: str, *, raw: bool = False) -> None:
    try:
        stream.write((text if raw else plain(text)) + "\n")
        stream.flush()
    except (OSError, ValueError):  # the reader or the terminal is gone
        drop(stream)


def drop(stream: TextIO) -> None:
    """Nobody reads the stream any more: what is written from now on goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def plain(text: str) -> str:
    """Text without what a terminal would obey: control characters become ``\\x..``; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _obeyed(c) else f"\\x{ord(c):02x}" for c in text)


def _obeyed(char: str) -> bool:
    return unicodedata.category(char) == "Cc" or char in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"


def in_one_line(text: str) -> str:
    """All of ``text`` on one line: a name may have line ends in it, which are shown as ``\\n``."""
    return "\\n".join(text.splitlines())


def one_line(text: str, width: int) -> str:
    """``text`` on one line, cut in the middle to at most ``width`` characters."""
    text = plain(" ".join(text.split()))
    if len(text) <= width:
        return text
    tail = (width - 1) // 3
    return text[: width - 1 - tail] + "…" + text[len(text) - tail :]


def duration(seconds: float) -> str:
    """``8 s``, ``2 min 10 s``, ``3 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def near(path: Path | str) -> str:
    """A path as it is shortest to read: from the working directory when it is below it."""
    with contextlib.suppress(ValueError, OSError):
        return str(Path(path).relative_to(Path.cwd()))
    return str(path)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as their widest cell; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
