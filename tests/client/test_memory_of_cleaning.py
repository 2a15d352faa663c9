"""What cleaning holds at once: little more than the clean table, and part of a file."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import site
from client.numbers import growing
from client.numbers.growing import Growing
from client.sources import csv
from client.table import Table
from client.tables import cleaning, integration, repeats
from client.tables.work import Work
from simulations.benches import cleaning_bench

FEW, MANY, BLOCK = 4_000, 16_000, 40_000
"""People of two exports, and how many characters of them are read at once."""
ROOM = 1.8
"""How often the clean table may be held: with its keys, and what one step needs."""


def cleaned(place: Path, count: int) -> tuple[Table, int]:
    """Return the clean table of so many people, and the most bytes held meanwhile."""
    path = cleaning_bench.write(place, count)
    with path.with_name("export.csv").open("a", encoding="utf-8") as file:
        file.write("p0,2020-01-01,again,40,,none,f,no\n")  # a record to leave out
    local, study = site.read(path), cleaning_bench.study()
    tracemalloc.start()
    try:
        table = integration.table(local, study)
        return table, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def size(table: Table) -> int:
    every = (table.values, table.outcome, table.train, table.person, table.key)
    return sum(each.nbytes for each in (*every, table.site))


def test_what_is_held_grows_with_the_clean_table_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's text is let go part by part, whatever its length."""
    monkeypatch.setattr(csv, "BLOCK", BLOCK)
    monkeypatch.setattr(growing, "BLOCK", BLOCK)
    path = cleaning_bench.write(tmp_path, 100)  # loads what is loaded once
    integration.table(site.read(path), cleaning_bench.study())
    small, least = cleaned(tmp_path, FEW)
    large, most = cleaned(tmp_path, MANY)
    assert len(large.outcome) == MANY
    assert most - least < ROOM * (size(large) - size(small))


numbers = st.lists(st.integers(-3, 3), max_size=40)


@given(numbers)
def test_repeats_are_what_a_hash_table_finds(found: list[int]) -> None:
    values = np.array(found, dtype=np.int64)
    assert repeats.several(values) == len({*found})
    assert repeats.again(values).tolist() == [found.count(n) > 1 for n in found]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_records_of_several_people_are_counted(rows: list[tuple[int, int]]) -> None:
    content = np.array([row[0] for row in rows], dtype=np.int64)
    person = np.array([row[1] for row in rows], dtype=np.int64)
    truth = sum(len({p for d, p in rows if d == c}) > 1 for c, _ in rows)
    assert repeats.of_several(content, person) == truth


@given(st.lists(st.tuples(st.integers(), st.integers()), max_size=30, unique=True))
def test_pairs_that_differ_have_different_numbers(rows: list[tuple[int, int]]) -> None:
    wrapped = [(p % 2**63, e % 2**63) for p, e in rows]
    person, event = (np.array([row[i] for row in wrapped], np.int64) for i in (0, 1))
    assert repeats.several(repeats.pairs(person, event)) == len({*wrapped})


@given(st.lists(st.integers(-2, 9), max_size=12))
def test_people_are_numbered_as_they_are_met(found: list[int]) -> None:
    person = np.array(found, dtype=np.int64)
    numbered = cleaning._numbered(person, repeats.several(person))
    first = [*dict.fromkeys(found)]
    assert numbered.tolist() == [first.index(each) for each in found]


pieces = st.lists(st.lists(st.integers(-9, 9), max_size=7), max_size=9)


@given(parts=pieces, block=st.integers(1, 40), wide=st.booleans())
def test_a_column_that_grows_is_its_parts_in_order(
    parts: list[list[int]], block: int, *, wide: bool
) -> None:
    column, shape = Growing(), (-1, 2) if wide else (-1,)
    arrays = [np.repeat(part, 2 if wide else 1).reshape(shape) for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "BLOCK", block)
        for array in arrays:
            column.add(array)
        before = [array.tolist() for array in arrays]
        whole = column.whole()
    assert whole.tolist() == [row for part in before for row in part]
    assert [array.tolist() for array in arrays] == before, "no part is written to"
    assert not column.blocks


def test_records_left_out_are_not_held_beside_those_that_stay() -> None:
    values = {name: np.arange(6.0) for name in ("a", "b")}
    frame, keys = pd.DataFrame(values, copy=False), pd.DataFrame({"k": range(6)})
    work = Work(frame, keys, {}, ())
    kept = work.keep(np.arange(6) % 2 == 0, "step", "", "odd ones")
    assert kept.frame["b"].tolist() == [0.0, 2.0, 4.0]
    assert [*kept.keys["k"]] == [0, 2, 4]
    assert (len(work.frame.columns), len(work.keys.columns)) == (0, 0)
