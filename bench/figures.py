"""Figures of a benchmark: a value, and the bound that it should keep to.

Covers: telling them, the table, the exit code; whether a memory limit can be enforced here.
Does not cover: measuring (``box``), the machine (``facts``).
"""

from __future__ import annotations

from dataclasses import dataclass

import box


@dataclass(frozen=True)
class Figure:
    """One line of the table: a figure, and the bound that it should keep to (None: just told)."""

    name: str
    value: float
    unit: str
    bound: str = ""
    holds: bool | None = None


def figure(name: str, value: float, unit: str, bound: float | None = None, *, least: bool = False) -> Figure:
    """A figure that should be at most ``bound``, or at least with ``least``."""
    holds = None if bound is None else value >= bound if least else value <= bound
    sign = "" if bound is None else f"{'≥' if least else '≤'} {bound:g}"
    return Figure(name, value, unit, sign, holds)


def table(figures: list[Figure]) -> str:
    """The figures in columns."""
    width = max(len(figure.name) for figure in figures)
    lines = [f"{'':{width}}  {'value':>8} {'':6} {'bound':>7}  holds"]
    for figure in figures:
        holds = {None: "", True: "yes", False: "NO"}[figure.holds]
        shown = f"{figure.value:8.3f}" if figure.value < 10 else f"{figure.value:8.1f}"
        lines.append(f"{figure.name:{width}}  {shown} {figure.unit:6} {figure.bound:>7}  {holds}".rstrip())
    return "\n".join(lines)


def exit_code(figures: list[Figure]) -> int:
    """What a benchmark ends with: 1 when a figure does not keep to its bound."""
    return int(any(figure.holds is False for figure in figures))


def enforced() -> bool:
    """Whether a memory cgroup can be made here."""
    try:
        box.Group(64 << 20).remove()
    except (OSError, KeyError, StopIteration):
        return False
    return True
