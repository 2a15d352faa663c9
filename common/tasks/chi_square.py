"""Do two categories go together? Pearson's test on one summed contingency table each.

Every site counts by the same declared levels, so the sum is the table of pooled records
and the test is the pooled test. Levels that nobody has are dropped from a table first.
"""

import numpy as np
from scipy import stats

from common.release import Array, Field, Release, Summands
from common.schema import Number
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Rows, State, Task


def release(study: Study) -> Release:
    """Declare one table of counts for each pair, its levels by their codes."""
    return {
        _name(pair): Field(f"records by {pair[0]} and {pair[1]}", shape, "count")
        for pair, shape in zip(pairs(study), _shapes(study), strict=True)
    }


def pairs(study: Study) -> tuple[tuple[str, str], ...]:
    """Return the pairs of variables that *study* asks for."""
    return study.analysis.chi_square or ()


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Count this site's records in each table; a record with a gap is in none."""
    del state
    values = np.column_stack([rows.x, rows.y])
    places = {each.name: index for index, each in enumerate(study.everything)}
    return {
        _name(pair): _table(values[:, [places[name] for name in pair]], shape)
        for pair, shape in zip(pairs(study), _shapes(study), strict=True)
    }


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep the tables: one round is enough."""
    del study, state
    return State(dict(total), done=True)


def read(study: Study, state: State) -> Findings:
    """Return each pair's table, statistic, degrees of freedom and p-value."""
    tests = [_test(state.arrays[_name(pair)]) for pair in pairs(study)]
    named = zip(pairs(study), tests, strict=True)
    return {"tests": [{"variables": list(pair), **test} for pair, test in named]}


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Return one table of all tests."""
    tests = [_test(state.arrays[_name(pair)]) for pair in pairs(study)]
    columns = ("variables", "records", "chi-square", "degrees", "p")
    keys = ("records", "statistic", "degrees", "p")
    rows = tuple(
        (" and ".join(pair), *(test[key] for key in keys))
        for pair, test in zip(pairs(study), tests, strict=True)
    )
    return (Sheet("Which categories go together", columns, rows),)


def _name(pair: tuple[str, str]) -> str:
    return f"{pair[0]} x {pair[1]}"


def _shapes(study: Study) -> list[tuple[int, ...]]:
    every = {each.name: each for each in study.everything}
    kinds = [[every[name] for name in pair] for pair in pairs(study)]
    return [
        tuple(len(each.coded) for each in two if not isinstance(each, Number))
        for two in kinds
    ]


def _table(two: Array, shape: tuple[int, ...]) -> Array:
    known = two[~np.isnan(two).any(axis=1)].astype(np.int64)
    counts = np.zeros(shape)
    np.add.at(counts, (known[:, 0], known[:, 1]), 1.0)
    return counts


def _test(counts: Array) -> dict[str, float | int | None]:
    seen = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    records = int(counts.sum())
    if min(seen.shape) < 2:  # noqa: PLR2004 - a table of one line compares nothing
        return {"records": records, "statistic": None, "degrees": None, "p": None}
    found = stats.chi2_contingency(seen)
    return {
        "records": records,
        "statistic": float(found.statistic),
        "degrees": int(found.dof),
        "p": float(found.pvalue),
    }


CHI_SQUARE = Task(
    name="chi_square",
    rows="train",
    encoded=False,
    shows=lambda _study: {},
    release=release,
    start=lambda _study, _found: State({}),
    local=local,
    finish=finish,
    read=read,
    show=show,
)
