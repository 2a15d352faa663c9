"""95 % intervals that hold at small numbers, from counts alone: no row is needed."""

import math

from scipy.optimize import brentq

Z = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

EDGE = 1e-9
Interval = tuple[float, float]


def share(successes: float, people: float) -> Interval | None:
    """Return the interval of a share (Wilson 1927), or None without people."""
    if people <= 0:
        return None
    middle = (successes + Z * Z / 2) / (people + Z * Z)
    inside = successes * (people - successes) / people + Z * Z / 4
    half = Z * math.sqrt(inside) / (people + Z * Z)
    return max(0.0, middle - half), min(1.0, middle + half)


def mean(total: float, squares: float, people: float) -> Interval | None:
    """Return the interval of a mean of errors, from their sum and that of squares.

    No error is below 0, nor is the interval.
    """
    if people <= 0:
        return None
    middle = total / people
    half = Z * math.sqrt(max(squares / people - middle**2, 0.0) / people)
    return max(middle - half, 0.0), middle + half


def ratio(expected: float, seen: float, people: float) -> Interval | None:
    """Return the interval of outcomes *expected* per outcome *seen*.

    On its logarithm, what is seen being binomial (Debray et al. 2017).
    """
    if min(expected, seen) <= 0:
        return None
    half = Z * math.sqrt(max(1 - seen / people, 0.0) / seen)
    return expected / seen * math.exp(-half), expected / seen * math.exp(half)


def auc(value: float, positives: float, negatives: float) -> Interval | None:
    """Return the interval of an area under the ROC curve (Newcombe 2006, method 5).

    Solves |value - t| = Z * sqrt(V(t)) for t, with V of Hanley & McNeil (1982) at the
    mean of the two group sizes; unlike Wald's it does not vanish at 1. None when one
    class is absent.
    """
    if positives <= 0 or negatives <= 0:
        return None
    mean = (positives + negatives) / 2 - 1

    def excess(true: float) -> float:
        spread = true * (1 - true) / (positives * negatives)
        spread *= 1 + mean * (1 - true) / (2 - true) + mean * true / (1 + true)
        return abs(value - true) - Z * math.sqrt(spread)

    # At 0 and 1 the value itself solves the equation; the other root is wanted.
    low = brentq(excess, 0.0, min(value, 1.0 - EDGE)) if value > 0.0 else 0.0
    high = brentq(excess, max(value, EDGE), 1.0) if value < 1.0 else 1.0
    return float(low), float(high)


def widened(value: float, chance: Interval | None, moved: float) -> Interval | None:
    """Return the interval of *chance* around *value*, and of what *moved* it besides.

    The two are independent, so their halves add up as squares do; ends stay in 0 to 1.
    """
    if chance is None:
        return None
    below, above = value - chance[0], chance[1] - value
    low, high = value - math.hypot(below, moved), value + math.hypot(above, moved)
    return max(0.0, low), min(1.0, high)
