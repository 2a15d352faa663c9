"""Who is said to be what, as it may be told: level by level, no small cell.

A level of too few test records is not told, nor another that would give it away. In the
row of one that is, small cells are withheld together with those said to be what they
are; each small one then counts as half of the fewest. Where these would not hide each
other, the whole row is withheld.
"""

from dataclasses import dataclass

import numpy as np

from common.arithmetic import intervals, suppression
from common.arithmetic.intervals import Interval
from common.arithmetic.scores import Table
from common.release import Array
from common.task import Findings

WIDE = 0.5
"""An interval wider than this for what is withheld alone: nothing is told."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row as it is told: its sum, cells (None withheld), and about what they are.

    ``hits`` are how many are said to be what they are: about, least and most. A row of
    which nothing is told has no ``about``.
    """

    records: float
    cells: tuple[int | None, ...]
    about: Array | None
    hits: tuple[float, float, float]
    told: bool = True

    @property
    def known(self) -> bool:
        """Whether all its cells are told."""
        return None not in self.cells


def lines(confusion: Array, fewest: int) -> list[Line]:
    """Return each row of the *confusion* matrix as it may be told."""
    sums = confusion.sum(axis=1)
    told = suppression.told(sums, fewest)
    rest = sum(each for each, known in zip(sums, told, strict=True) if known is None)
    share = rest / max(told.count(None), 1)
    return [
        _hidden(share, len(row), told=False)
        if known is None
        else _line(row, place, fewest)
        for place, (row, known) in enumerate(zip(confusion, told, strict=True))
    ]


def table(every: list[Line], place: int) -> Table | None:
    """Return about whom a level is told from, where all rows tell about how many."""
    rows = [each.about for each in every if each.about is not None]
    if len(rows) < len(every):
        return None
    about = np.array(rows)
    hits = float(about[place, place])
    missed = float(about[place].sum()) - hits
    wrong = float(about[:, place].sum()) - hits
    return Table(hits, missed, wrong, float(about.sum()) - hits - missed - wrong)


def accuracy(every: list[Line]) -> Findings:
    """Return how often the likeliest level is right, and all that it may be."""
    records = sum(each.records for each in every)
    right, low, high = (sum(each.hits[end] for each in every) for end in range(3))
    if not records or high - low > WIDE * records:
        return {"accuracy": None, "accuracy_interval": None}
    return {
        "accuracy": right / records,
        "accuracy_interval": _around(low, high, records),
    }


def sensitivity(line: Line) -> Findings:
    """Return how many of a level are found, and all that it may be."""
    if line.about is None or not line.records:
        return {"sensitivity": None, "sensitivity_interval": None}
    about, low, high = line.hits
    return {
        "sensitivity": about / line.records,
        "sensitivity_interval": _around(low, high, line.records),
    }


def _around(low: float, high: float, records: float) -> Interval | None:
    ends = intervals.share(low, records), intervals.share(high, records)
    return (ends[0][0], ends[1][1]) if ends[0] and ends[1] else None


def _line(row: Array, place: int, fewest: int) -> Line:
    """Return the row of the level at *place*, whose sum is told."""
    whole, own = float(row.sum()), float(row[place])
    few = (row > 0) & (row < fewest)
    if not few.any():
        counts = tuple(int(each) for each in row)
        return Line(whole, counts, row, (own, own, own))
    number, together = int(few.sum()), float(row[few].sum()) + own
    if few[place] or fewest < 3 or together < number * (fewest - 1) + fewest:  # noqa: PLR2004 - 1 or 2 in a small cell
        return _hidden(whole, len(row), told=True)
    about = np.where(few, fewest / 2, row)
    ends = (fewest / 2, fewest - 1.0, 1.0)
    hits = tuple(together - number * each for each in ends)
    about[place] = hits[0]
    withheld = few.copy()
    withheld[place] = True
    cells = tuple(
        None if hidden else int(each)
        for hidden, each in zip(withheld, row, strict=True)
    )
    return Line(whole, cells, about, (hits[0], hits[1], hits[2]))


def _hidden(whole: float, size: int, *, told: bool) -> Line:
    return Line(whole, (None,) * size, None, (whole / 2, 0.0, whole), told)
