"""Reads the declared columns of a hospital's CSV export, as text and nothing else.

Direct identifiers that the study does not declare never pass this function: columns
outside the mapping are not kept in memory. Every cell stays the text that the hospital
wrote, until cleaning decides what it means.
"""

import codecs
import csv
import io
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TextIO

from pandas.api.extensions import ExtensionArray

from client.documents.mapping import Csv
from client.formats.raw import Key, Named, Parts, Place, Raw, Wanted, columns_of, frame
from client.sources import encodings, headers, unquoted
from common.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

BLOCK = 4_000_000
"""Characters that are read at once, about."""


@dataclass(frozen=True, slots=True)
class Export:
    """One CSV file, what is wanted of it, and where it stands."""

    source: Csv
    named: Named
    place: Place


def read(source: Csv, wanted: Wanted, place: Place) -> Parts:
    """Yield the wanted columns as text, by the line on which each record ends.

    Raises DataError when the file is absent, empty, not text, lacks a column, or holds
    a record of more or fewer cells than the header: its values would stand in the wrong
    columns.
    """
    export = Export(source, columns_of(source, wanted), place)
    with _explained(export), _opened(export) as file:
        lines = _lines(source, file)
        header = _header(export, lines)
        yield from _records(export, file, header, lines.line_num)


def probe(source: Csv, wanted: Wanted, place: Place) -> int:
    """Return how many columns are mapped, once the header has each; read no record."""
    export = Export(source, columns_of(source, wanted), place)
    with _explained(export), _opened(export) as file:
        _header(export, _lines(source, file))
    return len({column for _, column in export.named.values()})


def names(source: Csv, place: Place) -> list[str]:
    """Return the header; read no record."""
    export = Export(source, {}, place)
    with _explained(export), _opened(export) as file:
        return _header(export, _lines(source, file))


def _part(
    export: Export,
    columns: Sequence[Sequence[str] | ExtensionArray],
    numbers: Sequence[int],
) -> Raw:
    cells = dict(zip(export.named, columns, strict=True))
    return Raw(frame(cells, numbers), f"{_name(export)} line")


def _name(export: Export) -> str:
    return export.place.path(export.source.file).name


def _lines(source: Csv, lines: Iterable[str]) -> "Reader":
    return csv.reader(
        lines, delimiter=source.separator, strict=True, skipinitialspace=True
    )


def _header(export: Export, lines: "Reader") -> list[str]:
    """Return the cells of the first line; raise DataError when a column is lacking."""
    header = [cell.strip() for cell in next(lines, [])]
    for keys, column in export.named.values():
        _exactly_once(export, keys, column, header)
    return header


def _records(
    export: Export, file: TextIO, header: list[str], before: int
) -> Iterator[Raw]:
    """Yield the wanted cells of every record, a block of lines at a time.

    *before* is how many lines the header took.
    """
    places = [header.index(column) for _, column in export.named.values()]
    text = file.read(BLOCK) + file.readline()
    if not text:
        yield _part(export, [[] for _ in places], [])
    while text:
        plain = unquoted.columns(text, len(header), places, export.source.separator)
        if plain is not None:
            last = before + len(plain[0])
            yield _part(export, plain, range(before + 1, last + 1))
        else:
            rows = _Rows(len(header), before, [], [])
            last = _letter_by_letter(export, text, file, rows)
            cells = [[row[place] for row in rows.cells] for place in places]
            yield _part(export, cells, rows.numbers)
        before, text = last, file.read(BLOCK) + file.readline()


@dataclass(frozen=True, slots=True, repr=False)
class _Rows:
    """Records as they are read, each with its line; *before* them are other lines."""

    width: int
    before: int
    cells: list[list[str]]
    numbers: list[int]


def _letter_by_letter(export: Export, text: str, rest: TextIO, rows: _Rows) -> int:
    """Read *text*, and of *rest* what its last record needs; return the last line.

    Blank lines are no records.
    """
    lines = [*io.StringIO(text, newline="")]
    reader = _lines(export.source, chain(lines, rest))
    for cells in _told(export, reader, rows.before):
        line = rows.before + reader.line_num
        if len(cells) == rows.width:
            rows.cells.append(cells)
            rows.numbers.append(line)
        elif cells:
            problem = f"has {len(cells)} cells for {rows.width} columns in line {line}"
            fix = "quote such cells, or correct `separator`"
            raise _unreadable(export, problem, fix)
        if reader.line_num >= len(lines):
            break
    return rows.before + reader.line_num


def _told(export: Export, reader: "Reader", before: int) -> Iterator[list[str]]:
    """Yield every record; raise DataError with the line on which a broken one begins.

    A quote that is never closed takes in all the rest: where it ends says nothing.
    """
    whole = before
    try:
        for cells in reader:
            yield cells
            whole = before + reader.line_num
    except csv.Error as broken:
        problem = f"cannot be read as a table from line {whole + 1} ({_reason(broken)})"
        raise _unreadable(export, problem, "check the quotes and `separator`") from None


def _opened(export: Export) -> TextIO:
    encoding = codecs.lookup(export.source.encoding).name
    mark = "utf-8-sig" if encoding == "utf-8" else encoding  # spreadsheets mark UTF-8
    path = export.place.path(export.source.file)
    if other := encodings.kind(path):
        what, (likely, fix) = f"{_name(export)} is no text", other
        raise export.place.told(what, ("file",), fix, likely=likely)
    return path.open(encoding=mark, newline="")


@contextmanager
def _explained(export: Export) -> Generator[None]:
    """Turn what the reader raises into a DataError that quotes no cell."""
    try:
        yield
    except FileNotFoundError:
        raise _unreadable(export, "does not exist", "correct `file`") from None
    except LookupError:
        problem = f"is said to be {export.source.encoding!r}, which is no encoding"
        raise _unreadable(export, problem, 'encoding = "utf-8"') from None
    except UnicodeError:
        raise _otherwise(export) from None
    except (csv.Error, OSError) as broken:
        problem = f"cannot be read as a table ({_reason(broken)})"
        raise _unreadable(export, problem, "check the quotes and `separator`") from None


def _otherwise(export: Export) -> DataError:
    """Say where the file is not in its encoding, and in which it may be."""
    path, encoding = export.place.path(export.source.file), export.source.encoding
    line = encodings.line(path, encoding)
    problem = f"is not {encoding}" + (f" in line {line}" if line else "")
    hint = f'name its encoding, e.g.   encoding = "{encodings.likely(path)}"'
    return _unreadable(export, problem, hint)


def _reason(broken: Exception) -> str:
    """Return why, in words that cannot hold a cell: csv's own, or the error's type."""
    known = ("unexpected end of data", "field larger than field limit", "line contains")
    said = str(broken)
    return next((words for words in known if said.startswith(words)), "bad quotes")


def _unreadable(export: Export, problem: str, fix: str) -> DataError:
    return export.place.unreadable(f"{_name(export)} {problem}", "file", fix)


def _exactly_once(export: Export, keys: Key, column: str, header: list[str]) -> None:
    if not header:
        raise _unreadable(export, "is empty", "export it again, or correct `file`")
    if column not in header:
        asked, named = (keys, column), export.named
        raise headers.lacks(export.place, export.source, asked, named, header)
    if header.count(column) > 1:
        what = f"{_name(export)} has two columns called {column!r}"
        raise export.place.told(what, keys, "rename one of them in the export")
