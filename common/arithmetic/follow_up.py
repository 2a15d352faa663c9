"""Times until an event as codes on a declared grid: code 2i + event, for interval i.

    coded(outcome, [40, 40, 900], [1, 0, 1])    with grid = [30, 60, 365]: 3, 2, 4

A table holds one number for each outcome, so a person's time and fate become one. What
is finer than the grid is forgotten where the records are: risk sets of single days are
single people.
"""

import numpy as np
from numpy.typing import NDArray

from common.release import Array
from common.schema import Survival

Places = NDArray[np.int64]


def coded(outcome: Survival, time: Array, event: Array) -> Array:
    """Return the code of each *time* and *event* (1 it came, 0 it did not); NaN a gap.

    Interval i goes from the end before, which it does not hold, to its own.
    """
    ends = np.asarray(outcome.grid)
    place = np.searchsorted(ends, time, side="left")
    beyond = place == len(ends)
    found = 2.0 * np.where(beyond, len(ends) - 1, place) + np.where(beyond, 0.0, event)
    return np.where(np.isnan(time) | np.isnan(event), np.nan, found)


def interval(codes: Array) -> Places:
    """Return in which interval each person had the event or was last seen."""
    return codes.astype(np.int64) // 2


def came(codes: Array) -> NDArray[np.bool_]:
    """Return whose event came."""
    found: NDArray[np.bool_] = codes.astype(np.int64) % 2 == 1
    return found
