"""Reads a database: one query with parameters a variable, and nothing is written.

A query of the hospital's own returns the columns person and value, and time and unit
where it knows them. For an OMOP CDM the queries are made in ``omop.py``.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import Connection, Row, TextClause
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from client.documents.mapping import Column, Sql
from client.formats.raw import (
    PART,
    PERSON,
    TIME,
    Parts,
    Place,
    Raw,
    Wanted,
    frame,
    unit_of,
)
from client.sources import omop, refused
from common.errors import DataError

PARTS = {"person", "time", "value", "unit"}


@dataclass(frozen=True, slots=True)
class Query:
    """One variable's query, and the name by which errors call it."""

    name: str
    text: TextClause


def read(source: Sql, wanted: Wanted, place: Place) -> Parts:
    """Yield the rows of each variable's query as text, numbered from 1.

    The transaction is read-only and is rolled back. Raises DataError when the database
    cannot be reached, refuses a query, or answers with other columns.
    """
    with _connected(source, place) as connection:
        for name, column in wanted.items():
            query = Query(name, _query(source, name, column, place))
            with _explained(place, f"the query of {name}", name):
                yield from _parts(connection, query, place)


def probe(source: Sql, wanted: Wanted, place: Place) -> int:
    """Return how many variables the database can be asked for; no row is read."""
    with _connected(source, place) as connection:
        for name, column in wanted.items():
            text = _query(source, name, column, place)
            with _explained(place, f"the query of {name}", name):
                result = connection.execution_options(stream_results=True).execute(text)
                _places([*result.keys()], name, place)
                result.close()
    return len(wanted)


def names(source: Sql, place: Place) -> list[str]:
    """Return every column of every table and view, as TABLE.COLUMN; no row is read."""
    whole = ObjectKind.ANY
    with (
        _connected(source, place) as connection,
        _explained(place, source.called, ""),
    ):
        inspector = sqlalchemy.inspect(connection)
        found = inspector.get_multi_columns(source.namespace, kind=whole)
    return [
        f"{table}.{column['name']}"
        for (_, table), columns in found.items()
        for column in columns
    ]


def _parts(connection: Connection, query: Query, place: Place) -> Iterator[Raw]:
    """Yield the rows of one query, some thousands at a time."""
    streamed = connection.execution_options(stream_results=True, yield_per=10_000)
    first = 0
    with streamed.execute(query.text) as result:  # closed, should nobody want the rest
        named = _places([*result.keys()], query.name, place)
        for rows in result.partitions(PART):
            yield _raw(query.name, named, rows, first)
            first += len(rows)
    if not first:
        yield _raw(query.name, named, [], 0)


def _raw(
    name: str,
    named: dict[str, int],
    rows: Sequence[Row[tuple[object, ...]]],
    first: int,
) -> Raw:
    cells = {
        column: [omop.cell(row[place]) for row in rows]
        for column, place in named.items()
    }
    cells[PERSON] = [omop.number(row[named[PERSON]]) for row in rows]
    if (unit := unit_of(name)) in cells:
        cells[unit] = [omop.UNITS.get(each, each) for each in cells[unit]]
    numbers = range(first + 1, first + len(rows) + 1)
    return Raw(frame(cells, numbers), f"query of {name}, row")


def _places(keys: list[str], name: str, place: Place) -> dict[str, int]:
    """Return where in a row each column of cells is."""
    said = [key.lower() for key in keys]
    if set(said) - PARTS or not {"person", "value"} <= set(said):
        raise place.told(
            f"the query of {name} returns {len(said)} columns; it may return person, "
            "time, value and unit, and must return person and value",
            ("columns", name, "query"),
            "SELECT … AS person, … AS time, … AS value FROM …",
        )
    names = {"person": PERSON, "time": TIME, "value": name, "unit": unit_of(name)}
    return {names[key]: said.index(key) for key in said}


def _query(source: Sql, name: str, column: Column, place: Place) -> TextClause:
    if column.omop is not None:
        return omop.query(source, name, column.omop, place)
    if column.query is None:
        raise place.told(
            f"{name} is found neither by a query nor in OMOP",
            ("columns", name),
            f'[columns.{name}]\nquery = "SELECT …"      # or: omop = {{ table = … }}',
        )
    text = sqlalchemy.text(column.query)
    unused = sorted(set(column.parameters) - set(text.compile().params))
    if unused:
        raise place.told(
            f"the query of {name} has no :{unused[0]}",
            ("columns", name, "parameters"),
            f"write :{unused[0]} where it belongs, or take it out of parameters",
        )
    return text.bindparams(**column.parameters)


@contextmanager
def _connected(source: Sql, place: Place) -> Generator[Connection]:
    """Open the database for reading only; whatever happens is rolled back."""
    with _explained(place, source.called, ""):
        engine = sqlalchemy.create_engine(
            _url(source, place), hide_parameters=True, poolclass=NullPool
        )
        connection = engine.connect()
        _read_only(connection)
    try:
        yield connection
    finally:
        connection.rollback()
        connection.close()


def _read_only(connection: Connection) -> None:
    kind = connection.dialect.name
    if kind == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
    elif kind == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _url(source: Sql, place: Place) -> sqlalchemy.URL | str:
    if source.file is not None:
        path = place.path(source.file)
        if not path.is_file():
            fix = "correct `file`"
            raise place.unreadable(f"{path.name} does not exist", "file", fix)
        query = {"mode": "ro", "uri": "true"}
        return sqlalchemy.URL.create("sqlite", database=f"file:{path}", query=query)
    url = os.environ.get(source.url_env or "")
    if not url:
        what = f"the environment variable {source.url_env} is not set"
        fix = f"export {source.url_env}=…   or, of the service, in its EnvironmentFile"
        raise place.unreadable(what, "url_env", fix)
    return url


@contextmanager
def _explained(place: Place, what: str, name: str) -> Generator[None]:
    """Turn what the database says into a DataError that quotes none of it.

    A database quotes values in its errors, and a URL holds a password: what is said is
    the kind of error and, where there is one, its five-letter SQLSTATE.
    """
    try:
        yield
    except (SQLAlchemyError, TypeError, ValueError, ModuleNotFoundError) as broken:
        raise _said(place, what, name, broken) from None


def _said(place: Place, what: str, name: str, broken: Exception) -> DataError:
    code = getattr(getattr(broken, "orig", None), "sqlstate", None)
    kind = f"{type(broken).__name__}{f', SQLSTATE {code}' if code else ''}"
    likely, fix = refused.meaning(broken)
    if name:
        keys = ("columns", name)
        fix = fix or "try it in a SQL console: it has to return text, numbers or dates"
        return place.told(f"{what} failed ({kind})", keys, fix, likely=likely)
    fix = fix or "check the address, the password and the driver"
    what = f"{what} cannot be opened ({kind})"
    return place.told(what, ("kind",), f"{fix}   in {place.table}", likely=likely)
