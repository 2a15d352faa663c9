"""What a source of one value a row says of one variable: cells, units, and how many.

Only the first part of the rows is looked at: enough for a guess, and bounded.
"""

from contextlib import closing
from dataclasses import dataclass

import pandas as pd

from client.documents.mapping import Column
from client.formats.raw import PERSON, Place, unit_of
from client.guessing import cells, vocabulary
from client.guessing.guess import Variable
from client.sources import opening
from common.schema import Binary, Category


@dataclass(frozen=True, slots=True, repr=False)
class Look:
    """Some rows: values and units as text, and how many people they are of."""

    values: "pd.Series[str]"
    units: "pd.Series[str] | None"
    people: int


def look(place: Place, name: str, column: Column) -> Look:
    """Return the first rows in which *column* says something."""
    with closing(opening.read(place, {name: column})) as parts:
        for part in parts:
            said = part.cells[name].fillna("").str.strip() != ""
            if said.any():
                some = part.cells[said]
                units = some.get(unit_of(name))
                return Look(some[name], units, some[PERSON].nunique())
    return Look(pd.Series(dtype="str"), None, 0)


def judged(
    variable: Variable, column: Column, look: Look
) -> tuple[tuple[str, ...], tuple[str, float]] | None:
    """Return lines, why, and how sure; what happened, and when, has no range."""
    if not look.people:
        return None
    why = f"{look.people} people have it"
    if column.pick == "any" or column.elapsed:
        return (), (why, 2.0)
    found = cells.fits(variable, look.values, look.units)
    return (found[1], (cells.why(found, why), 1.0 + found[0])) if found else None


def happened(variable: Variable) -> tuple[str, ...]:
    """Return the lines by which an event becomes a level; none if no level is a yes."""
    if not isinstance(variable, Category | Binary):
        return ()
    meant = {
        word: [each for each in variable.levels if each in vocabulary.spellings(word)]
        for word in ("yes", "no")
    }
    if len(variable.levels) != len(meant) or not all(meant.values()):
        return ()
    ((yes, *_), (no, *_)) = meant["yes"], meant["no"]
    lines = ['pick = "any"']
    lines += [f'present = "{yes}"'] if yes != "yes" else []
    lines += [f'otherwise = "{no}"'] if no != "no" else []
    return tuple(lines)
