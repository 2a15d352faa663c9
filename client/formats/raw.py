"""What every reader takes and returns: cells as text, and never a value in an error.

    def read(source: Csv, wanted: Wanted, place: Place) -> Generator[Raw]: ...

A reader yields what it finds in parts, so that memory is bounded by the part; whoever
reads closes it, or a file or database stays open after an error. The cells
of a part are text (dtype str). Its columns are PERSON; TIME, where the source tells a
time; SPLIT, where it names one; the wanted names; and ``unit_of(name)``, where the
source says the unit of each value. No other column of the source is ever in it. The
index numbers the records for error messages, as ``counted`` says: "export.csv line".

An empty cell is a gap. A cell that is no text at all (NaN) means that this record says
nothing of this variable, as in sources that hold one value a row.

``arrays`` holds what is no cell, by wanted name: one array [records, ...] that runs
along with the cells. ``seen`` counts the samples of which a cell was made.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from client.documents.mapping import Column, Csv, Parquet
from client.formats.bounds import Bounds, Seen
from client.site import CHECK, Site
from common.errors import DataError
from common.schema import Image

PERSON: Final = "@person"
TIME: Final = "@time"
SPLIT: Final = "@split"
PART = 200_000
"""Records that a reader yields at once, about."""

Wanted = Mapping[str, Column]
"""What is to be read of one source: every declared variable, by its name."""
Parts = Generator["Raw"]
Key = tuple[str, ...]
Named = dict[str, tuple[Key, str]]
"""By the name of a column of cells: who asks for it in site.toml, and its header."""
Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, repr=False)
class Raw:
    """Some records of one source as a reader found them."""

    cells: pd.DataFrame
    counted: str
    arrays: Arrays = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return a count only: what was read may end up in a log line."""
        return f"<Raw of {len(self.cells)} records>"


@dataclass(frozen=True, slots=True)
class Place:
    """Which source of which site a reader reads, and how what it finds has to be.

    ``bounds`` says, by wanted name, within which of some ranges a sample has to lie.
    """

    site: Site
    name: str
    image: Image | None = None
    bounds: Mapping[str, tuple[Bounds, ...]] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """The table of site.toml that describes the source."""
        return ("data",) if self.site.mapping.data else ("sources", self.name)

    @property
    def table(self) -> str:
        """That table as it is written."""
        return f"[{'.'.join(self.keys)}]"

    def path(self, file: str) -> Path:
        """Return *file*, looked up beside ``site.toml``."""
        return self.site.path.parent / file

    def where(self, *keys: str) -> str:
        """Return file and line of a key of this source."""
        return self.site.where(*self.keys, *keys)

    def unreadable(self, what: str, key: str, fix: str) -> DataError:
        """Return the error that *what* is wrong; *key* is the setting to look at."""
        fix = f"{fix}   in {self.table} of {self.site.path.name}"
        return self.told(what, (key,), fix)

    def told(
        self, what: str, keys: tuple[str, ...], fix: str, *, likely: str = ""
    ) -> DataError:
        """Return the error *what*; *keys* are the source's, or ("columns", …)."""
        whole = keys if keys[0] == "columns" else (*self.keys, *keys)
        return DataError(
            f"{self.site.name}: {what}",
            where=self.site.where(*whole),
            likely=likely,
            fix=fix,
            then=f"{CHECK}{self.site.path}",
        )


def columns_of(source: Csv | Parquet, wanted: Wanted) -> Named:
    """Return every column that a table's mapping names, by its name in the cells."""
    own = {PERSON: source.person, TIME: source.event_time, SPLIT: source.split}
    keys = {PERSON: "person", TIME: "event_time", SPLIT: "split"}
    said: dict[str, tuple[Key, str | None]]
    said = {name: ((keys[name],), column) for name, column in own.items()}
    for name, column in wanted.items():
        said[name] = (("columns", name, "column"), column.column)
        said[unit_of(name)] = (("columns", name, "unit_column"), column.unit_column)
    return {name: (key, column) for name, (key, column) in said.items() if column}


def unit_of(name: str) -> str:
    """Return the column that holds the unit of each value of *name*."""
    return f"{name}@unit"


def frame(
    cells: Mapping[str, Sequence[str | None] | ExtensionArray],
    numbers: "Sequence[int] | NDArray[np.int64]",
) -> pd.DataFrame:
    """Return *cells* as text under their names, numbered by *numbers*."""
    return pd.DataFrame(dict(cells), index=pd.Index(numbers), dtype="str")
