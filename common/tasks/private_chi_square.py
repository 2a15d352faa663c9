"""Do two categories go together, when the counts have noise? A test that knows of it.

The textbook's p-value takes noise for dependence. So the test is repeated on tables
that the noise alone, and chance, would make of two categories that do not go together:
Monte Carlo (Gaboardi, Lim, Rogers & Vadhan 2016, section 5.1), with a statistic whose
cells are measured by both variances (Kifer & Rogers 2017). One record is in one cell of
each table, so that many pairs share one promise.
"""

import math

import numpy as np

from common import promise
from common.release import Array, Field, Release
from common.sheet import Sheet, decimal, probability
from common.study import Study
from common.task import Findings, Noisy, Rows, State, Task, added, kept
from common.tasks import chi_square, named, noised
from common.tasks.named import Pair

WEIGHT = 0.9
"""Share of mu^2 beside describe's: what is asked for, as a model is."""
TABLES = 4999
"""Tables that are drawn where nothing goes together, by a public seed."""
FEWEST = 1.0
"""A margin is taken as no smaller: noise may make it negative."""


def release(study: Study) -> Release:
    """Declare one table for each pair: sums with noise, weighed."""
    counted = chi_square.release(study)
    return {n: Field(f.meaning, f.shape, "sum") for n, f in counted.items()}


def weight(study: Study) -> float:
    """Return the factor by which the cells of one record are together of length 1."""
    return 1.0 / math.sqrt(len(chi_square.pairs(study)))


def each(study: Study, state: State, rows: Rows) -> Array:
    """Return in which cell of each table a record is; one with a gap is in none."""
    del state
    parts = []
    for pair in chi_square.pairs(study):
        one, other = (named.codes(study, rows, name) for name in pair)
        high, wide = (len(named.declared(study, name).coded) for name in pair)
        cells = (one * wide + other)[:, None] == np.arange(high * wide)
        parts.append(cells * weight(study))
    return np.column_stack(parts)


def deviation(study: Study) -> float:
    """Return the deviation of the noise in a cell of the total."""
    noise = promise.of_share(study, 1.0, noised.paid(study, WEIGHT))
    return noise / weight(study)


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


def read(study: Study, state: State) -> Findings:
    """Return each pair's test, corrected for how many they are, and its table."""
    noise, tests = deviation(study), list[Findings]()
    for seed, pair in enumerate(chi_square.pairs(study)):
        counts = _counts(study, state, pair)
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


def _counts(study: Study, state: State, pair: Pair) -> Array:
    shape = tuple(len(named.declared(study, name).coded) for name in pair)
    found: Array = state.arrays[chi_square.name(pair)].reshape(shape) / weight(study)
    return found


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


PRIVATE_CHI_SQUARE = Task(
    name="chi_square",
    rows="train",
    encoded=False,
    shows=lambda _study: {},
    release=release,
    start=lambda _study, _found: State({}),
    local=added(each, release),
    finish=kept,
    read=read,
    show=show,
    noisy=Noisy(
        each=each,
        clip=lambda _study: 1.0,
        rounds=lambda _study: 1,
        weight=WEIGHT,
    ),
)
