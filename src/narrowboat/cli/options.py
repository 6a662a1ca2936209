"""Options: from the command line, else from a variable, else a default.

Covers: declaring an option once, reading its variable, converting values with one message for a bad one.
Does not cover: which command has which (``commands/``), the environment itself (``narrowboat.config``).

The variable of a common option, or one that says how jobs are done, is NARROWBOAT_ and its name. Those that pick
jobs to show or to delete have the command's name in between: what is set for ``jobs`` must not reach ``clean``.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from narrowboat.config import setting, variable
from narrowboat.errors import UsageError
from narrowboat.sizes import parse_size
from narrowboat.values import GUARD_MEANS

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command.

    Attributes:
        flag: ``--max-download``.
        help: a line for a person; the variable's name is added.
        convert: from text; raises UsageError. None for one that takes no value.
        metavar: what the value is called in the help.
        default: when neither the command line nor the variable says anything; not converted.
        scope: the command's name, for a variable of its own.
    """

    flag: str
    help: str
    convert: Callable[[str], Any] | None = None
    metavar: str | None = None
    default: Any = None
    scope: str = ""

    @property
    def name(self) -> str:
        """The attribute of the parsed values."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return variable(self._key)

    @property
    def _key(self) -> str:
        return f"{self.scope}-{self.flag.lstrip('-')}" if self.scope else self.flag

    def add(self, parser: argparse._ArgumentGroup) -> None:
        """Declare it to argparse."""
        text = f"{self.help} [{self.variable}]".replace("%", "%%")
        if self.convert is None:
            parser.add_argument(self.flag, dest=self.name, help=text, action="store_const", const="yes")
        else:
            parser.add_argument(self.flag, dest=self.name, help=text, metavar=self.metavar)

    def value(self, given: str | None) -> Any:
        """The converted value of what was given, of the variable, or the default.

        Raises:
            UsageError: it makes no sense; says where it came from.
        """
        text = given if given is not None else setting(self._key)
        if text is None:
            return False if self.convert is None else self.default
        try:
            return (self.convert or _truth)(text)
        except UsageError as error:
            where = self.flag if given is not None else self.variable
            raise UsageError(f"{where}: {error.message}", hint=error.hint, **error.facts) from None


def settle(parsed: argparse.Namespace, options: Sequence[Option]) -> argparse.Namespace:
    """The parsed values, converted, with variables and defaults filled in."""
    for option in options:
        setattr(parsed, option.name, option.value(getattr(parsed, option.name)))
    return parsed


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES + _NO:
        raise UsageError(f"{text!r} is neither yes nor no", hint="write 1 or 0")
    return word in _YES


def size(text: str) -> int:
    """Bytes."""
    return parse_size(text)


def count(text: str) -> int:
    """A whole number above zero."""
    if not re.fullmatch(r"\d{1,9}", text.strip()) or int(text) == 0:
        raise UsageError(f"{text!r} is no number above zero", hint="use a whole number, 1 to 999999999")
    return int(text)


def port(text: str) -> int:
    """A port: 0 to 65535."""
    if not re.fullmatch(r"[0-9]{1,5}", text.strip()) or int(text) > 65535:
        raise UsageError(f"{text!r} is no port", hint="use 1 to 65535, or 0 for any that is free")
    return int(text)


def positive(text: str) -> float:
    """A number above zero."""
    if not re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip()) or not float(text):
        raise UsageError(f"{text!r} is no number above zero")
    return float(text)


def number_range(text: str) -> tuple[int, int]:
    """``400-600``; ``500`` is that, give or take a tenth."""
    match = re.fullmatch(r"(\d{1,6})(?:\s*-\s*(\d{1,6}))?", text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no range", hint="write it as 400-600")
    low, high = int(match[1]), int(match[2] or match[1])
    if not 0 < low <= high:
        raise UsageError(f"{text!r} is no range: it goes from {low} to {high}", hint="write it as 400-600")
    return (low, high) if match[2] else (round(0.9 * low), round(1.1 * low))


def folder(text: str) -> Path:
    """An absolute path."""
    if not text.strip() or "\0" in text:
        raise UsageError("a path can't be empty")
    return Path(text).expanduser().absolute()


def seconds(text: str) -> float:
    """Seconds of ``90s``, ``12h`` or ``7d``."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d+)?)([smhdw])", text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is no length of time", hint="write it as 7d, 12h or 30m")
    return float(match[1]) * _UNITS_S[match[2]]


def time_limit(text: str) -> float:
    """Seconds of ``90s``, above zero."""
    found = seconds(text)
    if not found:
        raise UsageError(f"{text!r} is no time to do anything in", hint="write it as 90s or 2h, or leave it out")
    return found


def moment(text: str) -> float:
    """Seconds since the epoch of ``2026-11-01`` (where this machine is), or of so long ago as ``7d`` says."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip()):
        try:
            return datetime.fromisoformat(text.strip()).timestamp()
        except (ValueError, OverflowError):
            raise UsageError(f"{text!r} is no day of the calendar", hint="write it as 2026-11-01, or as 7d") from None
    try:
        return time.time() - seconds(text)
    except UsageError:
        raise UsageError(f"{text!r} is neither a date nor a length of time", hint="write 2026-11-01, or 7d") from None


def matching(given: str) -> str:
    """Text to be found in titles, or a regular expression between slashes."""
    found = text(given)
    if len(found) > 2 and found[0] == found[-1] == "/":
        try:
            re.compile(found[1:-1])
        except re.error as error:
            raise UsageError(
                f"{found} is no regular expression: {error}", hint="without the slashes it is text"
            ) from None
    return found


def words(text: str) -> list[str]:
    """Words between commas, each once, in their order."""
    found = list(dict.fromkeys(word.strip().lower() for word in text.split(",") if word.strip()))
    if not found:
        raise UsageError("at least one is needed")
    return found


def one_of(*allowed: str) -> Callable[[str], list[str]]:
    """Words between commas that are all among ``allowed``."""

    def convert(text: str) -> list[str]:
        found = words(text)
        for word in found:
            if word not in allowed:
                raise UsageError(f"{word!r} is not known", hint=f"choose among {', '.join(allowed)}")
        return found

    return convert


def networks(text: str) -> list[str]:
    """Networks with commas between, such as ``10.1.0.0/16,fd12::/48``."""
    from narrowboat.networks import parse_networks  # what a list of jobs can do without

    return list(map(str, parse_networks(words(text))))


def one_word(*allowed: str) -> Callable[[str], str]:
    """One word that is among ``allowed``."""

    def convert(text: str) -> str:
        found = one_of(*allowed)(text)
        if len(found) > 1:
            raise UsageError(f"{text!r} is more than one", hint=f"choose one of {', '.join(allowed)}")
        return found[0]

    return convert


def stretch(text: str) -> tuple[float | None, float | None]:
    """Seconds from and to: ``10-25``, ``10-``, ``-25``, ``1:30-2:05.5``."""
    match = re.fullmatch(r"([\d:.]*)-([\d:.]*)", text.strip())
    ends = [_clock(part) for part in match.groups()] if match and text.strip() != "-" else []
    if not ends:
        raise UsageError(f"{text!r} is no stretch of time", hint="write it as 10-25, 90-, or 1:30-2:05")
    start, end = ends
    if end is not None and end <= (start or 0):
        raise UsageError(f"{text!r} ends before it begins", hint="write it as 10-25")
    return start, end


def _clock(text: str) -> float | None:
    """Seconds of ``90``, ``1:30`` or ``0:01:30.5``; None of nothing."""
    if not text:
        return None
    if not re.fullmatch(r"(\d{1,3}:)?(\d{1,3}:)?\d{1,6}(\.\d+)?", text):
        raise UsageError(f"{text!r} is no time", hint="write it as 90, 1:30 or 1:02:30")
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def guard(text: str) -> list[str]:
    """``auto``, or means of the guard with commas between."""
    found = words(text)
    return found if found == ["auto"] else one_of(*GUARD_MEANS)(text)


def text(given: str) -> str:
    """Text that is not empty."""
    if not given.strip():
        raise UsageError("the value is empty")
    return given.strip()


MEMORY = Option(
    "--memory", "limit of memory, such as 512M or 1.5G (default: the container's or machine's)", size, "SIZE"
)
CORES = Option("--cores", "cores to use (default: all that this process may run on)", count, "N")
GUARD = Option(
    "--guard",
    f"what keeps workers to their reservations: some of {', '.join(GUARD_MEANS)}, or auto for all that can be had"
    " here (default: auto)",
    guard,
    "MEANS",
    "auto",
)
#: Of commands that run jobs.
RUNNING = (
    MEMORY,
    CORES,
    GUARD,
    Option("--report", "write the run report, as JSON, to this file when jobs were run", folder, "FILE"),
    Option(
        "--address-guard",
        "fetch from public addresses alone, redirects and feeds included; for sources that others name (default: off)",
    ),
    Option("--allow-networks", "with --address-guard: let these through too, with commas", networks, "NETWORKS", []),
    Option("--time-limit", "fail a job when one try of a step takes longer (default: any time)", time_limit, "TIME"),
    Option(
        "--drain",
        "on SIGTERM, let running jobs end for so long before they are stopped (default: 5s)",
        seconds,
        "TIME",
        5.0,
    ),
)
#: Of all commands.
COMMON = (
    Option("--home", "folder of the journal and scratch (default: ~/.narrowboat)", folder, "DIR"),
    Option("--json", "print one JSON object on standard output; lines for people go to standard error"),
    Option("--quiet", "print errors only"),
)
