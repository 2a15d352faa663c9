"""Guesses at how dates are written, where they are not written as the mapping says."""

from contextlib import closing, suppress

import pandas as pd

from client.formats import dates
from client.formats.raw import TIME, Place
from client.guessing import vocabulary
from client.guessing.guess import LIKE, Variable, alike
from client.sources import opening
from common.errors import DataError
from common.schema import Number

TABLES = ("csv", "parquet", "images", "png")
Born = tuple[tuple[str, ...], float]
"""Lines of a mapping, and how alike the column is called."""


def otherwise(place: Place) -> str:
    """Return how the event times of a table have to be read; nothing if they are.

    A record that cannot be read is for ``data check`` to say.
    """
    source = place.site.mapping.named[place.name]
    if source.kind not in TABLES or not getattr(source, "event_time", None):
        return ""
    with suppress(DataError), closing(opening.read(place, {})) as parts:
        found = _form(next(parts).cells[TIME], source.missing, source.dates)
        if found:
            return f'event times are written otherwise: say   dates = "{found}"'
    return ""


def born(
    place: Place, variable: Variable, header: str, cells: "pd.Series[str]"
) -> Born | None:
    """Return the lines by which a column of birth dates is an age, if it is one."""
    source = place.site.mapping.named[place.name]
    known = isinstance(variable, Number) and "age" in vocabulary.names(variable.name)
    like = max(alike(word, header) for word in vocabulary.BIRTH)
    if not known or like < LIKE or not _dated(place):
        return None
    form = _form(cells, source.missing, source.dates)
    if form is None:
        return None
    lines = (f'column = "{header}"', 'elapsed = "years"')
    return (*lines, *([f'dates = "{form}"'] if form else [])), like


def _dated(place: Place) -> bool:
    """Tell whether an age may count to something: a record's event has a time."""
    mapping = place.site.mapping
    own = getattr(mapping.named[place.name], "event_time", None)
    return bool(own) or len(mapping.named) > 1


def _form(cells: "pd.Series[str]", missing: tuple[str, ...], known: str) -> str | None:
    """Return the one form of *cells*, nothing if it is as *known*, None if unclear."""
    text = cells.fillna("").str.strip()
    some = text[~text.isin(["", *missing])].drop_duplicates().head(dates.LOOKED_AT)
    if not len(some):
        return None
    if dates.read(some, known).notna().all():
        return ""
    return dates.written(some) or None
