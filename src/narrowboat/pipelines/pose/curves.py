"""What plots are drawn from: any number of values in a fixed number of bins. Loads in workers only.

Covers: curves that get coarser as they get longer, maps of where points are, means and spreads.
Does not cover: drawing (``plots``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from narrowboat.values import Json

#: Bins that a curve has at most; two become one when there would be more.
MOST = 2048


class Curve:
    """Rows of values over time, as (time, mean, least, largest) of bins."""

    def __init__(self, columns: int) -> None:
        self._each = 1  # rows in a bin
        self._open: list[tuple[float, Any]] = []
        self._bins: list[tuple[float, Any, Any, Any]] = []
        self._columns = columns

    def push(self, times: npt.NDArray[np.float64], rows: npt.NDArray[np.float64]) -> None:
        """The next rows; not a number where a value is not known."""
        for time, row in zip(times.tolist(), rows, strict=True):
            self._open.append((time, row))
            if len(self._open) == self._each:
                self._close()

    def _close(self) -> None:
        if not self._open:
            return
        rows = np.array([row for _, row in self._open])
        self._bins.append((self._open[0][0], *_spread(rows, rows, rows)))
        self._open = []
        if len(self._bins) == MOST:
            pairs = zip(self._bins[::2], self._bins[1::2], strict=True)
            self._bins = [
                (one[0], *_spread(*(np.array([one[part], other[part]]) for part in (1, 2, 3)))) for one, other in pairs
            ]
            self._each *= 2

    def bins(self) -> tuple[Any, Any, Any, Any]:
        """Times, means, least and largest values, as arrays."""
        self._close()
        if not self._bins:
            empty = np.empty((0, self._columns))
            return np.empty(0), empty, empty, empty
        times, means, low, high = zip(*self._bins, strict=True)
        return np.array(times), np.array(means), np.array(low), np.array(high)


def _spread(means: Any, low: Any, high: Any) -> tuple[Any, Any, Any]:
    """Mean, least and largest of each column, of what is known; not a number where nothing is."""
    known = np.isfinite(means)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, np.where(known, means, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    least = np.where(count > 0, np.where(known, low, np.inf).min(axis=0), np.nan)
    most = np.where(count > 0, np.where(known, high, -np.inf).max(axis=0), np.nan)
    return mean, least, most


class Spread:
    """Count, mean, deviation, least and largest of values that come in pieces."""

    def __init__(self) -> None:
        self.count = self.asked = 0
        self._mean = self._squares = 0.0
        self._low, self._high = math.inf, -math.inf

    def push(self, values: npt.NDArray[np.float64]) -> None:
        """The next values; not a number where one is not known."""
        self.asked += len(values)
        known = values[np.isfinite(values)]
        if not len(known):
            return
        count, mean = len(known), float(known.mean())
        apart = mean - self._mean
        total = self.count + count
        self._squares += float(((known - mean) ** 2).sum()) + apart**2 * self.count * count / total
        self._mean += apart * count / total
        self.count = total
        self._low, self._high = min(self._low, float(known.min())), max(self._high, float(known.max()))

    def told(self) -> dict[str, Json]:
        """All of it, rounded to hundredths; None where nothing was known."""
        if not self.count:
            return {"known": 0.0, "mean": None, "deviation": None, "least": None, "largest": None}
        return {
            "known": round(self.count / self.asked, 4),
            "mean": round(self._mean, 2),
            "deviation": round(math.sqrt(self._squares / self.count), 2),
            "least": round(self._low, 2),
            "largest": round(self._high, 2),
        }


class Places:
    """How often points were where, as a map of the picture."""

    def __init__(self, across: int, down: int) -> None:
        self.counts = np.zeros((down, across), np.int64)

    def push(self, points: npt.NDArray[np.float64]) -> None:
        """(n, 2) points as shares of the picture; those outside and unknown ones are left out."""
        down, across = self.counts.shape
        known = points[((points >= 0) & (points < 1)).all(axis=1)]
        cells = (known * (across, down)).astype(np.intp)
        np.add.at(self.counts, (cells[:, 1], cells[:, 0]), 1)
