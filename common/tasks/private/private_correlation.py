"""How far do numbers rise together, when sums have noise? r that knows of it.

Both numbers of a pair are measured in deviations from about their mean, and the two as
a vector shortened to sqrt(3) times what a usual one has: so a record's products are
bounded in all directions, with far less noise than a declared range would ask for (the
Gram of Dwork, Talwar, Thakurta & Zhang 2014). Intervals and p-values hold chance and
noise: chance as Fisher (1915) and Student have it, noise by the gradient of r.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from common.arithmetic.intervals import Z
from common.release import Array, Field
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks.analyses import chi_square, correlation
from common.tasks.named import Pair
from common.tasks.private import one_release, scales
from common.tasks.private.noisy_descent import shortened
from common.tasks.private.one_release import CLEAR, Block, Told

SHARES: Final = {"records": 0.05, "total": 0.1, "product": 0.85}
"""How a row's squared length is shared out: r is made of the last."""
REACH: Final = 3.0
"""Squared length of a vector, over that of a usual one, from where it is shortened."""
FEWEST: Final = 4.0
"""Records below which Fisher's interval has no width."""
LENGTHS: Final = {"records": 1.0, "total": math.sqrt(2.0), "product": 2.0}
WEIGHTS: Final = one_release.weights(SHARES, LENGTHS)
DOUBLE: Final = math.sqrt(2.0)
"""The product of both stands for two cells of a square, the squares for one each."""


@dataclass(frozen=True, slots=True)
class Moments:
    """What a pair's total says: records, means, and sums of products about them.

    ``counted``, ``added`` and ``squared`` are the deviations of the noise in records,
    a sum and a square; a product has 1/sqrt(2) of the last.
    """

    records: float
    x: float
    y: float
    xx: float
    yy: float
    xy: float
    counted: float
    added: float
    squared: float


def block(pair: Pair) -> Block:
    """Return the block of a pair: records, two sums, two squares and the product."""
    title = " and ".join(pair)

    def row(study: Study, state: State, rows: Rows) -> Array:
        return _row(scales.standard(study, state, rows, pair))

    meaning = f"records, sums, squares and product of {title}, weighed"
    return Block(f"{title}: moments", Field(meaning, (6,), "sum"), row)


def moments(total: Array, noise: float) -> Moments:
    """Return what the *total* of a pair says, with *noise* in each of its numbers."""
    count, sums, square = WEIGHTS["records"], WEIGHTS["total"], WEIGHTS["product"]
    records = float(total[0]) / count
    x, y = (float(each) / sums / max(records, 1.0) for each in total[1:3])
    xx, yy = (float(each) / square for each in total[3:5])
    xy = float(total[5]) / square / DOUBLE
    about = (xx - records * x * x, yy - records * y * y, xy - records * x * y)
    return Moments(records, x, y, *about, noise / count, noise / sums, noise / square)


def tested(pair: Pair, total: Array, noise: float) -> Findings:
    """Return r of a pair, its interval and p-value; None where noise is too much."""
    found = moments(total, noise)
    told: Findings = {
        "variables": list(pair),
        "records": round(max(found.records, 0.0)),
    }
    if not _clear(found):
        return told | {"r": None, "interval": None, "p": None}
    r = found.xy / math.sqrt(found.xx * found.yy)
    inside = min(max(r, -1.0), 1.0)
    return told | {"r": inside, "interval": _interval(inside, found), "p": _p(found)}


def read(study: Study, state: State) -> Findings:
    """Return r of each pair, with p-values corrected for their number."""
    pairs, totals = correlation.pairs(study), one_release.totals(study, _blocks, state)
    noise = one_release.noise(study, len(pairs))
    every = zip(pairs, totals.values(), strict=True)
    return {
        "tests": chi_square.corrected([tested(*each, noise) for each in every]),
        "records_deviation": noise / WEIGHTS["records"],
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all pairs."""
    found = read(study, state)
    tests = found["tests"] if isinstance(found["tests"], list) else []
    how = f"Counts have noise of deviation {found['records_deviation']:.1f}."
    return (correlation.listed(tests, (NOTE, how)),)


NOTE = (
    "Sums have noise: intervals and p-values hold it beside chance, what would be "
    "noise alone is left out, and r ends at \N{MINUS SIGN}1 and 1. Pairs are noised "
    "each by itself, so that all together may be what no numbers have. Who is far from "
    "the means counts as nearer, which takes r a little towards 0."
)


def _blocks(study: Study) -> Sequence[Block]:
    return [block(pair) for pair in correlation.pairs(study)]


def _row(z: Array) -> Array:
    """Return each record's row, 0 for a record with a gap."""
    known = np.atleast_1d(~np.isnan(z).any(axis=1))
    near = shortened(np.where(known[:, None], z, 0.0) / math.sqrt(REACH))
    x, y = near.T
    products = np.column_stack([x * x, y * y, DOUBLE * x * y])
    return np.column_stack(
        [
            known * WEIGHTS["records"],
            near * WEIGHTS["total"],
            products * WEIGHTS["product"],
        ]
    )


def _clear(found: Moments) -> bool:
    """Return whether there are people, and both numbers vary by more than the noise."""
    squares = ((found.xx, found.x), (found.yy, found.y))
    return found.records > max(CLEAR * found.counted, FEWEST) and all(
        square > CLEAR * math.hypot(found.squared, 2.0 * mean * found.added)
        for square, mean in squares
    )


def _noise(r: float, found: Moments) -> float:
    """Return the variance of r by the noise in the six sums that it is made of."""
    x, y = found.x, found.y
    both = 1.0 / math.sqrt(found.xx * found.yy)
    one, other = r / (2.0 * found.xx), r / (2.0 * found.yy)
    first, second = both * y - 2.0 * one * x, both * x - 2.0 * other * y
    return (
        found.squared**2 * (both**2 / 2.0 + one**2 + other**2)
        + found.added**2 * (first**2 + second**2)
        + found.counted**2 * (both * x * y - one * x * x - other * y * y) ** 2
    )


def _interval(r: float, found: Moments) -> list[float]:
    """Return the ends of 95 %: Fisher's halves, and noise, as squares add up."""
    inside = min(max(r, -1 + 1e-15), 1 - 1e-15)
    middle, half = math.atanh(inside), Z / math.sqrt(found.records - 3.0)
    moved = Z * math.sqrt(_noise(r, found))
    low = r - math.hypot(r - math.tanh(middle - half), moved)
    high = r + math.hypot(math.tanh(middle + half) - r, moved)
    return [max(low, -1.0), min(high, 1.0)]


def _p(found: Moments) -> float:
    """Return how often numbers that do not go together have such a sum of products.

    By chance it has variance xx yy / (n - 1), and by noise what its own sums have.
    """
    chance = found.xx * found.yy / (found.records - 1.0)
    noise = found.squared**2 / 2.0 + found.added**2 * (found.x**2 + found.y**2)
    noise += (found.counted * found.x * found.y) ** 2
    t = abs(found.xy) / math.sqrt(chance + noise)
    return float(2.0 * stats.t.sf(t, found.records - 2.0))


PRIVATE_CORRELATION = one_release.task(
    "correlation",
    _blocks,
    lambda study: study.analysis.correlation or (),
    Told(read, show),
)
