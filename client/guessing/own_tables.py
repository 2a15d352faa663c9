"""Guesses in a database of a hospital's own making: a column of its own, or a code.

A wide table has a column for each variable; a long one a row for each value, with its
code beside it. Either way the guess is a query with parameters, to paste.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from client.documents.mapping import Column
from client.formats.raw import PERSON, Place
from client.guessing import cells, events, vocabulary
from client.guessing.guess import LIKE, Guesses, Variable, alike, made, schema
from client.sources import opening
from common.errors import DataError
from common.schema import Image

PERSONS = ("person", "patient", "mrn", "subject", "pid", "case", "fall")
TIMES = ("time", "date", "datetime", "timestamp", "at", "on", "taken", "datum", "day")
CODES = ("loinc", "code", "test", "analyte", "parameter", "item", "measure")
VALUES = ("value", "result", "wert", "valeur", "reading")
UNITS = ("unit", "units", "uom", "einheit", "unite")
MOST, FEWEST = 2_000, 5
"""How many codes a table may use to be looked at; how many people a code must have to
be repeated."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table or view: its columns by what they seem to be; empty where none is."""

    name: str
    columns: tuple[str, ...]
    person: str
    time: str
    code: str
    value: str
    unit: str

    @property
    def keys(self) -> set[str]:
        """The columns that are no value of their own."""
        return {self.person, self.time, self.code, self.unit}


def guesses(
    place: Place, asked: Sequence[Variable], tables: Mapping[str, Sequence[str]]
) -> Guesses:
    """Compare columns, and the codes of long tables, with every variable.

    A table that cannot be read is left out: many an account may not see every table.
    """
    for name, columns in tables.items():
        table = _table(name, tuple(columns))
        if table.person:
            with suppress(DataError):
                yield from [*_in_one(place, asked, table)]


def _in_one(place: Place, asked: Sequence[Variable], table: Table) -> Guesses:
    codes = _codes(place, table) if table.code and table.value else {}
    for variable in asked:
        if not isinstance(variable, Image):
            yield from _wide(place, variable, table)
            yield from _long(place, variable, table, codes)


def _table(name: str, columns: tuple[str, ...]) -> Table:
    roles = (PERSONS, TIMES, CODES, VALUES, UNITS)
    return Table(name, columns, *(_role(columns, words) for words in roles))


def _role(columns: Sequence[str], words: Sequence[str]) -> str:
    """Return the column that is called like one of *words*, the first words first."""
    for word in words:
        for column in columns:
            if word in re.split(r"[\W_]+", column.casefold()):
                return column
    return ""


def _wide(place: Place, variable: Variable, table: Table) -> Guesses:
    for column in table.columns:
        like = alike(variable.name, column)
        if column not in table.keys and like >= LIKE:
            unit = _unit_of(table, column)
            query = _query(place, table, column, unit)
            yield from _tried(place, variable, query, {}, ("called alike", like))


def _unit_of(table: Table, column: str) -> str:
    """Return the column of the units of another, e.g. chol_unit of chol."""
    named = [f"{column}_{word}".casefold() for word in UNITS]
    return next((each for each in table.columns if each.casefold() in named), "")


def _long(
    place: Place, variable: Variable, table: Table, codes: Mapping[str, int]
) -> Guesses:
    term = vocabulary.term(variable.name)
    loinc = term.loinc if term else ()
    for code, people in codes.items():
        like = 1.0 if code in loinc else alike(variable.name, code)
        if like >= LIKE and people >= FEWEST:
            query = _query(place, table, table.value, table.unit)
            query += f" WHERE t.{_quoted(table.code)} = :code"
            why = ("the code is alike", like)
            yield from _tried(place, variable, query, {"code": code}, why)


def _tried(
    place: Place,
    variable: Variable,
    query: str,
    parameters: Mapping[str, str],
    why: tuple[str, float],
) -> Guesses:
    """Yield the guess that *query* finds a variable, if what it returns fits."""
    column = Column(query=query, parameters={**parameters})
    seen = events.look(place, variable.name, column)
    found = cells.fits(variable, seen.values, seen.units) if seen.people else None
    if found:
        lines = [f"query = {json.dumps(query, ensure_ascii=False)}"]
        for name, value in parameters.items():
            said = json.dumps(value, ensure_ascii=False)
            lines.append(f"parameters = {{ {name} = {said} }}")
        before = f"{why[0]}, {seen.people} people have it"
        score = (cells.why(found, before), why[1] + found[0])
        yield made(place, variable, (*lines, *found[1]), score)


def _query(place: Place, table: Table, value: str, unit: str) -> str:
    """Return the query for one column as the reader of databases wants it."""
    parts = {"person": table.person, "time": table.time, "value": value, "unit": unit}
    said = ", ".join(f"t.{_quoted(c)} AS {name}" for name, c in parts.items() if c)
    return f"SELECT {said} FROM {schema(place)}{_quoted(table.name)} t"  # noqa: S608 - read-only, of names that the database told


def _quoted(name: str) -> str:
    return name if re.fullmatch("[a-z_][a-z0-9_]*", name) else f'"{name}"'


def _codes(place: Place, table: Table) -> dict[str, int]:
    """Return the codes of a long table, and how many people have each."""
    person, code = _quoted(table.person), _quoted(table.code)
    rows = _query(place, table, table.value, "")
    query = f"SELECT t.{code} AS person, COUNT(DISTINCT t.{person}) AS value"
    query += f"{rows[rows.index(' FROM ') :]} GROUP BY t.{code}"
    return dict(_first(place, query))


def _first(place: Place, query: str) -> Iterator[tuple[str, int]]:
    with closing(opening.read(place, {"codes": Column(query=query)})) as parts:
        part = next(parts)
    if len(part.cells) <= MOST:
        people = part.cells["codes"].tolist()
        yield from zip(part.cells[PERSON].tolist(), map(int, people), strict=True)
