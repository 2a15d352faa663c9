"""From clean values to a design matrix, by constants that belong to the consortium.

Means, deviations and fill-ins come from federated sums over the training people of all
sites. Standardising at each hospital by itself costs ten points of accuracy on the
four-hospital heart data; see docs/architecture.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from common import design
from common.design import Column
from common.errors import IntegrityError
from common.release import Array
from common.schema import Number
from common.study import Study
from common.task import Rows, State, Task, fingerprint

ROUNDING = 1e-9
"""How far rounding may carry a constant out of the range, as a share of it."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """centre, scale and fill, each [columns]; a scale of 0 marks a constant column."""

    centre: Array
    scale: Array
    fill: Array

    def arrays(self) -> dict[str, Array]:
        """Return the three arrays under the names they travel by."""
        return {"centre": self.centre, "scale": self.scale, "fill": self.fill}

    @staticmethod
    def of(arrays: Mapping[str, Array]) -> "Encoding":
        """Return the encoding that *arrays* carries."""
        return Encoding(arrays["centre"], arrays["scale"], arrays["fill"])


def used(state: State) -> str:
    """Return the hash of the encoding that *state* shows; nothing if it shows none."""
    names = ("centre", "scale", "fill")
    if not all(name in state.arrays for name in names):
        return ""
    return fingerprint({name: state.arrays[name] for name in names})


def columns(study: Study) -> tuple[Column, ...]:
    """Return the columns of the design matrix: a function of the study alone."""
    last, found = _KNOWN[0]
    if last is not study:
        found = design.columns(study.variables)
        _KNOWN[0] = study, found
    return found


_KNOWN: list[tuple[Study | None, tuple[Column, ...]]] = [(None, ())]
"""The study asked for last, with its columns: a round asks for them ten times."""


def shapes(study: Study) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays by which an encoding travels."""
    width = (len(columns(study)),)
    return {"centre": width, "scale": width, "fill": width}


def check(study: Study, encoding: Encoding) -> None:
    """Raise IntegrityError for constants that no sum over records could have given.

    A centre and a fill lie within the declared range, a deviation within half of it.
    """
    for index, column in enumerate(columns(study)):
        low, high = bounds(study, column)
        slack = ROUNDING * (high - low)
        middle = (encoding.centre[index], encoding.fill[index])
        inside = all(low - slack <= each <= high + slack for each in middle)
        if not inside or not 0.0 <= encoding.scale[index] <= (high - low) / 2 + slack:
            raise IntegrityError(f"the constants of {column.name} cannot be its own")


def bounds(study: Study, column: Column) -> tuple[float, float]:
    """Return the least and the largest value that *column* may have."""
    variable = study.variables[column.variable]
    if column.kind == "value" and isinstance(variable, Number):
        return variable.range
    return (0.0, 1.0)


def encode(study: Study, encoding: Encoding, values: Array) -> Array:
    """Return the design [people, columns] of clean *values* [people, variables]."""
    plan = columns(study)
    design = np.empty((len(values), len(plan)))
    for index, column in enumerate(plan):
        raw = expand(column, values[:, column.variable])
        filled = np.where(np.isnan(raw), encoding.fill[index], raw)
        scale = encoding.scale[index]
        design[:, index] = (filled - encoding.centre[index]) / scale if scale else 0.0
    return design


def seen(study: Study, fit: Task, arrays: Mapping[str, Array], rows: Rows) -> Rows:
    """Return clean *rows* as *fit* sees them, by the encoding that *arrays* carry."""
    if not fit.encoded:
        return rows
    return replace(rows, x=encode(study, Encoding.of(arrays), rows.x))


def expand(column: Column, values: Array) -> Array:
    """Return one variable's clean *values* [people] as one raw column, gaps as NaN."""
    gap = np.isnan(values)
    if column.kind == "gap":
        return gap.astype(np.float64)
    if column.kind == "value":
        return values
    return np.where(gap, np.nan, values == column.level)
