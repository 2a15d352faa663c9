"""A table of results, as a report prints it: what every analysis shows of itself."""

from dataclasses import dataclass

Cell = str | int | float | None
"""None is what was not computed, or may not be told."""

LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Sheet:
    """A titled table; the first cell of each row names it; notes say what it means."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


def probability(value: float | None) -> Cell:
    """Return a p-value in words: nobody needs more of a tiny one than that it is."""
    if value is None:
        return None
    return f"< {LEAST:.4f}" if value < LEAST else f"{value:.4f}"


def between(interval: tuple[float, float] | None, digits: int = 3) -> Cell:
    """Return an interval in words, to so many digits that tell."""
    return (
        None
        if interval is None
        else " to ".join(f"{each:.{digits}g}" for each in interval)
    )
