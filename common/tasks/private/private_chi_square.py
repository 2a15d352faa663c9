"""Do two categories go together, when the counts have noise? A test that knows of it.

The textbook's p-value takes noise for dependence. So the test is repeated on tables
that the noise alone, and chance, would make of two categories that do not go together:
Monte Carlo (Gaboardi, Lim, Rogers & Vadhan 2016, section 5.1), with a statistic whose
cells are measured by both variances (Kifer & Rogers 2017). One record is in one cell of
each table, so that many pairs share one promise.
"""

import math
from collections.abc import Sequence

import numpy as np

from common.release import Array, Field
from common.sheet import Sheet, decimal, probability
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks import named
from common.tasks.analyses import chi_square
from common.tasks.named import Pair
from common.tasks.private import one_release
from common.tasks.private.one_release import Block, Told

TABLES = 4999
"""Tables that are drawn where nothing goes together, by a public seed."""
FEWEST = 1.0
"""A margin is taken as no smaller: noise may make it negative."""


def block(study: Study, pair: Pair) -> Block:
    """Return the block of a pair: in which cell of its table a record is, if any."""
    high, wide = (len(named.declared(study, name).coded) for name in pair)
    field = Field(f"records by {pair[0]} and {pair[1]}", (high, wide), "sum")

    def row(study: Study, state: State, rows: Rows) -> Array:
        del state
        one, other = (named.codes(study, rows, name) for name in pair)
        cell = (one * wide + other)[:, None] == np.arange(high * wide)
        found: Array = cell.astype(np.float64)
        return found

    return Block(chi_square.name(pair), field, row)


def tested(table: Array, noise: float, seed: int) -> Findings:
    """Return statistic and Monte Carlo p-value of a *table* with *noise* in each cell.

    No p-value where fewer are left than the noise may be, or all in one level.
    """
    count, across, down = _margins(table)
    if count <= noise * math.sqrt(table.size) or min(table.shape) < 2:  # noqa: PLR2004 - one level goes with everything
        return dict.fromkeys(("statistic", "p"))
    draw = np.random.default_rng(seed)
    chances = np.outer(across, down).ravel()
    drawn = draw.multinomial(round(count), chances, size=TABLES).astype(np.float64)
    drawn += draw.normal(0.0, noise, drawn.shape)
    made = drawn.reshape(TABLES, *table.shape)
    found = _statistic(table[None], noise)[0]
    beyond = np.count_nonzero(_statistic(made, noise) >= found)
    return {"statistic": float(found), "p": (1 + beyond) / (TABLES + 1)}


def strength(table: Array, noise: float) -> float | None:
    """Return about Cramér's V, less what noise has made of it; None of noise alone.

    A cell in which less is expected than the noise counts as if it were as much.
    """
    count, across, down = _margins(table)
    smaller = min(table.shape) - 1
    if count <= noise * math.sqrt(table.size) or smaller < 1:
        return None
    expected = np.outer(across, down) * count
    held = np.maximum(expected, max(noise, FEWEST))
    free = (table.shape[0] - 1) * (table.shape[1] - 1) / table.size
    apart = ((table - expected) ** 2 - free * noise**2) / held
    return math.sqrt(min(max(float(apart.sum()) / count / smaller, 0.0), 1.0))


def read(study: Study, state: State) -> Findings:
    """Return each pair's test, corrected for how many they are, and its table."""
    pairs, totals = chi_square.pairs(study), one_release.totals(study, _blocks, state)
    noise, tests = one_release.noise(study, len(pairs)), list[Findings]()
    for seed, (pair, counts) in enumerate(zip(pairs, totals.values(), strict=True)):
        tests.append(
            {
                "variables": list(pair),
                "records": round(max(float(counts.sum()), 0.0)),
                **tested(counts, noise, seed),
                "counts": np.round(counts, 1).tolist(),
            }
        )
    return {"tests": chi_square.corrected(tests), "deviation": noise}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all tests."""
    found = read(study, state)
    tests = found["tests"] if isinstance(found["tests"], list) else []
    rows = tuple(
        (
            " and ".join(test["variables"]),
            test["records"],
            decimal(test["statistic"]),
            *(probability(test[key]) for key in chi_square.PS),
        )
        for test in tests
    )
    note = (
        f"Counts have noise of deviation {found['deviation']:.1f} a cell; p-values are "
        f"by {TABLES:,} tables that have it too, and know of it. No smaller one can be "
        f"told than {1 / (TABLES + 1):.4f}."
    )
    head = ("variables", "records", "statistic", "p", *chi_square.CORRECTED)
    return (Sheet("Which categories go together", head, rows, (note,)),)


def _blocks(study: Study) -> Sequence[Block]:
    return [block(study, pair) for pair in chi_square.pairs(study)]


def _margins(table: Array) -> tuple[float, Array, Array]:
    """Return about how many there are, and each margin's shares."""
    across, down = (np.maximum(table.sum(axis=axis), FEWEST) for axis in (1, 0))
    count = max(float(table.sum()), FEWEST)
    return count, across / across.sum(), down / down.sum()


def _statistic(tables: Array, noise: float) -> Array:
    """Return of each table [tables, rows, columns] how far it is from independence."""
    across = np.maximum(tables.sum(axis=2), FEWEST)
    down = np.maximum(tables.sum(axis=1), FEWEST)
    count = np.maximum(tables.sum(axis=(1, 2)), FEWEST)
    shares = across[:, :, None] * down[:, None, :]
    expected = shares / (across.sum(axis=1) * down.sum(axis=1) / count)[:, None, None]
    apart = (tables - expected) ** 2 / (expected + noise**2)
    found: Array = apart.sum(axis=(1, 2))
    return found


PRIVATE_CHI_SQUARE = one_release.task(
    "chi_square", _blocks, lambda _study: (), Told(read, show)
)
