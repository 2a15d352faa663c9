"""Many tests at once: p-values that say how often chance alone finds so much.

    holm([0.01, 0.04, None])                 # [0.02, 0.04, None]
    benjamini_hochberg([0.01, 0.04, None])   # [0.02, 0.04, None]

A test that could not be made is None, and counts for nothing.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = Sequence[float | None]


def holm(values: Values) -> list[float | None]:
    """Return *values* so that any false finding has their probability (Holm 1979)."""
    return _adjusted(values, _holm)


def benjamini_hochberg(values: Values) -> list[float | None]:
    """Return *values* as shares of false ones among what is found.

    Benjamini & Hochberg 1995; the tests are independent, or go the same way together.
    """
    return _adjusted(values, _benjamini_hochberg)


def _adjusted(values: Values, rule: Callable[[Array], Array]) -> list[float | None]:
    """Return what *rule* makes of the known ones, which it is given in order."""
    places = [place for place, value in enumerate(values) if value is not None]
    known = np.array([value for value in values if value is not None])
    order = np.argsort(known, kind="stable")
    found: list[float | None] = [None] * len(values)
    for place, value in zip(order, rule(known[order]), strict=True):
        found[places[place]] = float(value)
    return found


def _holm(ordered: Array) -> Array:
    left = np.arange(len(ordered), 0, -1)
    return np.minimum(np.maximum.accumulate(ordered * left), 1.0)


def _benjamini_hochberg(ordered: Array) -> Array:
    scaled = ordered * len(ordered) / np.arange(1, len(ordered) + 1)
    return np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
