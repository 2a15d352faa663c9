"""How far a private model's predictions of a number are off: four sums with noise."""

import math

import numpy as np

from common import promise
from common.arithmetic.intervals import Z
from common.errors import StudyError
from common.release import Array, Field, Release
from common.schema import Number
from common.study import Study
from common.task import Findings, Rows, State
from common.tasks import describe
from common.tasks.private import noised

PART = 0.5
"""Weight of each of the three other numbers beside the one that counts a record."""
CLIP = math.sqrt(1.0 + 3 * PART**2)


def release(study: Study) -> Release:
    """Declare how many there are, the squared error, and the outcome's moments."""
    del study
    return {
        "records": Field("test records", (1,), "sum"),
        "error": Field("sum of squared errors, in half ranges", (1,), "sum"),
        "total": Field("sum of distances from mid-range", (1,), "sum"),
        "square": Field("sum of their squares", (1,), "sum"),
    }


def each(study: Study, predicted: Array, rows: Rows) -> Array:
    """Return each record's four numbers; an error counts as half the range at most."""
    outcome = _number(study)
    half, middle = describe.half(outcome), describe.middle(outcome)
    error = ((predicted - rows.y) / half) ** 2
    y = ((rows.y - middle) / half).clip(-1.0, 1.0)
    known = np.nan_to_num(error, nan=1.0).clip(0.0, 1.0)
    return np.column_stack([np.ones(len(y)), PART * known, PART * y, PART * y**2])


def read(study: Study, state: State) -> Findings:
    """Return the error and the share of variance explained; None where noise is more.

    The interval of the error holds the noise in its sum.
    """
    noise = promise.of_share(study, CLIP, noised.tested(study))
    half, arrays = describe.half(_number(study)), state.arrays
    records = float(arrays["records"][0])
    error, total, square = (
        float(arrays[name][0]) / PART for name in ("error", "total", "square")
    )
    found: Findings = {"records": round(max(records, 0.0))}
    if records <= Z * noise * 2:
        return found | {"rmse": None, "rmse_interval": None, "r_squared": None}
    mean, moved = max(error, 0.0) / records, Z * noise / PART / records
    variance = square / records - (total / records) ** 2
    ends = [half * math.sqrt(max(mean + side * moved, 0.0)) for side in (-1, 1)]
    return found | {
        "rmse": half * math.sqrt(mean),
        "rmse_interval": ends,
        "r_squared": 1.0 - mean / variance if variance > moved else None,
    }


def _number(study: Study) -> Number:
    if not isinstance(study.outcome, Number):
        raise StudyError("this outcome is no number")
    return study.outcome
