"""Poisson regression under a promise: noisy descent on counts that surprise no further.

The slope of a count's loss is how far it is from what is expected, without end. One
person counts for two deviations of the outcome at most, as in robust quasi-likelihood
(Cantoni & Ronchetti 2001), so that rare large counts are expected a little too rarely.
"""

import math

from common.errors import StudyError
from common.release import Array, Summands
from common.schema import Number
from common.study import Study
from common.task import Model, Rows
from common.tasks import describe
from common.tasks.linear import linear_explained, linear_models
from common.tasks.linear.newton import Arrays
from common.tasks.private import noised, noisy_descent
from common.tasks.private.noisy_descent import Begin, Loss

FAR = 2.0
"""So many deviations of the outcome a person counts for."""
LEAST = 0.01
"""The least mean, as a share of half the range: its logarithm is where steps begin."""


def _begin(study: Study, sums: Summands) -> Begin:
    """Begin at the mean outcome; of a count the curvature is what is expected."""
    if not isinstance(study.outcome, Number):
        raise StudyError("a Poisson model needs an outcome that is a number")
    half = describe.half(study.outcome)
    mean, spread = study.outcome.typical or _noisy(study, study.outcome, sums)
    usual, unit = max(mean, LEAST * half), max(spread, LEAST * half)
    return Begin(math.log(usual), bend=max(usual, unit), unit=FAR * unit)


def _noisy(study: Study, outcome: Number, sums: Summands) -> tuple[float, float]:
    """Return about the mean and the deviation of the outcome."""
    middle, half = describe.middle(outcome), describe.half(outcome)
    mean, spread = noised.moments(study, sums, len(study.variables))
    return middle + mean * half, spread * half


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return the expected count of each record."""
    del study
    return linear_models.expected(noisy_descent.eta(arrays["weights"], rows.x))


PRIVATE_POISSON = Model(
    fit=noisy_descent.task(
        Loss("poisson", lambda eta, y: linear_models.expected(eta) - y, _begin)
    ),
    carries=noisy_descent.carries,
    predict=_predict,
    explain=linear_explained.explain,
    scale="log rate",
)
