"""The report of an analysis: one HTML file that needs nothing else. Loads in workers only.

Covers: the page, its tables, names made harmless.
Does not cover: plots (``plots``), figures (``analysis``).
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from narrowboat.pipelines.pose.gathered import Gathered
from narrowboat.pipelines.pose.plots import plots

_STYLE = """
:root { color-scheme: light dark; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; margin: .5rem 0; display: block; overflow-x: auto; }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
p.note { opacity: .75; margin: .2rem 0 .6rem; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(gathered: Gathered, figures: dict[str, Any]) -> str:
    """The page as text."""
    asked = figures["analysis"]
    source = escape(str(figures["source"]))
    width, height = figures["size"]
    smoothed = {"none": "not smoothed", "savgol": "smoothed with Savitzky-Golay"}.get(
        asked["filter"], f"smoothed with Butterworth at {asked['cutoff']:g} Hz"
    )
    note = f"{width} × {height} pixels. Gaps of up to {asked['gap']:g} s are filled, points {smoothed}."
    parts = [f"<h1>Poses in {source}</h1>", f'<p class="note">{note}</p>', *_quality(figures), *_angles(figures)]
    if not figures["people"]:
        parts.append("<p>Nobody was seen in it.</p>")
    for title, about, address in plots(gathered):
        parts += [f"<h2>{title}</h2>", f'<p class="note">{escape(about)}</p>', f'<img alt="{title}" src="{address}">']
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Poses in {source}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _quality(figures: dict[str, Any]) -> Iterable[str]:
    rate = f"{100 * figures['detection_rate']:.1f} %"
    seen = f"{figures['frames_with_pose']} of {figures['frames']}"
    yield "<h2>Quality</h2>"
    yield f"<p>Somebody was seen in {seen} pictures ({rate}); the longest gap is {figures['longest_gap_s']:g} s.</p>"
    if figures["people"]:
        head = ("person", "pictures", "mean visibility", "jitter, px", "longest gap, s", "side swaps")
        keys = ("person_id", "frames", "mean_visibility", "jitter_px", "longest_gap_s", "side_swaps")
        yield _table(head, [[person[key] for key in keys] for person in figures["people"]])


def _angles(figures: dict[str, Any]) -> Iterable[str]:
    head = ("angle", "known", "mean", "deviation", "least", "largest")
    for person in figures["people"]:
        if person["angles"]:
            yield f"<h2>Angles of person {person['person_id']}, degrees</h2>"
            rows = [
                [name.replace("_", " "), f"{100 * told['known']:.0f} %", *(told[key] for key in head[2:])]
                for name, told in person["angles"].items()
            ]
            yield _table(head, rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    def line(cells: Iterable[Any], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{_cell(cell)}</{kind}>" for cell in cells) + "</tr>"

    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def _cell(value: Any) -> str:
    return "–" if value is None else escape(f"{value:g}" if isinstance(value, float) else str(value))
