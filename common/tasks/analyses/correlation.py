"""How far do two numbers rise together? Pearson's r from sums over both of each pair.

Each pair uses the records that have both numbers, as pandas does. The interval is
Fisher's (1915), the p-value that of Student's t with two records fewer.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import stats

from common.arithmetic.intervals import Z
from common.release import Array, Field, Release, Summands
from common.sheet import Cell, Sheet, decimal, probability
from common.study import Study
from common.task import Findings, Rows, State, once
from common.tasks import named
from common.tasks.analyses import chi_square
from common.tasks.named import Pair

SUMS = ("x", "y", "xx", "yy", "xy")


def declare(pairs: Sequence[Pair]) -> Release:
    """Declare how many records have both of each pair, and five sums over them."""
    if not pairs:
        return {}
    sums = "sums of both distances from mid-range, of their squares and product"
    return {
        "both": Field("records with both of a pair", (len(pairs),), "count"),
        "sums": Field(sums, (len(pairs), len(SUMS)), "sum"),
    }


def add(study: Study, pairs: Sequence[Pair], rows: Rows) -> Summands:
    """Add up this site's records for all pairs, by products of matrices."""
    if not pairs:
        return {}
    names = sorted({name for pair in pairs for name in pair})
    far = named.distances(study, rows, names)
    known, zero = (~np.isnan(far)).astype(np.float64), np.nan_to_num(far)
    one, other = np.array([[names.index(name) for name in pair] for pair in pairs]).T
    total, square, product = zero.T @ known, (zero**2).T @ known, zero.T @ zero
    columns = (
        *(total[one, other], total[other, one]),
        *(square[one, other], square[other, one], product[one, other]),
    )
    both: Array = np.rint(known.T @ known)[one, other]
    return {"both": both, "sums": np.column_stack(columns)}


def tested(study: Study, pair: Pair, both: float, sums: Array) -> Findings:
    """Return r of one pair, its interval and p-value; None for too few, or constant."""
    records = int(both)
    found: Findings = {"variables": list(pair), "records": records}
    x, y, xx, yy, xy = sums
    spread = (xx - x * x / max(both, 1.0)) * (yy - y * y / max(both, 1.0))
    few = records < max(FEWEST, study.disclosure.cell)
    if few or spread <= CONSTANT * records**2:
        return found | {"r": None, "interval": None, "p": None}
    r = min(max((xy - x * y / both) / math.sqrt(spread), -1.0), 1.0)
    return found | {"r": r, "interval": _interval(r, records), "p": _p(r, records)}


def release(study: Study) -> Release:
    """Declare the sums of every pair of the numbers that *study* names."""
    return declare(pairs(study))


def pairs(study: Study) -> tuple[Pair, ...]:
    """Return every pair of the numbers that *study* names."""
    return tuple(combinations(study.analysis.correlation or (), 2))


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up this site's records."""
    del state
    return add(study, pairs(study), rows)


def read(study: Study, state: State) -> Findings:
    """Return r of each pair, with p-values corrected for their number."""
    every = zip(pairs(study), state.arrays["both"], state.arrays["sums"], strict=True)
    tests = [tested(study, *each) for each in every]
    return {"tests": chi_square.corrected(tests)}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all pairs."""
    tests = read(study, state)["tests"]
    return (listed(tests if isinstance(tests, list) else []),)


def listed(tests: Sequence[Findings], notes: tuple[str, ...] = ()) -> Sheet:
    """Return the table of *tests*, exact or not."""
    rows = tuple(_row(test) for test in tests)
    columns = ("numbers", "records", "r", "95 % interval", "p", *chi_square.CORRECTED)
    return Sheet("Which numbers rise together", columns, rows, notes)


FEWEST = 4
"""Records below which Fisher's interval has no width."""
CONSTANT = 1e-24
"""A product of variances below this, in half ranges, is rounding and not variation."""


def _row(test: Findings) -> tuple[Cell, ...]:
    """Return the line of one pair."""
    names, interval, r = test["variables"], test["interval"], test["r"]
    pair = [str(name) for name in names] if isinstance(names, list) else []
    low, high = interval if isinstance(interval, list) else (None, None)
    values = [p if isinstance(p := test[key], float) else None for key in chi_square.PS]
    return (
        " and ".join(pair),
        int(str(test["records"])),
        decimal(r if isinstance(r, float) else None),
        None if low is None else f"{decimal(low)} to {decimal(high)}",
        *map(probability, values),
    )


def _interval(r: float, records: int) -> list[float]:
    inside = min(max(r, -1 + 1e-15), 1 - 1e-15)
    middle, half = math.atanh(inside), Z / math.sqrt(records - 3)
    return [math.tanh(middle - half), math.tanh(middle + half)]


def _p(r: float, records: int) -> float:
    degrees = records - 2
    if abs(r) >= 1.0:
        return 0.0
    t = abs(r) * math.sqrt(degrees / (1 - r * r))
    return float(2 * stats.t.sf(t, degrees))


CORRELATION = once("correlation", release, local, read, show)
