"""A sheet as lines of a terminal: in parts where it is wider than the screen."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from server.reports.facts import Sheet
from server.reports.rounding import figure

GAP = 2
"""Spaces between two columns."""


def lines(sheet: Sheet, width: int) -> list[str]:
    """Return *sheet* as lines of at most *width*, its first column in every part."""
    cells = [
        list(sheet.columns),
        *([_cell(each) for each in row] for row in sheet.rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    parts = [
        _row(row, widths, chosen) for chosen in _parts(widths, width) for row in cells
    ]
    notes = [line for note in sheet.notes for line in wrap(note, width - GAP)]
    return [sheet.title, *parts, *(f"  {line}" for line in notes), ""]


def _cell(cell: object) -> str:
    return (
        figure(cell, max(abs(cell) / 10, 0.01))
        if isinstance(cell, float)
        else figure(cell)
    )


def _row(row: Sequence[str], widths: Sequence[int], chosen: Sequence[int]) -> str:
    """Return the name of a row, and its *chosen* cells below their heads."""
    rest = "".join(f"{row[place]:>{widths[place] + GAP}}" for place in chosen)
    return f"  {row[0]:<{widths[0]}}{rest}".rstrip()


def _parts(widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """Yield which columns stand side by side: as many as fit, and one at least."""
    chosen: list[int] = []
    taken = widths[0] + GAP
    for place, needed in enumerate(widths[1:], start=1):
        if chosen and taken + needed + GAP > width:
            yield chosen
            chosen, taken = [], widths[0] + GAP
        chosen, taken = [*chosen, place], taken + needed + GAP
    yield chosen
