"""Reads the declared columns of a hospital's CSV export, as text and nothing else.

Direct identifiers that the study does not declare never pass this function: columns
outside the mapping are not read into memory. Every cell stays the text that the
hospital wrote, until cleaning decides what it means.
"""

import difflib
import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager

import pandas as pd

from client.site import CHECK, Site
from common.errors import DataError

_LINE = re.compile(r"line \d+")
NEAR = 0.8
"""How like a mapped name a header must be to be named in an error: without a header
row the first line holds a patient's values, and those must never be repeated."""


def read(site: Site) -> pd.DataFrame:
    """Return the mapped columns as text, under the hospital's own names, in file order.

    Raises DataError when the file is absent, empty, not text, or lacks a column.
    """
    header = _header(site)
    wanted = _wanted(site)
    for keys, column in wanted.items():
        if column not in header:
            raise _lacks(site, keys, column, header)
        if header.count(column) > 1:
            raise _twice(site, keys, column)
    with _explained(site):
        return _parse(site, header, sorted(set(wanted.values())))


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


def _header(site: Site) -> list[str]:
    with _explained(site):
        return [str(name).strip() for name in _parse(site, None, []).iloc[0]]


def _parse(site: Site, names: list[str] | None, wanted: list[str]) -> pd.DataFrame:
    """Return the *wanted* columns of a file whose header is *names*; or its header."""
    data = site.mapping.data
    plain = data.encoding.lower() in {"utf-8", "utf8"}
    return pd.read_csv(
        site.data_file,
        sep=data.separator,
        encoding="utf-8-sig" if plain else data.encoding,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        skip_blank_lines=False,
        index_col=False,
        header=None if names is None else 0,
        names=names,
        usecols=wanted or None,
        nrows=1 if names is None else None,
    ).fillna("")


@contextmanager
def _explained(site: Site) -> Generator[None]:
    """Turn what pandas raises into a DataError that quotes no cell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except FileNotFoundError:
        raise _unreadable(site, "does not exist", "correct `file`") from None
    except pd.errors.EmptyDataError:
        raise _unreadable(site, "is empty", "export it again") from None
    except (UnicodeDecodeError, LookupError):
        hint = 'name its encoding, e.g.   encoding = "latin-1"'
        raise _unreadable(site, f"is not {site.mapping.data.encoding}", hint) from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, OSError) as broken:
        line = _LINE.search(str(broken))
        problem = f"cannot be read as a table{f' at {line[0]}' if line else ''}"
        raise _unreadable(site, problem, "check `separator` and the quotes") from None


def _unreadable(site: Site, problem: str, fix: str) -> DataError:
    return DataError(
        f"{site.name}: {site.data_file.name} {problem}",
        where=site.where("data", "file"),
        fix=f"{fix} in [data] of {site.path.name}",
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


def _twice(site: Site, keys: tuple[str, ...], column: str) -> DataError:
    return DataError(
        f"{site.name}: {site.data_file.name} has two columns called {column!r}",
        where=site.where(*keys),
        fix="rename one of them in the export",
        then=f"{CHECK}{site.path}",
    )
