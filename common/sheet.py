"""A table of results, as a report prints it: what every analysis shows of itself."""

from dataclasses import dataclass

Cell = str | int | float | None
"""None is what was not computed, or may not be told."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A titled table; the first cell of each row names it; notes say what it means."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
