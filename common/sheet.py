"""A table of results, as a report prints it: what every analysis shows of itself."""

import math
from dataclasses import dataclass

Cell = str | int | float | None
"""None is what was not computed."""

LEAST = 1e-4
WITHHELD = "withheld"
"""What stands in place of a number that may not be told."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A titled table; the first cell of each row names it; notes say what it means.

    One that is ``part`` belongs to the sheet before it, as a detail of it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    part: bool = False


def probability(value: float | None) -> Cell:
    """Return a p-value in words: nobody needs more of a tiny one than that it is."""
    if value is None:
        return None
    return f"< {LEAST:.4f}" if value < LEAST else f"{value:.4f}"


def decimal(value: float | None, places: int = 2) -> Cell:
    """Return a number to so many decimals, with a true minus and no negative zero."""
    if value is None:
        return None
    return f"{round(value, places) + 0.0:,.{places}f}".replace("-", "\N{MINUS SIGN}")


def estimate(value: float | None, interval: tuple[float, float] | None) -> Cell:
    """Return a value with its interval, both to the decimals that the interval tells.

    Without an interval nothing is told: None.
    """
    if value is None or interval is None:
        return None
    low, high = interval
    places = _places(high - low)
    edges = " to ".join(str(decimal(edge, places)) for edge in interval)
    return f"{decimal(value, places)} ({edges})"


def near(value: float | None, width: float) -> Cell:
    """Return a number to two or so digits of a *width*: a deviation, or a step."""
    return decimal(value, _places(width))


def _places(width: float) -> int:
    """Return decimals for two or so digits of what is *width* apart."""
    if not width > 0.0:
        return 3
    return min(max(1 - math.floor(math.log10(width)), 0), 9)
