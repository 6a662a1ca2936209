"""Angles of joints from points. Loads in workers only.

Covers: three points to degrees.
Does not cover: which angles there are (``analyse_workflow``), series of them (``analysis``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from narrowboat.skeleton import NUMBER


def degrees(points: npt.NDArray[np.float64], three: Sequence[str]) -> npt.NDArray[np.float64]:
    """The angle at the second of three points, for each row of (n, 33, 2) points: 0 to 180 degrees, a straight limb has
    180; not a number where a point is not known.

    Args:
        three: names of landmarks, or several joined by ``+``, which is their middle.
    """
    one, middle, other = (points[:, [NUMBER[name] for name in point.split("+")]].mean(axis=1) for point in three)
    to_one, to_other = one - middle, other - middle
    across = to_one[:, 0] * to_other[:, 1] - to_one[:, 1] * to_other[:, 0]
    found: npt.NDArray[np.float64] = np.degrees(np.abs(np.arctan2(across, (to_one * to_other).sum(axis=1))))
    return found
