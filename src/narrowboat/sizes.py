"""Sizes in bytes, as people write and read them.

Covers: ``512M`` to bytes and back. Units are binary: 1M is 1 MiB, 1048576 bytes, as containers count.
"""

from __future__ import annotations

import re

from narrowboat.errors import UsageError

MIB = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", re.IGNORECASE)


def parse_size(text: str | int) -> int:
    """Bytes of ``"512M"``, ``"1.5 GiB"``, ``"1048576"`` or an int.

    Raises:
        UsageError: the text is no size, or the size is not above zero.
    """
    if isinstance(text, int):
        size = text
    else:
        match = _SIZE.fullmatch(text)
        if match is None:
            raise UsageError(f"{text!r} is not a size", hint="write it as 512M, 1.5G or a number of bytes")
        size = int(float(match[1]) * _UNITS[match[2].upper()])
    if size <= 0:
        raise UsageError(f"a size must be above zero, not {text!r}", hint="write it as 512M or 1.5G")
    return size


def format_size(size: float) -> str:
    """``size`` in bytes as ``"412 MiB"``, ``"1.5 GiB"``: rounded to three figures at most, within 5 %."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1023.5:
            break
        value, unit = value / 1024, larger
    if unit == "B" or abs(value) >= 99.5:
        return f"{value:.0f} {unit}"
    return f"{value:.1f} {unit}"
