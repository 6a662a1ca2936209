"""Series of points made whole and calm, knowing what comes after. Loads in workers only.

Covers: gaps filled up to a length, Butterworth and Savitzky-Golay over what is without gaps.
Does not cover: the filter that poses go through while they are found (``engines/pose/smoothing``).

Both filters take pictures to be evenly spaced. Where the rate varies they are not, and what they smooth away varies
too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import signal

Series = npt.NDArray[np.float64]
#: Savitzky-Golay: seconds of its window, degree of its polynomial.
WINDOW_S, DEGREE = 0.25, 2
_ORDER = 2  # of the Butterworth filter; it is run forwards and backwards, which makes it four


def filled(series: Series, longest: int) -> Series:
    """(n, …) numbers with gaps of at most ``longest`` rows filled along straight lines; longer ones stay."""
    made = series.copy()
    for start, end in _runs(~_known(series)):
        if start > 0 and end < len(series) and end - start <= longest:
            part = (np.arange(1, end - start + 1) / (end - start + 1)).reshape(-1, *[1] * (series.ndim - 1))
            made[start:end] = series[start - 1] + part * (series[end] - series[start - 1])
    return made


def calmed(series: Series, kind: str, rate: float, cutoff: float) -> Series:
    """The series smoothed, each run without gaps by itself. Runs that are too short for the filter stay as they are.

    Args:
        kind: ``none``, ``butterworth`` or ``savgol``.
        rate: rows a second.
        cutoff: Hz, of the Butterworth filter.
    """
    if kind == "none":
        return series
    made = series.copy()
    for start, end in _runs(_known(series)):
        run = series[start:end]
        made[start:end] = _savgol(run, rate) if kind == "savgol" else _low(run, rate, cutoff)
    return made


def _low(run: Series, rate: float, cutoff: float) -> Series:
    sections = signal.butter(_ORDER, cutoff / (rate / 2), output="sos") if cutoff < 0.49 * rate else None
    padded = 3 * (2 * _ORDER + 1)
    if sections is None or len(run) <= padded:
        return run
    calm: Series = signal.sosfiltfilt(sections, run, axis=0, padlen=padded)
    return calm


def _savgol(run: Series, rate: float) -> Series:
    window = max(5, round(WINDOW_S * rate) | 1)
    if len(run) < window:
        return run
    calm: Series = signal.savgol_filter(run, window, DEGREE, axis=0)
    return calm


def _known(series: Series) -> npt.NDArray[np.bool_]:
    """Which rows are numbers throughout."""
    return np.asarray(np.isfinite(series.reshape(len(series), -1)).all(axis=1))


def _runs(wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where True begins and ends, run by run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
