"""Noisy counts made those that people can be: the nearest of which none is below 0."""

import numpy as np

from common.release import Array


def nearest(counts: Array, total: float) -> Array:
    """Return the counts nearest to *counts* of which none is below 0, of this *total*.

    All are lowered by the same, and end at 0 (Held, Wolfe & Crowder 1974). To cut off
    what is below 0 would add up to more people the more cells are empty.
    """
    falling = np.sort(counts)[::-1]
    lowered = (np.cumsum(falling) - total) / np.arange(1, len(counts) + 1)
    by = lowered[np.flatnonzero(falling > lowered)[-1]]
    above: Array = np.maximum(counts - by, 0.0)
    return above
