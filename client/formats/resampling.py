"""Brings a picture to the size of the study: each new pixel is a mean over its area.

No library decides how pixels are weighed, so two hospitals with different versions of
one get the same numbers. Nothing is made larger: what a scanner did not see stays
unseen.
"""

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]


def resampled(picture: Grey, height: int, width: int) -> Grey:
    """Return *picture* [h, w, channels] as [height, width, channels].

    Raises ValueError for a picture that is smaller than that.
    """
    if picture.shape[:2] == (height, width):
        return picture
    if picture.shape[0] < height or picture.shape[1] < width:
        msg = "is smaller than the study's pictures"
        raise ValueError(msg)
    rows = _weights(picture.shape[0], height)
    columns = _weights(picture.shape[1], width)
    means = np.einsum("ah,hwc,bw->abc", rows, picture, columns, optimize=True)
    return np.asarray(means, dtype=np.float32)


def _weights(old: int, new: int) -> NDArray[np.float64]:
    """Return which share of each new pixel [new] every old one [old] covers."""
    edges = np.linspace(0.0, old, new + 1)
    starts = np.arange(old)
    low = np.maximum(edges[:-1, None], starts)
    high = np.minimum(edges[1:, None], starts + 1)
    return np.asarray(np.maximum(high - low, 0.0) * new / old)
