"""Reads the declared columns of a hospital's CSV export, as text and nothing else.

Direct identifiers that the study does not declare never pass this function: columns
outside the mapping are not read into memory. Every cell stays the text that the
hospital wrote, until cleaning decides what it means.
"""

import csv
import difflib
import io
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TextIO, cast

import pandas as pd

from client.lines import line_of
from client.site import CHECK, Site
from common.errors import DataError

_LINE = re.compile(r"line \d+")
BEYOND = "beyond the last column"
"""Where the cells of a record go that is longer than the header."""

NEAR = 0.8
"""How like a mapped name a header must be to be named in an error: without a header
row the first line holds a patient's values, and those must never be repeated."""


def read(site: Site) -> pd.DataFrame:
    """Return the mapped columns as text, under the hospital's own names, in file order.

    Raises DataError when the file is absent, empty, not text, or lacks a column.
    """
    with _explained(site), _opened(site) as file:
        header = _names(site, file.readline())
        wanted = _wanted(site)
        for keys, column in wanted.items():
            _exactly_once(site, keys, column, header)
        widened = _Widened(file, header, site.mapping.data.separator)
        frame = _parse(site, widened, set(wanted.values()))
    beyond = frame.pop(BEYOND).str.len() > 0
    if beyond.any():
        problem = f"has more cells than columns in line {line_of(beyond)}"
        raise _unreadable(site, problem, "quote such cells, or correct `separator`")
    return frame


class _Widened:
    """A CSV file whose header has one more column, in which longer records show up.

    The parser drops what exceeds the header, so a separator inside a cell would shift
    every later value into the wrong column without a word.
    """

    def __init__(self, file: TextIO, header: list[str], separator: str) -> None:
        self._file = file
        start = io.StringIO()
        csv.writer(start, delimiter=separator).writerow([*header, BEYOND])
        self._start = start.getvalue()

    def read(self, size: int = -1) -> str:
        """Return the header, then what the file holds."""
        start, self._start = self._start, ""
        return start or self._file.read(size)

    def __iter__(self) -> Iterator[str]:
        """Be file-like enough for pandas, which then calls :meth:`read` only."""
        return iter(self._file)


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
    encoding = site.mapping.data.encoding
    plain = encoding.lower() in {"utf-8", "utf8"}
    mark = "utf-8-sig" if plain else encoding  # spreadsheets put a mark before UTF-8
    return site.data_file.open(encoding=mark, newline="")


def _names(site: Site, line: str) -> list[str]:
    if not line:
        raise _unreadable(site, "is empty", "export it again, or correct `file`")
    cells = next(csv.reader([line], delimiter=site.mapping.data.separator))
    return [cell.strip() for cell in cells]


def _parse(site: Site, file: "_Widened", wanted: set[str]) -> pd.DataFrame:
    return pd.read_csv(
        cast("TextIO", file),
        sep=site.mapping.data.separator,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        skip_blank_lines=False,
        index_col=False,
        usecols=[*sorted(wanted), BEYOND],
    ).fillna("")


@contextmanager
def _explained(site: Site) -> Generator[None]:
    """Turn what pandas raises into a DataError that quotes no cell."""
    try:
        yield
    except FileNotFoundError:
        raise _unreadable(site, "does not exist", "correct `file`") from None
    except (UnicodeError, LookupError):
        hint = 'name its encoding, e.g.   encoding = "latin-1"'
        raise _unreadable(site, f"is not {site.mapping.data.encoding}", hint) from None
    except (pd.errors.ParserError, csv.Error, OSError) as broken:
        line = _LINE.search(str(broken))
        problem = f"cannot be read as a table{f' at {line[0]}' if line else ''}"
        raise _unreadable(site, problem, "check `separator` and the quotes") from None


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
    near = difflib.get_close_matches(column, header, n=1, cutoff=NEAR)
    separator = site.mapping.data.separator
    likely = (
        f"the file spells it {near[0]!r}"
        if near
        else f"the file has {len(header)} columns; is its separator {separator!r}?"
    )
    absent = "or, if it was never measured:   absent = true"
    fix = f'{keys[-1]} = "{near[0]}"' if near else f"correct `{keys[-1]}`, {absent}"
    return DataError(
        f"{site.name}: column {column!r} is not in {site.data_file.name}",
        where=site.where(*keys),
        likely=likely,
        fix=fix,
        then=f"{CHECK}{site.path}",
    )
