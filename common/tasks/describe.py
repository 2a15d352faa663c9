"""Counts, means, deviations, quartiles and level frequencies, all from one sum.

The same sum gives the constants by which every site standardises and fills gaps:
preparation is one function of the whole consortium and never of one hospital.
"""

import numpy as np

from common.arithmetic import suppression
from common.design import Column
from common.encoding import Encoding, columns
from common.release import Array, Field, Release, Summands
from common.schema import Binary, Category, Number, Survival
from common.study import Study
from common.task import Findings, Found, Rows, State, Task

BINS = 64
"""Equal bins over a variable's declared range; quartiles are read from them."""

CONSTANT = 1e-7
"""A deviation below this share of the declared range is rounding, not variation."""


def release(study: Study) -> Release:
    """Declare: records, values present, and per number two moments and a histogram.

    Distances are in units of half the range: all numbers of an array are alike large.
    """
    count, spellings = len(numbers(study)), len(levels(study))
    declared = {
        "records": Field("records that train", (1,), "count"),
        "present": Field("records with a value", (len(study.everything),), "count"),
        "total": Field("sum of distances from mid-range", (count,), "sum", 1.0),
        "square": Field("sum of their squares", (count,), "sum", 1.0),
        "bins": Field("records per 1/64 of the range", (count, BINS), "count"),
        "levels": Field("records per level", (spellings,), "count"),
    }
    return {name: field for name, field in declared.items() if field.size}


def start(study: Study, found: Found) -> State:
    """Need nothing to begin."""
    del study, found
    return State({})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up this site's records, variable by variable."""
    del state
    values = np.column_stack([rows.x, rows.y])
    summands: dict[str, Array] = {
        "records": np.array([len(values)], dtype=np.float64),
        "present": np.count_nonzero(~np.isnan(values), axis=0).astype(np.float64),
        "levels": _counts(values, [(i, level) for i, level, _ in levels(study)]),
        **_moments(study, values),
    }
    return {name: summands[name] for name in release(study)}


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep the sums, and derive the encoding that every later task uses."""
    del state
    widths = np.array([half(each) for _, each in numbers(study)])
    sums = {**total}
    for name, units in (("total", widths), ("square", widths**2)):
        if name in sums:
            sums[name] = sums[name] * units
    return State({**sums, **_encoding(study, sums).arrays()}, done=True)


def read(study: Study, state: State) -> Findings:
    """Return one row per variable: as pandas describes, but quartiles from the bins.

    Of a number that too few people have nothing is told but how many.
    """
    records = int(state.arrays["records"][0])
    rows = []
    for index, variable in enumerate(study.everything):
        present = int(state.arrays["present"][index])
        line: Findings = {
            "name": variable.name,
            "count": present,
            "missing": records - present,
        }
        if isinstance(variable, Number):
            line |= {"unit": variable.unit, **_number(study, state, index, variable)}
        else:
            line |= _category(study, state, index, variable)
        rows.append(line)
    return {"records": records, "variables": rows}


def numbers(study: Study) -> list[tuple[int, Number]]:
    """Return (variable, declaration) of every number, the outcome too."""
    every = enumerate(study.everything)
    return [(index, each) for index, each in every if isinstance(each, Number)]


def levels(study: Study) -> list[tuple[int, int, str]]:
    """Return (variable, level, spelling) of every level of every category."""
    return [
        (index, number, level)
        for index, each in enumerate(study.everything)
        if not isinstance(each, Number)
        for number, level in enumerate(each.coded)
    ]


def row(study: Study, index: int) -> int:
    """Return which row of the moments is the variable at *index*."""
    return [place for place, _ in numbers(study)].index(index)


def level_counts(study: Study, total: Summands, index: int) -> Array:
    """Return the counts of the levels of the variable at *index*, by code."""
    places = [place for place, _, _ in levels(study)]
    return total["levels"][np.equal(places, index)]


def _counts(values: Array, wanted: list[tuple[int, int]]) -> Array:
    counts = [np.count_nonzero(values[:, i] == level) for i, level in wanted]
    return np.array(counts, dtype=np.float64)


def _moments(study: Study, values: Array) -> dict[str, Array]:
    """Sum distances from a public centre, which keeps the squares small and exact."""
    measured = numbers(study)
    total, square = np.zeros(len(measured)), np.zeros(len(measured))
    bins = np.zeros((len(measured), BINS))
    for place, (index, variable) in enumerate(measured):
        known = values[~np.isnan(values[:, index]), index]
        distance = (known - middle(variable)) / half(variable)
        total[place], square[place] = distance.sum(), distance @ distance
        bins[place] = np.histogram(known, bins=BINS, range=variable.range)[0]
    return {"total": total, "square": square, "bins": bins}


def middle(variable: Number) -> float:
    """Return the middle of the declared range."""
    low, high = variable.range
    return (low + high) / 2


def half(variable: Number) -> float:
    """Return half the width of the declared range."""
    low, high = variable.range
    return (high - low) / 2


def _number(
    study: Study, state: State, index: int, variable: Number
) -> dict[str, float | None]:
    place = row(study, index)
    count = state.arrays["present"][index]
    if _few(study, count):
        return dict.fromkeys(("mean", "std", *QUARTILE))
    mean, variance = _mean_variance(state.arrays, place, count)
    quartiles = [quantile(state.arrays["bins"][place], variable, q) for q in QUARTILES]
    spread = float(np.sqrt(variance * count / (count - 1))) if count > 1 else None
    return {
        "mean": middle(variable) + mean if count else None,
        "std": spread,
        **dict(zip(QUARTILE, quartiles, strict=True)),
    }


QUARTILES, QUARTILE = (0.25, 0.5, 0.75), ("25%", "50%", "75%")


def _few(study: Study, count: float) -> bool:
    """Tell whether a mean of *count* values would be that of too few people."""
    return 0 < count < study.disclosure.cell


def _mean_variance(arrays: Summands, row: int, count: float) -> tuple[float, float]:
    """Return mean distance from mid-range, and variance with divisor n."""
    if not count:
        return 0.0, 0.0
    mean = float(arrays["total"][row] / count)
    return mean, max(float(arrays["square"][row] / count) - mean * mean, 0.0)


def quantile(counts: Array, variable: Number, share: float) -> float | None:
    """Return the value below which *share* of the records lie, linear in its bin."""
    total = counts.sum()
    if not total:
        return None
    low, high = variable.range
    edges = np.linspace(low, high, len(counts) + 1)
    return float(np.interp(share * total, np.r_[0.0, np.cumsum(counts)], edges))


def _category(
    study: Study, state: State, index: int, variable: Category | Binary | Survival
) -> Findings:
    """Return what pandas tells of a category, and how many records have each level.

    A count that stands for too few, or gives one away that does, is None.
    """
    counts = level_counts(study, state.arrays, index)
    told = suppression.told(counts, study.disclosure.cell)
    first = int(np.argmax(counts))
    return {
        "unique": int(np.count_nonzero(counts)),
        "top": variable.coded[first] if counts[first] else None,
        "freq": told[first],
        "levels": dict(zip(variable.coded, told, strict=True)),
    }


def _encoding(study: Study, total: Summands) -> Encoding:
    rows = [_constants(study, total, column) for column in columns(study)]
    centre, scale, fill = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Encoding(centre, scale, fill)


def _constants(
    study: Study, total: Summands, column: Column
) -> tuple[float, float, float]:
    """Return (centre, scale, fill) of one column of the design matrix."""
    records, present = total["records"][0], total["present"][column.variable]
    if column.kind == "gap":
        share = 1.0 - present / records if records else 0.0
        return share, _deviation(share), 0.0
    variable = study.variables[column.variable]
    if isinstance(variable, Number):
        return _number_constants(study, total, column.variable, variable)
    counts = level_counts(study, total, column.variable)
    share = _about(study, counts)[column.level] / present if present else 0.0
    mode = float(np.argmax(counts) == column.level)
    return share, _deviation(share), mode if variable.missing == "mode" else 0.0


def deviation(study: Study, total: Summands, column: Column) -> float:
    """Return the deviation of a level's column as it is, not as constants tell it.

    NaN for another column.
    """
    if column.kind != "level":
        return float("nan")
    counts = level_counts(study, total, column.variable)
    return _deviation(counts[column.level] / max(total["present"][column.variable], 1))


def _about(study: Study, counts: Array) -> Array:
    """Return *counts* of levels as constants may tell them: the withheld are alike.

    Sites are shown these constants, and a model has them. What a level stands for in a
    model changes little: its column has another centre and scale, at all sites.
    """
    told = suppression.told(counts, study.disclosure.cell)
    hidden = np.array([each is None for each in told]) & (counts > 0.0)
    alike: Array = np.where(hidden, counts[hidden].sum() / max(hidden.sum(), 1), counts)
    return alike


def _number_constants(
    study: Study, total: Summands, index: int, variable: Number
) -> tuple[float, float, float]:
    place = row(study, index)
    present = total["present"][index]
    if _few(study, present):  # sites are shown these constants, and a model has them
        return middle(variable), 0.0, middle(variable)
    distance, variance = _mean_variance(total, place, present)
    mean = middle(variable) + distance
    if variance <= (CONSTANT * (variable.range[1] - variable.range[0])) ** 2:
        variance = 0.0
    median = quantile(total["bins"][place], variable, 0.5)
    fill = median if variable.missing == "median" and median is not None else mean
    return mean, float(np.sqrt(variance)), fill


def _deviation(share: float) -> float:
    return float(np.sqrt(share * (1.0 - share)))


DESCRIBE = Task(
    name="describe",
    rows="train",
    encoded=False,
    shows=lambda _study: {},
    release=release,
    start=start,
    local=local,
    finish=finish,
    read=read,
)
