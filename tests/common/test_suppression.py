"""What may be told of counts: nothing small, nor what would give a small one away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog

from common.arithmetic import suppression
from common.arithmetic.multiplicity import benjamini_hochberg, holm

K = 10
COUNTS = st.one_of(st.integers(0, 30), st.integers(0, 500)).map(float)
TABLES = st.tuples(st.integers(2, 5), st.integers(2, 5)).flatmap(
    lambda shape: arrays(float, shape, elements=COUNTS)
)


def test_what_is_large_enough_is_told() -> None:
    assert suppression.told([12, 90, 0], K) == [12, 90, 0]


def test_one_small_count_takes_the_next_with_it() -> None:
    assert suppression.told([4, 90, 12], K) == [None, 90, None]


def test_two_small_counts_that_add_up_to_few_take_a_third() -> None:
    assert suppression.told([2, 3, 90, 40], K) == [None, None, 90, None]


def test_a_table_is_told_without_what_would_give_a_cell_away() -> None:
    counts = np.array([[4.0, 60, 30], [50, 70, 40], [80, 90, 20]])
    assert suppression.table(counts, K) == [
        [None, 60, None],
        [None, 70, None],
        [80, 90, 20],
    ]


def unknown(counts: np.ndarray, told: list[list[int | None]]) -> list[tuple]:
    """Return the withheld cells with the least and greatest count they can have.

    Whoever reads the table knows the totals of rows and columns that are told.
    """
    rows, columns = counts.shape
    margins = [suppression.told(counts.sum(axis=1 - axis), K) for axis in (0, 1)]
    known, bounds, limits = [], [], []
    for i in range(rows):
        for j in range(columns):
            cell = told[i][j]
            bounds.append((0, None) if cell is None else (cell, cell))
    for axis, size in ((0, rows), (1, columns)):
        for line in range(size):
            if margins[axis][line] is not None:
                mask = np.zeros((rows, columns))
                mask[(line, slice(None)) if axis == 0 else (slice(None), line)] = 1
                known.append(mask.ravel())
                limits.append(margins[axis][line])
    known.append(np.ones(rows * columns))
    limits.append(counts.sum())
    return [
        (counts[i, j], *_range(i * columns + j, known, limits, bounds))
        for i in range(rows)
        for j in range(columns)
        if told[i][j] is None
    ]


def _range(cell: int, known: list, limits: list, bounds: list) -> tuple:
    goal = np.zeros(len(bounds))
    goal[cell] = 1.0
    ends = [
        linprog(sign * goal, A_eq=np.array(known), b_eq=limits, bounds=bounds).fun
        for sign in (1, -1)
    ]
    return ends[0], -ends[1]


@settings(max_examples=40, deadline=None)
@given(counts=TABLES)
def test_no_withheld_cell_can_be_computed(counts: np.ndarray) -> None:
    told = suppression.table(counts, K)
    for line, row in zip(told, counts, strict=True):
        assert all(cell is None or cell == 0 or cell >= K for cell in line)
        assert all(c is None or c == n for c, n in zip(line, row, strict=True))
    if np.count_nonzero(counts) < 4:
        return  # too few cells to hide one among others
    for true, least, most in unknown(counts, told):
        assert least - 1e-6 <= true <= most + 1e-6
        assert not 0 < true < K or most - least > 0.5


def test_holm_and_benjamini_hochberg_by_hand() -> None:
    values = [0.01, None, 0.04, 0.03, 0.2]
    assert holm(values) == pytest.approx([0.04, None, 0.09, 0.09, 0.2])
    expected = [0.04, None, 0.16 / 3, 0.16 / 3, 0.2]
    assert benjamini_hochberg(values) == pytest.approx(expected)


def test_no_test_at_all_is_corrected_to_none() -> None:
    assert holm([]) == benjamini_hochberg([]) == []
    assert holm([None]) == [None]
