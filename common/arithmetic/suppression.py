"""Which counts may be told: none of fewer than k, nor what would give one away.

A cell of 1 to k - 1 records is withheld. Where a line then has a single cell withheld,
or few records in all that are, its total would tell them: the next smallest cell goes
too (complementary suppression; Cox 1980, JASA 75). A zero is told, for nobody is behind
it, unless nothing else is left to hide a cell among.

    told([4.0, 90.0, 12.0], 10)     # [None, 90, None]
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float64]
Hidden = NDArray[np.bool_]
Told = list[int | None]


def told(counts: Sequence[float] | Array, least: int) -> Told:
    """Return *counts* [levels] whose sum is known, None where one may not be told."""
    row = np.asarray(counts, dtype=np.float64)
    return _words(row, _withheld(row, least))


def table(counts: Array, least: int, known: Hidden | None = None) -> list[Told]:
    """Return *counts* [rows, columns], None where a cell may not be told.

    Everyone is taken to know the totals that :func:`told` tells of rows and columns,
    and what is *known* [rows + 1, columns + 1] besides, totals last: nothing can be
    hidden there.
    """
    across, down = counts.sum(axis=1), counts.sum(axis=0)
    whole = np.block([[counts, across[:, None]], [down, counts.sum()]])
    withheld = (whole > 0) & (whole < least)
    nobody = (whole[:, -1:] == 0.0) | (whole[-1:] == 0.0)  # each is 0, if their sum is
    public = nobody if known is None else nobody | known
    for totals, told_, hidden in (
        (across, public[:-1, -1], withheld[:-1, -1]),
        (down, public[-1, :-1], withheld[-1, :-1]),
    ):
        hidden[~told_] = _withheld(totals[~told_], least)
    withheld[-1, -1] = False
    withheld &= ~public
    every = whole, withheld, public
    while _completed(*every, least) or _bridged(*every):
        pass
    return [_words(*line) for line in zip(counts, withheld[:-1, :-1], strict=True)]


def _withheld(row: Array, least: int) -> Hidden:
    """Return which cells of a line whose sum is known are withheld."""
    hidden = (row > 0) & (row < least)
    while hidden.any() and (hidden.sum() < 2 or row[hidden].sum() < least):  # noqa: PLR2004 - one alone is what is left
        if hidden.all():
            break
        hidden[_smallest(row, ~hidden)] = True
    return hidden


def _completed(whole: Array, withheld: Hidden, public: Hidden, least: int) -> bool:
    """Withhold one more cell where the total of its line gives another away.

    Return whether there was such a line.
    """
    for row, hidden, known in _lines(whole, withheld, public):
        cells, few = hidden[:-1], row[:-1][hidden[:-1]].sum() < least
        alone = hidden.sum() == 1 or (cells.any() and few and not hidden[-1])
        free = ~cells & ~known[:-1]
        if alone and free.any():
            cells[_smallest(row[:-1], free)] = True
            return True
    return False


def _lines(
    whole: Array, withheld: Hidden, public: Hidden
) -> Iterator[tuple[Array, Hidden, Hidden]]:
    """Yield every row and column with its total, last, as views into the whole."""
    yield from zip(whole[:-1], withheld[:-1], public[:-1], strict=True)
    yield from zip(whole.T[:-1], withheld.T[:-1], public.T[:-1], strict=True)


def _bridged(whole: Array, withheld: Hidden, public: Hidden) -> bool:
    """Withhold one more cell where the totals together give one away.

    Lines are the nodes of a graph and withheld cells its edges. A cell can be computed
    from the others just if it is a bridge: no way round it leads back.
    """
    places = np.argwhere(withheld)
    free = ~withheld & ~public
    free[-1], free[:, -1] = False, False
    for number, (row, column) in enumerate(places):
        parts = _joined(np.delete(places, number, axis=0), whole.shape)
        beside = np.zeros_like(free)
        beside[row], beside[:, column] = free[row], free[:, column]
        if parts[row] != parts[column + len(whole)] and beside.any():
            withheld[np.unravel_index(_smallest(whole, beside), whole.shape)] = True
            return True
    return False


def _joined(places: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Return to which part of the graph each line belongs, rows before columns."""
    ends = places[:, 0], places[:, 1] + shape[0]
    graph = coo_array((np.ones(len(places)), ends), shape=(sum(shape), sum(shape)))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels


def _smallest(counts: Array, free: Hidden) -> int:
    """Return where the smallest *free* count is; a zero only where no other is."""
    order = np.where(counts > 0, counts, counts.max(initial=0.0) + 1.0)
    return int(np.argmin(np.where(free, order, np.inf)))


def _words(row: Array, withheld: Hidden) -> Told:
    return [
        None if hidden else int(count)
        for count, hidden in zip(row, withheld, strict=True)
    ]
