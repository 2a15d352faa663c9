"""Describe under a promise: few numbers a person, weighed, so that little noise is lost.

Each record gives one row of numbers of length 1 at most: that it is there, which values
it lacks, distance from mid-range and its square, a coarse bin, its levels. Each kind has
a fixed share of the squared length, and the total is divided by its weight again. What
the noise leaves open is filled by what the study declares: see ``_leaning``.
"""

import math

import numpy as np

from common import promise
from common.encoding import Column, Encoding, columns
from common.intervals import Z
from common.release import Array, Field, Release, Summands
from common.schema import Binary, Category, Number
from common.study import Study
from common.task import Findings, Found, Noisy, Rows, State, Task, added, model_of
from common.tasks.describe import (
    QUARTILES,
    level_counts,
    levels,
    middle,
    numbers,
    quantile,
    row,
)

BINS = 8
"""Bins over a declared range: with noise, more would tell less."""

SHARES = {
    "records": 4.0,
    "missing": 1.0,
    "total": 1.5,
    "square": 1.5,
    "bins": 1.0,
    "levels": 3.0,
}
"""How the squared length of a record's row is shared out: a model needs the first."""

WEIGHT = 0.1
"""Share of mu^2 beside a model's; without a model all of it is spent here."""

MEAN, VARIANCE, SHARE = (0.0, 1 / 9), (1 / 9, 0.01), (0.5, 1 / 16)
"""What is taken for granted, and its variance: of a mean and a variance in units of half
the range (a sixth of the range is one deviation), and of a share."""

LEAST = 0.1
"""A share is standardised as if it were no rarer: a rare level would drown the rest."""


def release(study: Study) -> Release:
    """Declare the same as without a promise, coarser: all of them sums with noise."""
    count, bins = len(numbers(study)), (len(numbers(study)), BINS)
    declared = {
        "records": Field("records that train", (1,), "sum"),
        "missing": Field("records without a value", (len(_gaps(study)),), "sum"),
        "total": Field("sum of distances from mid-range", (count,), "sum"),
        "square": Field("sum of their squares", (count,), "sum"),
        "bins": Field("records per 1/8 of the range", bins, "sum"),
        "levels": Field("records per level", (len(levels(study)),), "sum"),
    }
    return {name: field for name, field in declared.items() if field.size}


def each(study: Study, state: State, rows: Rows) -> Array:
    """Return what each record contributes, weighed."""
    del state
    values, weights = np.column_stack([rows.x, rows.y]), _weights(study)
    places = [index for index, _ in numbers(study)]
    half = np.array([_half(variable) for _, variable in numbers(study)])
    mid = np.array([middle(variable) for _, variable in numbers(study)])
    distance = ((values[:, places] - mid) / half).clip(-1.0, 1.0)
    known = np.nan_to_num(distance)
    edges = np.linspace(-1.0, 1.0, BINS + 1)[1:-1]
    bins = np.searchsorted(edges, distance, side="right")[:, :, None] == range(BINS)
    bins &= ~np.isnan(distance)[:, :, None]
    parts = {
        "records": np.ones((len(values), 1)),
        "missing": np.isnan(values[:, _gaps(study)]),
        "total": known,
        "square": known**2,
        "bins": bins.reshape(len(values), -1),
        "levels": values[:, [i for i, _, _ in levels(study)]]
        == [number for _, number, _ in levels(study)],
    }
    return np.column_stack([parts[name] * weights[name] for name in release(study)])


def finish(study: Study, state: State, total: Summands) -> State:
    """Keep the sums without their weights, and derive the encoding from them."""
    del state
    weights = _weights(study)
    sums = {name: array / weights[name] for name, array in total.items()}
    return State({**sums, **_encoding(study, sums).arrays()}, done=True)


def read(study: Study, state: State) -> Findings:
    """Return the same as without a promise; a margin is half a 95 % interval."""
    margin = Z * _deviation(study, "records")
    found = _people(study, state.arrays)
    lines = [_line(study, state.arrays, index) for index in range(_width(study))]
    around = [max(0.0, found - margin), found + margin]
    return {
        "records": round(found),
        "records_interval": around,
        "variables": lines,
    }


def people(study: Study, described: State) -> float:
    """Return about how many train: never fewer than the noise alone may be."""
    return _people(study, described.arrays)


def outcome_share(study: Study, described: State) -> float:
    """Return about which share of those who train has the outcome."""
    return _share(study, described.arrays, len(study.variables), 1)


def _width(study: Study) -> int:
    return len(study.everything)


def _gaps(study: Study) -> list[int]:
    """Return which variables can have a gap in a record that is kept."""
    return [i for i, each in enumerate(study.variables) if each.missing != "exclude"]


def _half(variable: Number) -> float:
    low, high = variable.range
    return (high - low) / 2


def _weights(study: Study) -> dict[str, float]:
    """Return the factor of each array, by which no record's row is longer than 1."""
    sizes = {name: field.size for name, field in release(study).items()}
    categories = _width(study) - len(numbers(study))
    most = sizes | {"bins": len(numbers(study)), "levels": categories}
    whole = sum(SHARES[name] for name in sizes)
    return {name: math.sqrt(SHARES[name] / whole / most[name]) for name in sizes}


def _deviation(study: Study, name: str) -> float:
    """Return the deviation of the noise in a total, without its weight."""
    fit = model_of(study).fit.noisy if study.model else None
    share = WEIGHT / (WEIGHT + fit.weight) if fit else 1.0
    noise = promise.in_total(study, promise.whole(study, 1.0, share))
    return noise / _weights(study)[name]


def _people(study: Study, sums: Summands) -> float:
    return max(float(sums["records"][0]), _deviation(study, "records"), 1.0)


def _present(study: Study, sums: Summands, index: int) -> float:
    """Return about how many records have a value of the variable at *index*."""
    everyone, gaps = _people(study, sums), _gaps(study)
    if index not in gaps:
        return everyone
    missing = float(sums["missing"][gaps.index(index)])
    return max(everyone - max(missing, 0.0), 1.0)


def _leaning(found: float, noise: float, prior: tuple[float, float]) -> float:
    """Return the mean of what was *found* and the prior, weighed by their variances.

    With many people this is what was found; with few it is what one would have guessed,
    and noise never becomes a constant by which everyone is divided.
    """
    guess, variance = prior
    return (found * variance + guess * noise**2) / (variance + noise**2)


def _share(study: Study, sums: Summands, index: int, level: int) -> float:
    """Return about which share of the records with a value has one level."""
    counts = level_counts(study, sums, index)
    present = _present(study, sums, index)
    prior = (1 / len(counts), SHARE[1])
    noise = _deviation(study, "levels") / present
    leant = _leaning(float(counts[level]) / present, noise, prior)
    return min(max(leant, 0.0), 1.0)


def _moments(study: Study, sums: Summands, index: int) -> tuple[float, float]:
    """Return about mean and deviation of a number, in units of half its range."""
    place, present = row(study, index), _present(study, sums, index)
    first, second = (
        (float(sums[name][place]) / present, _deviation(study, name) / present)
        for name in ("total", "square")
    )
    mean = min(max(_leaning(*first, MEAN), -1.0), 1.0)
    noise = math.hypot(second[1], 2 * mean * first[1])
    variance = _leaning(max(second[0] - mean**2, 0.0), noise, VARIANCE)
    return mean, min(math.sqrt(variance), 1.0)


def _encoding(study: Study, sums: Summands) -> Encoding:
    rows = [_constants(study, sums, column) for column in columns(study)]
    centre, scale, fill = np.array(rows).T
    return Encoding(centre, scale, fill)


def _constants(
    study: Study, sums: Summands, column: Column
) -> tuple[float, float, float]:
    """Return (centre, scale, fill) of one column of the design matrix."""
    index, variable = column.variable, study.variables[column.variable]
    if column.kind == "gap":
        share = 1.0 - _present(study, sums, index) / _people(study, sums)
        return share, _spread(share), 0.0
    if isinstance(variable, Category):
        share = _share(study, sums, index, column.level)
        commonest = np.argmax(level_counts(study, sums, index)) == column.level
        return share, _spread(share), float(commonest and variable.missing == "mode")
    if variable.typical:
        mean, deviation = variable.typical
        return mean, deviation, mean
    mean, deviation = _moments(study, sums, index)
    centre = middle(variable) + mean * _half(variable)
    return centre, deviation * _half(variable), centre


def _spread(share: float) -> float:
    inside = min(max(share, LEAST), 1.0 - LEAST)
    return math.sqrt(inside * (1.0 - inside))


def _line(study: Study, sums: Summands, index: int) -> Findings:
    """Return what is known of one variable, rounded to whole people."""
    variable, present = study.everything[index], _present(study, sums, index)
    line: Findings = {
        "name": variable.name,
        "count": round(present),
        "missing": round(_people(study, sums) - present),
    }
    if isinstance(variable, Number):
        return line | {"unit": variable.unit, **_number(study, sums, index, variable)}
    return line | {
        "levels": _frequencies(study, sums, index, variable),
        "levels_margin": Z * _deviation(study, "levels"),
    }


def _number(
    study: Study, sums: Summands, index: int, variable: Number
) -> dict[str, float | None]:
    """Return mean, deviation and quartiles; a quartile is None where all is noise."""
    half, present = _half(variable), _present(study, sums, index)
    mean, deviation = _moments(study, sums, index)
    counts = sums["bins"][row(study, index)]
    told = counts.sum() > Z * _deviation(study, "bins") * math.sqrt(BINS)
    filled = counts.clip(0.0)
    quartiles = [quantile(filled, variable, q) if told else None for q in QUARTILES]
    return {
        "mean": middle(variable) + mean * half,
        "mean_margin": Z * half * _deviation(study, "total") / present,
        "std": deviation * half,
        **dict(zip(("25%", "50%", "75%"), quartiles, strict=True)),
    }


def _frequencies(
    study: Study, sums: Summands, index: int, variable: Category | Binary
) -> dict[str, int]:
    counts = level_counts(study, sums, index)
    return {
        level: max(0, round(float(count)))
        for level, count in zip(variable.coded, counts, strict=True)
    }


def _start(study: Study, found: Found) -> State:
    del study, found
    return State({})


PRIVATE_DESCRIBE = Task(
    name="describe",
    rows="train",
    encoded=False,
    shows=lambda _study: {},
    release=release,
    start=_start,
    local=added(each, release),
    finish=finish,
    read=read,
    noisy=Noisy(
        each=each,
        clip=lambda _study: 1.0,
        rounds=lambda _study: 1,
        weight=WEIGHT,
    ),
)
