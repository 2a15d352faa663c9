"""Numbers as a reader should see them: to the digits that their intervals support."""

import math
from itertools import pairwise

from common.arithmetic.intervals import Interval

FEW, MANY = 0.1, 10.0
"""A ratio between these has two decimals; outside, two or so digits."""

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def signed(value: float, places: int) -> str:
    """Return *value* to so many decimals, with a true minus and no negative zero."""
    return f"{round(value, places) + 0.0:,.{places}f}".replace("-", "\N{MINUS SIGN}")


def decimal(value: float, interval: Interval | None = None) -> str:
    """Return *value* to the two or three decimals that its interval supports.

    A third is also shown where two would turn a good score into a perfect one.
    """
    perfect = value < 1.0 <= round(value, 2)
    return signed(value, 3 if perfect else _places(interval))


def span(interval: Interval) -> str:
    """Return an interval to the decimals that it supports itself."""
    low, high = (signed(edge, _places(interval)) for edge in interval)
    return f"{low} to {high}" if interval[0] < 0 else f"{low}\N{EN DASH}{high}"


def figure(value: object, spread: float | None = None) -> str:
    """Return a cell: a count in full, and a number to a tenth of *spread* or so."""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        near = spread or abs(value) / 10
        places = min(max(0, 1 - math.floor(math.log10(near))), 9) if near else 0
        return signed(value, places)
    return str(value or "\N{EN DASH}")


def moved(margin: object, spread: object = None) -> str:
    """Return how far noise may have moved a number, to stand behind it; or nothing."""
    if not isinstance(margin, float):
        return ""
    return f" ± {figure(margin, spread if isinstance(spread, float) else None)}"


def ratio(coefficient: float) -> str:
    """Return what the odds, or the rate, are multiplied by."""
    if coefficient > math.log(1000):
        return ">1000"
    times = math.exp(coefficient)
    return decimal(times) if FEW <= times < MANY else figure(times, times)


def duration(seconds: float) -> str:
    """Return a time in two units of which the larger is there at least twice."""
    for (large, name), (small, rest) in pairwise(UNITS):
        if seconds >= 2 * large:
            part = seconds % large // small
            return f"{seconds // large:.0f} {name} {part:.0f} {rest}"
    return f"{seconds:.1f} s"


def _places(interval: Interval | None) -> int:
    half = (interval[1] - interval[0]) / 2 if interval else 1.0
    return min(max(-math.floor(math.log10(half)), 2), 3) if half > 0.0 else 3
