"""What cleaning holds at once: the clean table twice or so, and a part of the file."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import integration, repeats, site
from client.sources import csv
from client.table import Table
from simulations import cleaning_bench

FEW, MANY, BLOCK = 4_000, 16_000, 40_000
"""People of two exports, and how many characters of them are read at once."""
ROOM = 3.0
"""How often the clean table may be held: with its keys, and once more while some go."""


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
