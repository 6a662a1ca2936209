"""Plots of an analysis as pictures inside a page. Loads in workers only.

Covers: angles and visibility over time, ways of landmarks, the map of places.
Does not cover: what is drawn (``curves``), the page around them (``report``).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from narrowboat.pipelines.pose.gathered import FOLLOWED, Gathered, Person

mpl.use("Agg")
_STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25}
_COLOURS = ("#d95f02", "#1b76c4", "#3a923a", "#8a5fb5", "#a0522d", "#c23b75")
_DPI = 110
_DRAWN = len(_COLOURS)  # people; figures are told of all


def plots(gathered: Gathered) -> Iterator[tuple[str, str, str]]:
    """(title, what it shows, address of a PNG inside the page) of each."""
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        people = dict(sorted(gathered.people.items())[:_DRAWN])
        if not people:
            return
        yield (
            "Angles",
            "Degrees over time; the band goes from least to largest.",
            _angles(gathered, people),
        )
        yield "Visibility", "Mean of all landmarks, from 0 to 1, over time.", _visibility(people)
        yield "Ways", f"Where {', '.join(FOLLOWED).replace('_', ' ')} went in the picture.", _ways(gathered, people)
        yield "Places", "Where landmarks were, the brighter the more often.", _places(gathered)


def _angles(gathered: Gathered, people: dict[int, Person]) -> str:
    figure = Figure(figsize=(9, 1.25 * len(gathered.names) + 0.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(gathered.names), 1, sharex=True))
    for colour, (number, person) in zip(_COLOURS, people.items(), strict=False):
        times, means, low, high = person.curve.bins()
        for column, axis in enumerate(axes):
            axis.fill_between(times, low[:, column], high[:, column], color=colour, alpha=0.25, linewidth=0)
            axis.plot(times, means[:, column], color=colour, linewidth=1, label=f"person {number}")
    for name, axis in zip(gathered.names, axes, strict=True):
        axis.set_ylabel(name.replace("_", "\n"))
        axis.set_ylim(0, 185)
        axis.set_yticks([0, 90, 180])
    axes[-1].set_xlabel("seconds")
    if len(people) > 1:
        axes[0].legend(loc="lower right", ncols=len(people), fontsize=8)
    return _png(figure)


def _visibility(people: dict[int, Person]) -> str:
    figure = Figure(figsize=(9, 2.2), layout="constrained")
    axis = figure.subplots()
    for colour, (number, person) in zip(_COLOURS, people.items(), strict=False):
        times, means, low, high = person.visible.bins()
        axis.fill_between(times, low[:, 0], high[:, 0], color=colour, alpha=0.25, linewidth=0)
        axis.plot(times, means[:, 0], color=colour, linewidth=1, label=f"person {number}")
    axis.set_ylim(0, 1.02)
    axis.set_xlabel("seconds")
    if len(people) > 1:
        axis.legend(loc="lower right", ncols=len(people), fontsize=8)
    return _png(figure)


def _ways(gathered: Gathered, people: dict[int, Person]) -> str:
    figure, axis = _picture(gathered)
    for person in people.values():
        _, means, _, _ = person.ways.bins()
        for place, (name, colour) in enumerate(zip(FOLLOWED, _COLOURS, strict=False)):
            way = means[:, 2 * place : 2 * place + 2] * gathered.size
            label = name.replace("_", " ") if person is next(iter(people.values())) else None
            axis.plot(way[:, 0], way[:, 1], color=colour, linewidth=1, label=label)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    return _png(figure)


def _places(gathered: Gathered) -> str:
    figure, axis = _picture(gathered)
    width, height = gathered.size
    counts = np.log1p(gathered.places.counts)
    axis.imshow(counts, extent=(0, width, height, 0), cmap="inferno", interpolation="nearest", aspect="equal")
    axis.grid(False)
    return _png(figure)


def _picture(gathered: Gathered) -> tuple[Figure, Any]:
    """A plot in the shape of the picture, its upper left corner where the picture has it."""
    width, height = gathered.size
    scale = 5.5 / max(width, height)
    figure = Figure(figsize=(max(2.5, width * scale) + 1.8, max(2.0, height * scale) + 0.5), layout="constrained")
    axis = figure.subplots()
    axis.set_xlim(0, width)
    axis.set_ylim(height, 0)
    axis.set_aspect("equal")
    axis.set_xlabel("pixels")
    return figure, axis


def _png(figure: Figure) -> str:
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=_DPI, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode()
