"""Whatever is in arrays, typed tables, databases and device files: cells or a word.

The canary is in each of them; what a reader says never holds it.
"""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from pyarrow import parquet

from client.formats.raw import PERSON
from client.site import Site
from common.schema import Image
from tests.places import CANARY, read, refusal, site

SOME = settings(deadline=None, max_examples=60)
FILM = Image(name="film", size=(4, 4))
PICTURES = {"kind": "images", "file": "list.csv", "person": "who", "pixels": "all.npz"}
MONITOR = {"kind": "wfdb", "files": "monitor/{person}.hea"}
WINDOWS = {"n": {"column": "HR", "take": "mean"}}


def damaged(data: some.DataObject, content: bytes) -> bytes:
    """Change some bytes, and cut or double a part."""
    changed = bytearray(content)
    for _ in range(data.draw(some.integers(0, 4), label="changes")):
        place = data.draw(some.integers(0, len(content) - 1), label="place")
        changed[place] = data.draw(some.integers(0, 255), label="byte")
    cut = data.draw(some.integers(0, len(content)), label="cut")
    ways = [changed, changed[:cut], changed[:cut] + changed, changed[cut:]]
    return bytes(data.draw(some.sampled_from(ways), label="way"))


def said(local: Site, image: Image | None = None) -> str:
    """Return what reading says; it must not be a canary, and must say where."""
    words = refusal(lambda: read(local, image))
    assert CANARY not in words
    assert not words or "site.toml" in words
    return words


def npz(folder: Path, *, packed: bool) -> Path:
    place = folder / "all.npz"
    pixels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    named: dict[str, Any] = {"images": pixels, CANARY: pixels}
    (np.savez_compressed if packed else np.savez)(place, **named)
    (folder / "list.csv").write_text(f"who,place\n{CANARY},0\nb,2\n")
    return place


@SOME
@given(data=some.data(), packed=some.booleans())
def test_any_damage_to_an_npz_is_pictures_or_one_sentence(
    data: some.DataObject, *, packed: bool
) -> None:
    with TemporaryDirectory() as name:
        local = site(Path(name), PICTURES, {"film": {"column": "place"}})
        path = npz(Path(name), packed=packed)
        path.write_bytes(damaged(data, path.read_bytes()))
        said(local, FILM)


@SOME
@given(data=some.data())
def test_any_array_is_pictures_or_one_sentence(data: some.DataObject) -> None:
    """Of any kind and shape: objects, words, times, nothing."""
    shape = data.draw(some.lists(some.integers(0, 4), max_size=4).map(tuple))
    kind = data.draw(some.sampled_from(["u1", "u2", "i8", "f8", "U9", "M8[s]", "V3"]))
    with TemporaryDirectory() as name:
        local = site(Path(name), PICTURES, {"film": {"column": "place"}})
        path = npz(Path(name), packed=False)
        np.savez(path, images=np.zeros(shape, dtype=kind))
        said(local, FILM)


CELL = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(-(2**63), 2**63 - 1),
    some.floats(),
    some.sampled_from([CANARY, "NaN", "-9", " 7 ", "7319,4242", "\ufeff", "\0"]),
    some.text(max_size=6),
    some.binary(max_size=6),
    some.dates(),
    some.datetimes(),
    some.decimals(allow_nan=False, allow_infinity=False, places=2),
)
LISTS = some.lists(some.one_of(CELL, some.lists(CELL, max_size=2)), max_size=5)
TABLE = {"kind": "parquet", "file": "t.parquet", "person": "who"}


@SOME
@given(column=LISTS)
def test_a_column_of_any_type_is_text_or_one_sentence(column: list[Any]) -> None:
    try:
        typed = pa.array(column)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        typed = pa.array([str(each) for each in column if each == CANARY])
    with TemporaryDirectory() as name:
        local = site(Path(name), TABLE, {"x": {"column": "x"}})
        who = pa.array([f"{CANARY}-{i}" for i in range(len(typed))], pa.string())
        table = pa.table({"who": who, "x": typed, "name": who})
        parquet.write_table(table, Path(name) / "t.parquet")
        if not said(local):
            cells = [each for part in read(local) for each in part.cells["x"]]
            assert len(cells) == len(typed)
            assert all(isinstance(each, str) for each in cells)


def test_a_table_without_rows_has_cells_all_the_same(tmp_path: Path) -> None:
    local = site(tmp_path, TABLE, {"x": {"column": "x"}})
    nothing = pa.table({"who": pa.array([], pa.string()), "x": pa.array([], pa.int8())})
    parquet.write_table(nothing, tmp_path / "t.parquet")
    (raw,) = read(local)
    assert raw.cells.columns.tolist() == [PERSON, "x"]
    assert len(raw.cells) == 0


STORED = some.one_of(
    some.none(),
    some.integers(-(2**63), 2**63 - 1),
    some.floats(),
    some.just(CANARY),
    some.text(max_size=6),
    some.binary(max_size=6),
    some.sampled_from(
        [date(1, 1, 1), datetime(9999, 12, 31, tzinfo=UTC), Decimal(1)]
    ).map(str),
)
DATABASE = {"kind": "sql", "file": "d.sqlite"}
QUERY = "SELECT who AS person, at AS time, x AS value, unit FROM t"


@SOME
@given(rows=some.lists(some.tuples(STORED, STORED, STORED, STORED), max_size=4))
def test_rows_of_any_type_are_text_or_one_sentence(rows: list[tuple[Any, ...]]) -> None:
    with TemporaryDirectory() as name:
        local = site(Path(name), DATABASE, {"x": {"query": QUERY}})
        with closing(sqlite3.connect(Path(name) / "d.sqlite")) as database, database:
            database.execute("CREATE TABLE t (who, at TIMESTAMP, x NUMERIC, unit)")
            marks = "INSERT INTO t VALUES (?, ?, ?, ?)"
            database.executemany(marks, [_storable(row) for row in rows])
        if not said(local):
            (raw,) = read(local)
            assert len(raw.cells) == len(rows)


def _storable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *row* with texts that can be stored: a lone surrogate cannot."""
    return tuple(
        each.encode(errors="replace").decode() if isinstance(each, str) else each
        for each in row
    )


@SOME
@given(data=some.data(), part=some.sampled_from(["a.hea", "a.dat"]))
def test_any_damage_to_a_record_is_windows_or_one_sentence(
    data: some.DataObject, part: str
) -> None:
    samples = np.arange(12, dtype="<i2")
    head = "a 1 0.25/1 12 10:00:00 01/02/2024\na.dat 16 10(5)/mV 12 0 0 66 0 HR\n"
    with TemporaryDirectory() as name:
        local = site(Path(name), MONITOR, WINDOWS)
        folder = Path(name) / "monitor"
        folder.mkdir()
        (folder / "a.hea").write_text(f"{head}# {CANARY}\n")
        (folder / "a.dat").write_bytes(samples.tobytes())
        assert not said(local)
        (folder / part).write_bytes(damaged(data, (folder / part).read_bytes()))
        said(local)


@pytest.mark.parametrize(
    "line",
    [
        "a.dat 16 10(99999999999999999999)/mV 12 0 0 66 0 HR",
        f"a.dat 16 10({'9' * 5000})/mV 12 0 0 66 0 HR",
        "a.dat 16 10(5)/mV 12 0 0 66 0 HR\na.dat 16 10(5)/mV 12 0 0 66 0 HR",
    ],
)
def test_a_header_of_huge_numbers_or_two_channels_of_a_name_is_one_sentence(
    tmp_path: Path, line: str
) -> None:
    local = site(tmp_path, MONITOR, WINDOWS)
    (tmp_path / "monitor").mkdir()
    head = f"a {line.count('a.dat')} 0.25/1 6 10:00:00 01/02/2024\n{line}\n"
    (tmp_path / "monitor" / "a.hea").write_text(head.replace(" 66 ", " 0 "))
    (tmp_path / "monitor" / "a.dat").write_bytes(bytes(24))
    assert said(local)


def test_a_name_that_is_not_utf8_is_one_sentence(tmp_path: Path) -> None:
    local = site(tmp_path, MONITOR, WINDOWS)
    (tmp_path / "monitor").mkdir()
    (tmp_path / os.fsdecode(b"monitor/M\xfcller.hea")).write_text("")
    assert "not UTF-8" in said(local)


def test_a_person_in_a_column_of_floats_is_the_same_person(tmp_path: Path) -> None:
    query = "SELECT 1001.0 AS person, 2.0 AS value UNION SELECT 'nan', 3"
    (tmp_path / "d.sqlite").touch()
    (raw,) = read(site(tmp_path, DATABASE, {"x": {"query": query}}))
    assert sorted(raw.cells[PERSON]) == ["1001", "nan"]


@pytest.mark.parametrize("kind", ["csv", "parquet", "sql", "fhir"])
def test_what_is_another_kind_of_file_is_one_sentence(
    tmp_path: Path, kind: str
) -> None:
    """A picture, a program or an archive under the name of an export."""
    key = "folder" if kind == "fhir" else "file"
    source = {
        "kind": kind,
        key: "export",
        **({} if kind == "sql" else {"person": "who"}),
    }
    found: dict[str, dict[str, Any]] = {
        "sql": {"query": QUERY},
        "fhir": {"fhir": {"resource": "Patient", "value": "gender"}},
    }
    column = found.get(kind, {"column": "x"})
    for content in (b"\x89PNG\r\n\x1a\n" + CANARY.encode(), b"PK\3\4", b"\x7fELF\0\0"):
        (tmp_path / "export").unlink(missing_ok=True)
        local = site(tmp_path, source, {"x": column})
        (tmp_path / "export").write_bytes(content)
        assert said(local)
