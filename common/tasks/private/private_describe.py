"""Describe under a promise: few numbers a person, each kind with a weight of its own.

A record gives one row of numbers of length 1 at most: that it is there, which values it
lacks, distance from mid-range and its square, a coarse bin, its levels. Each kind has a
fixed share of the squared length, and the total is divided by its weight again: see
``common/tasks/private/noised.py``.
"""

import math

import numpy as np

from common.arithmetic.intervals import Z
from common.design import Column
from common.encoding import Encoding, columns
from common.release import Array, Summands
from common.schema import Binary, Category, Number, Survival
from common.study import Study
from common.task import Findings, Found, Noisy, Rows, State, Task, added
from common.tasks import describe
from common.tasks.describe import (
    QUARTILES,
    level_counts,
    levels,
    middle,
    numbers,
    quantile,
    row,
)
from common.tasks.private import noised
from common.tasks.private.noised import BINS, WEIGHT, release

LEAST = 0.1
"""A share is standardised as if it were no rarer: a rare level would drown the rest."""


def each(study: Study, state: State, rows: Rows) -> Array:
    """Return what each record contributes, weighed."""
    del state
    values, weights = np.column_stack([rows.x, rows.y]), noised.weights(study)
    places = [index for index, _ in numbers(study)]
    half = np.array([describe.half(variable) for _, variable in numbers(study)])
    mid = np.array([middle(variable) for _, variable in numbers(study)])
    distance = ((values[:, places] - mid) / half).clip(-1.0, 1.0)
    known = np.nan_to_num(distance)
    edges = np.linspace(-1.0, 1.0, BINS + 1)[1:-1]
    bins = np.searchsorted(edges, distance, side="right")[:, :, None] == range(BINS)
    bins &= ~np.isnan(distance)[:, :, None]
    parts = {
        "records": np.ones((len(values), 1)),
        "missing": np.isnan(values[:, noised.gaps(study)]),
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
    weights = noised.weights(study)
    sums = {name: array / weights[name] for name, array in total.items()}
    return State({**sums, **_encoding(study, sums).arrays()}, done=True)


def read(study: Study, state: State) -> Findings:
    """Return the same as without a promise; a margin is half a 95 % interval."""
    margin = Z * noised.deviation(study, "records")
    found = noised.people(study, state.arrays)
    lines = [
        _line(study, state.arrays, index) for index in range(len(study.everything))
    ]
    around = [max(0.0, found - margin), found + margin]
    return {
        "records": round(found),
        "records_interval": around,
        "variables": lines,
    }


def _encoding(study: Study, sums: Summands) -> Encoding:
    rows = [_constants(study, sums, column) for column in columns(study)]
    centre, scale, fill = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Encoding(centre, scale, fill)


def _constants(
    study: Study, sums: Summands, column: Column
) -> tuple[float, float, float]:
    """Return (centre, scale, fill) of one column of the design matrix."""
    index, variable = column.variable, study.variables[column.variable]
    if column.kind == "gap":
        share = 1.0 - noised.present(study, sums, index) / noised.people(study, sums)
        return share, _spread(share), 0.0
    if isinstance(variable, Category):
        share = noised.share(study, sums, index, column.level)
        commonest = np.argmax(level_counts(study, sums, index)) == column.level
        return share, _spread(share), float(commonest and variable.missing == "mode")
    if variable.typical:
        mean, deviation = variable.typical
        return mean, deviation, mean
    mean, deviation = noised.moments(study, sums, index)
    centre = middle(variable) + mean * describe.half(variable)
    return centre, deviation * describe.half(variable), centre


def _spread(share: float) -> float:
    inside = min(max(share, LEAST), 1.0 - LEAST)
    return math.sqrt(inside * (1.0 - inside))


def _line(study: Study, sums: Summands, index: int) -> Findings:
    """Return what is known of one variable, rounded to whole people."""
    variable, present = study.everything[index], noised.present(study, sums, index)
    line: Findings = {
        "name": variable.name,
        "count": round(present),
        "missing": round(noised.people(study, sums) - present),
    }
    if index in noised.gaps(study):
        line["missing_margin"] = Z * noised.deviation(study, "missing")
    if isinstance(variable, Number):
        return line | {"unit": variable.unit, **_number(study, sums, index, variable)}
    return line | {
        "levels": _frequencies(study, sums, index, variable),
        "levels_margin": Z * noised.deviation(study, "levels"),
    }


def _number(
    study: Study, sums: Summands, index: int, variable: Number
) -> dict[str, float | None]:
    """Return mean, deviation and quartiles; a quartile is None where all is noise."""
    half, present = describe.half(variable), noised.present(study, sums, index)
    mean, deviation = noised.moments(study, sums, index)
    counts = sums["bins"][row(study, index)]
    told = counts.sum() > Z * noised.deviation(study, "bins") * math.sqrt(BINS)
    filled = counts.clip(0.0)
    quartiles = [quantile(filled, variable, q) if told else None for q in QUARTILES]
    return {
        "mean": middle(variable) + mean * half,
        "mean_margin": Z * half * noised.deviation(study, "total") / present,
        "std": deviation * half,
        **dict(zip(("25%", "50%", "75%"), quartiles, strict=True)),
    }


def _frequencies(
    study: Study, sums: Summands, index: int, variable: Category | Binary | Survival
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
