"""``narrowboat doctor --estimates``: what was learned of the memory of steps.

Covers: the table, the JSON object, the plot's file.
Does not cover: the figures (``runner/estimates``), the picture (``plot``).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator

from narrowboat.cli.output import Output, near, one_line, table
from narrowboat.cli.plot import plot
from narrowboat.runner.estimates import Learned, learned
from narrowboat.runner.report import write_whole
from narrowboat.sizes import MIB

_HEADING = ("step", "version", "measured", "declared", "reserved", "largest", "killed", "quality", "waste", "rule")


def run(values: argparse.Namespace, out: Output) -> int:
    """Tell what was learned, and draw it when asked to; 0."""
    found = asyncio.run(learned(values.home))
    out.data({"version": 1, "home": str(values.home), "estimates": [step.to_json() for step in found]})
    if not found:
        out.line(f"nothing has been learned yet in {values.home}: no step of it has ended")
        return 0
    if not out.json:
        for line in _lines(found):
            out.line(line)
    if values.plot is not None:
        write_whole(plot(found), values.plot, "plot")
        out.note(f"drawn in {near(values.plot)}")
    return 0


def _lines(found: list[Learned]) -> Iterator[str]:
    yield from table([_HEADING, *map(_row, found)])
    inputs, failed = sum(step.inputs for step in found), sum(step.first_kills for step in found)
    share = f" ({100 * failed / inputs:.1f} %)" if inputs else ""
    yield f"killed for use above the reservation at the first try: {failed} of {inputs} inputs{share}"
    yield "sizes in MiB with one core; quality is used ÷ reserved over time, waste the mean of what was not used"


def _row(step: Learned) -> tuple[str, ...]:
    return (
        one_line(" ".join(part for part in (step.step, step.engine) if part), 40),
        one_line(step.version, 12),
        str(step.attempts),
        _mib(step.declared),
        _mib(step.estimated),
        _mib(step.largest),
        str(step.kills),
        "–" if step.quality is None else f"{step.quality:.2f}",
        _mib(step.waste),
        one_line(step.rule, 40),
    )


def _mib(size: int) -> str:
    return f"{size / MIB:.0f}"
