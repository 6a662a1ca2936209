"""A picture of what was learned: peaks, what was declared, and what would be reserved.

Covers: one SVG file that needs nothing else, readable on light and dark pages.
Does not cover: the figures (``runner/estimates``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from narrowboat.memory.estimator import DECLARED
from narrowboat.runner.estimates import Learned
from narrowboat.sizes import MIB

_WIDTH, _HEIGHT = 760, 330  # of one panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 74, 52
#: A declared demand further above the rest than this factor is left out, so that the rest can be seen.
_FAR = 2.5
_STYLE = """
  :root { color-scheme: light dark }
  .page { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 15px; font-weight: 600 } .small { fill: #57606a }
  .grid { stroke: #d8dee4; stroke-width: 1 } .axis { stroke: #8c959f; stroke-width: 1 }
  .peak { fill: #0969da; fill-opacity: 0.6 } .kill { fill: none; stroke: #bc4c00; stroke-width: 2 }
  .reserved { fill: none; stroke: #1a7f37; stroke-width: 2.5 }
  .declared { fill: none; stroke: #6e7781; stroke-width: 1.5; stroke-dasharray: 6 4 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 }
    .grid { stroke: #262c36 } .axis { stroke: #656c76 }
    .peak { fill: #58a6ff } .kill { stroke: #ffa657 } .reserved { stroke: #3fb950 } .declared { stroke: #9198a1 }
  }
"""


def plot(steps: Sequence[Learned]) -> str:
    """The text of an SVG file with a panel for each of ``steps``, one below the other."""
    height = _HEIGHT * len(steps)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">',
        "<title>Peak memory of steps, and what is reserved for them</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
    ]
    for number, step in enumerate(steps):
        parts += [f'<g transform="translate(0 {number * _HEIGHT})">', *_panel(step), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    """From values to pixels."""

    def __init__(self, step: Learned) -> None:
        xs = [point.x for point in step.points]
        self.start, self.end = min(xs), max(xs)
        if self.start == self.end:
            self.start, self.end = self.start - 0.5, self.end + 0.5
        seen = max(*(point.bytes for point in step.points), *(size for _, size in step.reserved_curve), 1)
        declared = max(size for _, size in step.declared_curve)
        self.declared = declared <= _FAR * seen
        self.top = 1.08 * (max(seen, declared) if self.declared else seen)

    def x(self, value: float) -> float:
        share = (value - self.start) / (self.end - self.start)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, size: float) -> float:
        return round(_HEIGHT - _BOTTOM - min(1.0, size / self.top) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _panel(step: Learned) -> Iterator[str]:
    scale = _Scale(step)
    name = " ".join(part for part in (step.step, step.engine) if part)
    yield f'<text class="title" x="{_LEFT}" y="24">{_text(name)}</text>'
    yield f'<text class="small" x="{_LEFT}" y="43">{_text(_caption(step))}</text>'
    yield from _legend(scale.declared, any(point.killed for point in step.points))
    yield from _axes(step, scale)
    yield _path("reserved", step.reserved_curve, scale)
    if scale.declared:
        yield _path("declared", step.declared_curve, scale)
    for point in step.points:
        x, y = scale.x(point.x), scale.y(point.bytes)
        if point.killed:
            yield f'<path class="kill" d="M{x - 5} {y + 5} L{x} {y - 4} L{x + 5} {y + 5} Z"/>'
        else:
            yield f'<circle class="peak" cx="{x}" cy="{y}" r="3.5"/>'


def _caption(step: Learned) -> str:
    return f"version {step.version[:24]} · reserved: {step.rule}"


def _legend(declared: bool, killed: bool) -> Iterator[str]:
    x = _LEFT
    marks = [
        ('<circle class="peak" cx="{0}" cy="58" r="3.5"/>', "peak", True),
        ('<path class="kill" d="M{1} 63 L{0} 54 L{2} 63 Z"/>', "killed there", killed),
        ('<path class="reserved" d="M{1} 58 h16"/>', "reserved", True),
        ('<path class="declared" d="M{1} 58 h16"/>', "declared", declared),
    ]
    for mark, words, shown in marks:
        if shown:
            yield mark.format(x + 8, x + 3, x + 13)
            yield f'<text class="small" x="{x + 23}" y="62">{words}</text>'
            x += 44 + 7 * len(words)


def _axes(step: Learned, scale: _Scale) -> Iterator[str]:
    bottom = _HEIGHT - _BOTTOM
    for size in _ticks(0, scale.top / MIB, 5):
        y = scale.y(size * MIB)
        yield f'<path class="grid" d="M{_LEFT} {y} H{_WIDTH - _RIGHT}"/>'
        yield f'<text class="small" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{_number(size)} MiB</text>'
    unit = MIB if step.axis == DECLARED else 1
    for value in _ticks(scale.start / unit, scale.end / unit, 6):
        if not step.axis and value != int(value):
            continue
        x = scale.x(value * unit)
        yield f'<path class="axis" d="M{x} {bottom} v5"/>'
        yield f'<text class="small" x="{x}" y="{bottom + 20}" text-anchor="middle">{_number(value)}</text>'
    yield f'<path class="axis" d="M{_LEFT} {bottom} H{_WIDTH - _RIGHT}"/>'
    across = {"": "attempts, oldest first", DECLARED: "declared demand, MiB"}.get(step.axis, step.axis)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text class="small" x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">{_text(across)}</text>'


def _path(kind: str, curve: Sequence[tuple[float, int]], scale: _Scale) -> str:
    points = " L".join(f"{scale.x(x)} {scale.y(size)}" for x, size in curve)
    if curve[0][0] == curve[-1][0]:  # one value across: a line through the whole panel
        points = f"{_LEFT} {scale.y(curve[0][1])} L{_WIDTH - _RIGHT} {scale.y(curve[0][1])}"
    return f'<path class="{kind}" d="M{points}"/>'


def _ticks(start: float, end: float, most: int) -> list[float]:
    """Round values from ``start`` to ``end``."""
    raw = (end - start) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first = math.ceil(start / step)
    return [number * step for number in range(first, math.floor(end / step) + 1)]


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3g}"


def _text(text: str) -> str:
    return escape("".join(char if char.isprintable() else "�" for char in text))
