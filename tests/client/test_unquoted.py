"""Lines that are split at once are those that the standard library would split."""

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from client.sources import csv as reader
from client.sources import unquoted
from common.errors import DataError
from tests.places import read, site

CELL = some.one_of(
    some.sampled_from(["", "7", "-9", "12,5", '"', '"a"', '"a\nb"', " x", "x ", "\r"]),
    some.sampled_from(["NaN", "null", "#", "\\", "'", "\ufeff", "\u2028", "\x1c", "ä"]),
    some.text(max_size=4),
)
ROW = some.lists(CELL, min_size=1, max_size=4).map(";".join)
ENDS = some.sampled_from(["\n", "\r\n", "\n\n", "\r"])
SOME = settings(deadline=None, max_examples=200)


def told(text: str, width: int) -> list[list[str]] | None:
    """Return the records of *text* as the standard library reads them."""
    lines = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=";",
        strict=True,
        skipinitialspace=True,
    )
    try:
        found = [row for row in lines if row]
    except csv.Error:
        return None
    return found if all(len(row) == width for row in found) else None


@SOME
@given(
    rows=some.lists(ROW, min_size=1, max_size=5), end=ENDS, width=some.integers(1, 4)
)
def test_what_is_split_at_once_is_what_the_library_reads(
    rows: list[str], end: str, width: int
) -> None:
    text = end.join(rows) + end
    found = unquoted.columns(text, width, range(width), ";")
    if found is not None:
        cells = [[str(cell) for cell in row] for row in zip(*found, strict=True)]
        assert cells == told(text, width)


def test_plain_lines_are_split_and_a_column_may_be_asked_for_twice() -> None:
    found = unquoted.columns("a,,NA\r\n1, ,3".replace(", ", ",_"), 3, (2, 0, 2), ",")
    assert found is not None
    assert [[*column] for column in found] == [["NA", "3"], ["a", "1"], ["NA", "3"]]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n\nc,d\n",
        'a,"b"\n',
        "a, b\n",
        "a\nb,c,d\n",
        "a,b\rc,d\n",
        " a,b\n",
        "\ufeffa,b\n",
    ],
)
def test_what_is_not_plain_is_left_to_the_library(text: str) -> None:
    assert unquoted.columns(text, 2, (0, 1), ",") is None


def test_a_cell_that_is_too_long_is_left_to_the_library() -> None:
    long = "x" * csv.field_size_limit()
    assert unquoted.columns(f"{long},{long}\n", 2, (0,), ",") is None


SOURCE = {"kind": "csv", "file": "export.csv", "person": "who", "separator": ";"}


@SOME
@given(
    rows=some.lists(ROW, min_size=1, max_size=12),
    end=some.sampled_from(["\n", "\r\n"]),
    block=some.integers(1, 30),
)
def test_a_file_reads_the_same_in_blocks_of_any_size(
    rows: list[str], end: str, block: int
) -> None:
    """Plain and quoted blocks in any order, records over their borders, and lines."""
    text = end.join(["who;b;c", *rows])
    records = told(text, 3)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK", block)
        local = site(Path(folder), SOURCE, {"x": {"column": "c"}})
        try:
            (Path(folder) / "export.csv").write_bytes(text.encode())
        except UnicodeError:
            return
        try:
            parts = read(local)
        except DataError:
            assert records is None
            return
    cells = [list(row) for part in parts for row in part.cells.to_numpy()]
    assert records is not None
    assert cells == [[who, x] for who, _, x in records[1:]]
    lines = [line for part in parts for line in part.cells.index]
    assert lines == ended(text)[1:]


def ended(text: str) -> list[int]:
    """Return the line on which each record ends."""
    found = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=";",
        strict=True,
        skipinitialspace=True,
    )
    return [found.line_num for row in found if row]
