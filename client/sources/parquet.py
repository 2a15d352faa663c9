"""Reads the declared columns of Parquet files, a group of rows at a time, as text.

The file's own types become the text that a CSV export would have: a number in the
fewest digits that give it back, a date as ISO 8601, nothing as the empty cell.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray
from pyarrow import compute
from pyarrow import parquet as files

from client.documents.mapping import Parquet
from client.formats.raw import Parts, Place, Raw, Wanted, columns_of, frame
from client.sources import headers
from common.errors import DataError

SUFFIX = ".parquet"
ROWS = 50_000
"""Rows that are text at once: as such a cell is ten times as large as a number."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one source, what is wanted of them, and where they stand."""

    source: Parquet
    place: Place

    @property
    def files(self) -> list[Path]:
        """Every file of the source, by name."""
        path = self.place.path(self.source.file)
        return sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]


def read(source: Parquet, wanted: Wanted, place: Place) -> Parts:
    """Yield the wanted columns as text, numbered by row from 1 in each file.

    Raises DataError when there is no file, one is broken, lacks a column, or holds
    lists or bytes where cells should be.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # its own gives little of it back
    folder, named = Folder(source, place), columns_of(source, wanted)
    names = sorted({column for _, column in named.values()})
    for path in _present(folder):
        with _explained(folder, path), files.ParquetFile(path) as file:
            _require(folder, path, file.schema_arrow, wanted)
            for first, batch in _batches(file, names):
                cells = {
                    name: _text(folder, path, batch.column(column))
                    for name, (_, column) in named.items()
                }
                numbers = np.arange(first, first + batch.num_rows) + 1
                yield Raw(frame(cells, numbers), f"{path.name} row")


def probe(source: Parquet, wanted: Wanted, place: Place) -> int:
    """Return how many columns are mapped, once every file has each; read no row."""
    folder = Folder(source, place)
    for path in _present(folder):
        with _explained(folder, path), files.ParquetFile(path) as file:
            _require(folder, path, file.schema_arrow, wanted)
    return len({column for _, column in columns_of(source, wanted).values()})


def names(source: Parquet, place: Place) -> list[str]:
    """Return the columns of the first file; read no row."""
    folder = Folder(source, place)
    path = _present(folder)[0]
    with _explained(folder, path), files.ParquetFile(path) as file:
        return list(file.schema_arrow.names)


def _present(folder: Folder) -> list[Path]:
    found = folder.files
    if not found:
        raise _broken(folder, folder.place.path(folder.source.file), "holds no file")
    return found


def _batches(
    file: files.ParquetFile, names: list[str]
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield (rows before, rows) of some thousand rows each, of the columns *names*.

    The library keeps what it read of every group that it is asked for, until the last.
    """
    first = 0
    for group in range(file.num_row_groups):
        for batch in file.iter_batches(ROWS, row_groups=[group], columns=names):
            yield first, batch
            first += batch.num_rows
    if not first:
        nothing = [pa.array([], type=file.schema_arrow.field(n).type) for n in names]
        yield 0, pa.RecordBatch.from_arrays(nothing, names=names)


def _require(folder: Folder, path: Path, schema: pa.Schema, wanted: Wanted) -> None:
    """Raise DataError for a column that is not there exactly once."""
    named = columns_of(folder.source, wanted)
    for keys, column in named.values():
        if column not in schema.names:
            asked, there = (keys, column), schema.names
            raise headers.lacks(folder.place, folder.source, asked, named, there)
        if schema.names.count(column) > 1:
            what = f"{path.name} has two columns called {column!r}"
            raise folder.place.told(what, keys, "rename one of them in the export")


def _text(folder: Folder, path: Path, column: pa.Array) -> ExtensionArray:
    """Return *column* as text, the empty cell for nothing."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        raise _broken(folder, path, f"has {kind} where a cell should be")
    if pa.types.is_floating(kind):
        nothing = pa.scalar(None, type=kind)
        column = compute.if_else(compute.is_nan(column), nothing, column)
    text = column.cast(pa.large_string()).fill_null("")
    cells: ExtensionArray = pd.array(text, dtype="str")
    return cells


@contextmanager
def _explained(folder: Folder, path: Path) -> Generator[None]:
    """Turn what the library raises into a DataError that quotes nothing."""
    try:
        yield
    except FileNotFoundError:
        raise _broken(folder, path, "does not exist") from None
    except (pa.ArrowException, OSError) as broken:
        what = f"{path.name} cannot be read as Parquet ({type(broken).__name__})"
        fix, likely = "export it again, or correct `file`", "half a file, or no Parquet"
        raise folder.place.told(what, ("file",), fix, likely=likely) from None


def _broken(folder: Folder, path: Path, problem: str) -> DataError:
    fix = "export it again, or correct `file`"
    return folder.place.unreadable(f"{path.name} {problem}", "file", fix)
