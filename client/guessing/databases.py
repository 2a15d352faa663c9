"""Guesses in a database: an OMOP CDM if it looks like one, else its own tables."""

import re
from collections.abc import Sequence

from client.formats.raw import Place
from client.guessing import omop, own_tables
from client.guessing.guess import Guesses, Variable
from client.sources import opening

Tables = dict[str, list[str]]


def guesses(place: Place, asked: Sequence[Variable]) -> Guesses:
    """Look for each variable by concept, or by the names of tables and columns."""
    tables = by_table(place)
    if omop.is_one(tables):
        yield from omop.guesses(place, asked, tables)
    else:
        yield from own_tables.guesses(place, asked, tables)


def by_table(place: Place) -> Tables:
    """Return the columns of every table and view that has a plain name."""
    tables: Tables = {}
    for name in opening.names(place):
        table, _, column = name.partition(".")
        if re.fullmatch(r"\w+", table):
            tables.setdefault(table, []).append(column)
    return tables
