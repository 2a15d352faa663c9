"""Reads the declared columns of a hospital's CSV export, as text and nothing else.

Direct identifiers that the study does not declare never pass this function: columns
outside the mapping are not read into memory. Every cell stays the text that the
hospital wrote, until cleaning decides what it means.
"""

import codecs
import csv
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import pandas as pd

from client.site import CHECK, Site
from common.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader


def read(site: Site) -> pd.DataFrame:
    """Return the mapped columns as text, under the hospital's own names, by line.

    The index is the line on which each record ends. Raises DataError when the file is
    absent, empty, not text, lacks a column, or holds a record of more or fewer cells
    than the header: its values would stand in the wrong columns.
    """
    with _explained(site), _opened(site) as file:
        lines = _lines(site, file)
        header = _header(site, lines)
        names = sorted(set(_wanted(site).values()))
        places = [header.index(name) for name in names]
        found = {
            number: [cells[place] for place in places]
            for number, cells in _records(site, lines, len(header))
        }
    columns = zip(*found.values(), strict=True) if found else [()] * len(names)
    cells = dict(zip(names, map(list, columns), strict=True))
    return pd.DataFrame(cells, index=list(found), dtype=str)


def columns(site: Site) -> tuple[str, ...]:
    """Return the mapped columns, once the export's header has each; read no record."""
    with _explained(site), _opened(site) as file:
        _header(site, _lines(site, file))
    return tuple(sorted(set(_wanted(site).values())))


def _lines(site: Site, file: TextIO) -> "Reader":
    mark = site.mapping.data.separator
    return csv.reader(file, delimiter=mark, strict=True, skipinitialspace=True)


def _header(site: Site, lines: "Reader") -> list[str]:
    """Return the cells of the first line; raise DataError when a column is lacking."""
    header = [cell.strip() for cell in next(lines, [])]
    for keys, column in _wanted(site).items():
        _exactly_once(site, keys, column, header)
    return header


def _records(
    site: Site, lines: "Reader", width: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of every record; blank lines are none."""
    for cells in lines:
        if cells and len(cells) != width:
            where = f"line {lines.line_num}"
            problem = f"has {len(cells)} cells for {width} columns in {where}"
            raise _unreadable(site, problem, "quote such cells, or correct `separator`")
        if cells:
            yield lines.line_num, cells


def _wanted(site: Site) -> dict[tuple[str, ...], str]:
    """Return every column the mapping names, by the place where it names it."""
    data = site.mapping.data
    keys = {"person": data.person, "event_time": data.event_time, "split": data.split}
    wanted: dict[tuple[str, ...], str] = {
        ("data", key): column for key, column in keys.items() if column
    }
    for name, column in site.mapping.columns.items():
        if column.column:
            wanted["columns", name, "column"] = column.column
    return wanted


def _opened(site: Site) -> TextIO:
    encoding = codecs.lookup(site.mapping.data.encoding).name
    mark = "utf-8-sig" if encoding == "utf-8" else encoding  # spreadsheets mark UTF-8
    return site.data_file.open(encoding=mark, newline="")


@contextmanager
def _explained(site: Site) -> Generator[None]:
    """Turn what the reader raises into a DataError that quotes no cell."""
    try:
        yield
    except FileNotFoundError:
        raise _unreadable(site, "does not exist", "correct `file`") from None
    except (UnicodeError, LookupError):
        hint = 'name its encoding, e.g.   encoding = "latin-1"'
        raise _unreadable(site, f"is not {site.mapping.data.encoding}", hint) from None
    except (csv.Error, OSError) as broken:
        problem = f"cannot be read as a table ({_reason(broken)})"
        raise _unreadable(site, problem, "check the quotes and `separator`") from None


def _reason(broken: Exception) -> str:
    """Return why, in words that cannot hold a cell: csv's own, or the error's type."""
    known = ("unexpected end of data", "field larger than field limit", "line contains")
    said = str(broken)
    return next((words for words in known if said.startswith(words)), "bad quotes")


def _unreadable(site: Site, problem: str, fix: str) -> DataError:
    return DataError(
        f"{site.name}: {site.data_file.name} {problem}",
        where=site.where("data", "file"),
        fix=f"{fix}   in [data] of {site.path.name}",
        then=f"{CHECK}{site.path}",
    )


def _exactly_once(
    site: Site, keys: tuple[str, ...], column: str, header: list[str]
) -> None:
    if not header:
        raise _unreadable(site, "is empty", "export it again, or correct `file`")
    if column not in header:
        raise _lacks(site, keys, column, header)
    if header.count(column) > 1:
        raise DataError(
            f"{site.name}: {site.data_file.name} has two columns called {column!r}",
            where=site.where(*keys),
            fix="rename one of them in the export",
            then=f"{CHECK}{site.path}",
        )


def _lacks(
    site: Site, keys: tuple[str, ...], column: str, header: list[str]
) -> DataError:
    """Say which column is not there; name another only if it is the same but for case.

    Without a header row the first line holds a patient's values, and a value may look
    much like a column: those must never be repeated.
    """
    near = [name for name in header if _letters(name) == _letters(column) != ""]
    separator = site.mapping.data.separator
    other = f"the file has {len(header)} columns; is its separator {separator!r}?"
    measured = keys[0] == "columns"
    absent = ", or, if it was never measured:   absent = true" if measured else ""
    return DataError(
        f"{site.name}: column {column!r} is not in {site.data_file.name}",
        where=site.where(*keys),
        likely=f"the file spells it {near[0]!r}" if near else other,
        fix=f'{keys[-1]} = "{near[0]}"' if near else f"correct `{keys[-1]}`{absent}",
        then=f"{CHECK}{site.path}",
    )


def _letters(name: str) -> str:
    """Return a name without case and spaces; empty when it holds a digit."""
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    return "" if any(letter.isdigit() for letter in plain) else plain
