"""Says why a file is not the text that it is said to be, and where, without a byte."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Final

Kind = tuple[str, str]
"""What a file is, and what to do about it."""
SAVED: Final = "save it as CSV, in UTF-8"
KINDS: Final[Mapping[bytes, Kind]] = {
    b"PK\x03\x04": ("a spreadsheet, or an archive", SAVED),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet", SAVED),
    b"PAR1": ("a Parquet file", 'kind = "parquet"'),
    b"SQLite format 3\0": ("an SQLite file", 'kind = "sql"'),
}
"""By how a file begins that is no text."""
MARKS: Final = {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def kind(path: Path) -> Kind | None:
    """Return what the file at *path* is, if it is of a known kind that is no text."""
    with path.open("rb") as file:
        begins = file.read(16)
    found = (said for mark, said in KINDS.items() if begins.startswith(mark))
    return next(found, None)


def likely(path: Path) -> str:
    """Return an encoding that the file at *path* may be in."""
    with path.open("rb") as file:
        begins = file.read(2)
    return MARKS.get(begins, "latin-1")


def line(path: Path, encoding: str) -> int:
    """Return the first line that is not in *encoding*; 0 where lines cannot be told.

    In an encoding of several bytes a letter, a byte that ends a line need not end one.
    """
    if codecs.lookup(encoding).name in ("utf-16", "utf-32"):
        return 0
    with path.open("rb") as file:
        for number, each in enumerate(file, 1):
            try:
                each.decode(encoding)
            except UnicodeError:
                return number
    return 0
