"""Says what is wrong with a table's first line, and how to mend it, without a cell.

Without a header row the first line holds a patient's values, and a value may look much
like a column. So a name is repeated only where it must be one: it is the mapped name
but for case, or another mapped column stands in the same line.
"""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Final

from client.documents.mapping import Csv, Parquet
from client.formats.raw import Key, Named, Place
from common.errors import DataError

SEPARATORS: Final = (",", ";", "\t", "|")
WRITTEN: Final = {"\t": "\\t"}


def lacks(
    place: Place,
    source: Csv | Parquet,
    asked: tuple[Key, str],
    named: Named,
    there: list[str],
) -> DataError:
    """Return the error that the column *asked* for is not among those *there*.

    *named* holds every column that the mapping names.
    """
    keys, column = asked
    what = f"column {column!r} is not in {place.path(source.file).name}"
    if isinstance(source, Csv) and (other := _separator(column, source, there)):
        likely = "the file has another separator"
        fix = f'separator = "{WRITTEN.get(other, other)}"   in {place.table}'
        return place.told(what, keys, fix, likely=likely)
    if near := _near(column, {each for _, each in named.values()}, there):
        return place.told(
            what, keys, f'{keys[-1]} = "{near}"', likely=f"the file spells it {near!r}"
        )
    absent = ", or, if it was never measured:   absent = true"
    fix = f"correct `{keys[-1]}`{absent if keys[0] == 'columns' else ''}"
    return place.told(what, keys, fix, likely=_unlike(source, there))


def _unlike(source: Csv | Parquet, there: list[str]) -> str:
    many = "1 column" if len(there) == 1 else f"{len(there)} columns"
    if not isinstance(source, Csv):
        return f"the file has {many}"
    return f"the file has {many}; is its separator {source.separator!r}?"


def _separator(column: str, source: Csv, there: list[str]) -> str:
    """Return the separator under which the *column* is there, if another one does."""
    line = source.separator.join(there)
    for each in SEPARATORS:
        cells = [cell.strip().strip('"').strip() for cell in line.split(each)]
        if each != source.separator and len(cells) > 1 and column in cells:
            return each
    return ""


def _near(column: str, named: Collection[str], there: Sequence[str]) -> str:
    """Return the column that was meant, if it can only be one; see above."""
    same = [name for name in there if letters(name) == letters(column) != ""]
    if same:
        return same[0]
    if not any(other in there for other in named):
        return ""
    close = get_close_matches(column.casefold(), [each.casefold() for each in there], 1)
    return next((each for each in there if each.casefold() in close), "")


def letters(name: str) -> str:
    """Return a name without case and spaces; empty when it holds a digit."""
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    return "" if any(letter.isdigit() for letter in plain) else plain
