"""How far predictions of a number are off, and what of its variance they explain.

From sums alone, intervals too: those of smooth functions of means, by what each record
moves them (the delta method; van der Vaart 1998, section 3.1).
"""

import math

import numpy as np

from common.arithmetic import intervals
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.schema import Number
from common.study import Study
from common.task import Findings, Rows
from common.tasks import describe
from common.tasks.evaluation import number_groups


def release(study: Study) -> Release:
    """Declare how many there are, sums of squares, and what their errors need."""
    return {
        **number_groups.release(study),
        "records": Field("test records", (1,), "count"),
        "error": Field("sum of squared errors of the prediction", (1,), "sum"),
        "total": Field("sum of the outcome", (1,), "sum"),
        "square": Field("sum of the squared outcome", (1,), "sum"),
        "moments": Field(
            "sums of products of up to four errors and outcomes, in half ranges",
            (5,),
            "sum",
        ),
    }


def counted(study: Study, predicted: Array, rows: Rows) -> Summands:
    """Return what leaves of test records with these *predicted* numbers."""
    half, middle = _scale(study)
    outcome, off = rows.y, (predicted - rows.y) / half
    square, at = off**2, (outcome - middle) / half
    moments = [
        square @ square,
        square @ at,
        square @ at**2,
        (at**3).sum(),
        at**2 @ at**2,
    ]
    return {
        **number_groups.counted(study, off, at, rows),
        "records": np.array([float(len(outcome))]),
        "error": np.array([np.sum((predicted - outcome) ** 2)]),
        "total": np.array([outcome.sum()]),
        "square": np.array([outcome @ outcome]),
        "moments": np.array(moments, dtype=np.float64),
    }


def read(study: Study, arrays: Summands) -> Findings:
    """Return the error and the share of variance explained, with 95 % intervals."""
    records, error = float(arrays["records"][0]), float(arrays["error"][0])
    total, square = float(arrays["total"][0]), float(arrays["square"][0])
    spread = square - total * total / records if records else 0.0
    share = 1.0 - error / spread if spread > 0.0 else None
    half, _ = _scale(study)
    fourth = float(arrays["moments"][0]) * half**4
    mean = intervals.mean(error, fourth, records)
    return {
        "records": int(records),
        "rmse": math.sqrt(error / records) if records else None,
        "rmse_interval": mean and [math.sqrt(max(each, 0.0)) for each in mean],
        "r_squared": share,
        "r_squared_interval": None if share is None else _ends(study, arrays, share),
        **number_groups.read(study, arrays, half),
    }


def _ends(study: Study, arrays: Summands, share: float) -> list[float]:
    """Return the interval of the *share* of variance explained.

    Of 1 - A/V, with A the mean squared error a and V the variance of t, a record moves
    -(a - A)/V + A((t - B)^2 - V)/V^2, where B is the mean of t.
    """
    half, middle = _scale(study)
    records = float(arrays["records"][0])
    first = (float(arrays["total"][0]) / records - middle) / half
    second = _second(arrays, records, half, middle)
    error = float(arrays["error"][0]) / records / half**2
    aa, at, att, ttt, tttt = (float(each) / records for each in arrays["moments"])
    variance = second - first**2
    fourth = tttt - 4 * first * ttt + 6 * first**2 * second - 3 * first**4
    both = att - 2 * first * at + first**2 * error
    own = aa - error**2
    cross = both - error * variance
    slope = error / variance
    moved = own - 2 * slope * cross + slope**2 * (fourth - variance**2)
    reach = intervals.Z * math.sqrt(max(moved, 0.0) / records) / variance
    return [share - reach, min(1.0, share + reach)]


def _second(arrays: Summands, records: float, half: float, middle: float) -> float:
    """Return the mean of the squared distances from mid-range, in half ranges."""
    total, square = float(arrays["total"][0]), float(arrays["square"][0])
    return (square - 2 * middle * total + records * middle**2) / records / half**2


def _scale(study: Study) -> tuple[float, float]:
    """Return half the declared range of the outcome, and its middle."""
    if not isinstance(study.outcome, Number):
        raise StudyError("this outcome is no number")
    return describe.half(study.outcome), describe.middle(study.outcome)
