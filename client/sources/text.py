"""Reads text files, each about one person: what is in one is one cell.

What becomes of a text is decided where columns are cleaned: identifiers are taken out,
and its words fall into buckets. No text is ever a value of the table.
"""

import codecs

from client.documents.media import Texts
from client.formats import filed
from client.formats.filed import Filed
from client.formats.raw import PERSON, TIME, Parts, Place, Raw, Wanted, frame

LARGEST = 2**20
"""Bytes of a text that somebody wrote; what is larger is something else."""
AT_ONCE = 2_000
COLUMN = "text"


def read(source: Texts, wanted: Wanted, place: Place) -> Parts:
    """Yield each file as one cell, by its place in the list of files.

    Raises DataError for a file that is too large or no text in the declared encoding.
    """
    _require_column(wanted, place)
    found = filed.find(place, source.files)
    for start in range(0, len(found), AT_ONCE):
        some = found[start : start + AT_ONCE]
        cells = {PERSON: [each.person for each in some]}
        if "{time}" in source.files:
            cells[TIME] = [each.time for each in some]
        texts = [_text(source, place, each) for each in some]
        cells |= dict.fromkeys(wanted, texts)
        numbers = [each.number for each in some]
        yield Raw(frame(cells, numbers), filed.counted(source.files))


def probe(source: Texts, wanted: Wanted, place: Place) -> int:
    """Return how many files there are; read none."""
    _require_column(wanted, place)
    return len(filed.find(place, source.files))


def _require_column(wanted: Wanted, place: Place) -> None:
    for name, column in wanted.items():
        if column.column != COLUMN:
            raise place.told(
                f"a text file has one column, which is called {COLUMN}",
                ("columns", name, "column"),
                f'column = "{COLUMN}"   in [columns.{name}]',
            )


def _text(source: Texts, place: Place, file: Filed) -> str:
    """Return what is in *file*, once it is a text."""
    try:
        with file.path.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        text = codecs.decode(content, source.encoding)
    except (UnicodeError, LookupError):
        problem = f"is no text in {source.encoding}: name its `encoding`"
        raise filed.broken(place, source.files, file, problem) from None
    except OSError as reason:
        problem = f"cannot be read ({type(reason).__name__})"
        raise filed.broken(place, source.files, file, problem) from None
    if len(content) > LARGEST or "\0" in text:
        problem = "is larger than a text may be, or holds binary data"
        raise filed.broken(place, source.files, file, problem)
    return text.removeprefix("\ufeff")
