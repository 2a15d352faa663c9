"""Guesses in a table with a header: CSV, Parquet, and the lists of pictures."""

from collections.abc import Sequence
from contextlib import closing

from client.documents.mapping import Column
from client.formats.raw import Place
from client.guessing import cells, times
from client.guessing.guess import LIKE, Guesses, Variable, alike, made
from client.sources import opening
from common.errors import DataError

LONGEST = 400
"""Letters of a column's name that site.toml can hold."""


def guesses(place: Place, asked: Sequence[Variable]) -> Guesses:
    """Compare every column of a table with every variable.

    Raises DataError for an export without a header: its first line is a patient's.
    """
    wanted = {f"c{i}": Column(column=each) for i, each in enumerate(headers(place))}
    with closing(opening.read(place, wanted)) as parts:
        part = next(parts)
    for variable in asked:
        for key, column in wanted.items():
            header = column.column or ""
            like = alike(variable.name, header)
            found = cells.fits(variable, part.cells[key]) if like >= LIKE else None
            if found:
                why = cells.why(found, "called alike"), like + found[0]
                yield made(place, variable, (f'column = "{header}"', *found[1]), why)
            elif born := times.born(place, variable, header, part.cells[key]):
                yield made(place, variable, born[0], ("a birth date", born[1]))


def headers(place: Place) -> list[str]:
    """Return the columns of a table that can be mapped, but for those of its keys."""
    source = place.site.mapping.named[place.name]
    named = opening.names(place)
    if any(_looks_like_a_cell(each) for each in named):
        raise DataError(
            f"{place.site.name}: {source.called} seems to have no header",
            where=place.where(),
            likely="the first line holds numbers or dates: it is a patient's",
            fix="export it again, with the names of its columns in the first line",
        )
    said = ("person", "event_time", "split", "time")
    keys = {getattr(source, key, None) for key in said}
    once = [each for each in named if each not in keys and named.count(each) == 1]
    return [each for each in once if len(each) <= LONGEST]


def _looks_like_a_cell(header: str) -> bool:
    digits = sum(letter.isdigit() for letter in header)
    return not header.strip() or digits > len(header) / 2
