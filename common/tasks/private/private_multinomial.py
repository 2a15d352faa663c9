"""Logistic regression of several levels under a promise: noisy descent along softmax.

A record's slope is (p - e), the chance of each level less the level that came, times
(x, 1). It is sqrt(2) long at most: |p - e|^2 is (1 - p_own)^2 and the squares of the
other chances, which add up to 1 - p_own, so it is 2 (1 - p_own)^2 or less. Here it
counts as 1 at most, as in robust regression (Cantoni & Ronchetti 2001): only a level
that was given less than 0.3 of the chance is so surprising. With rows shortened to
sqrt(d) nobody moves the sum by more than sqrt(d + 1). The Hessian, diag(p) - pp' times
that of the design, is a half of it at most (Böhning 1992).
"""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from common.encoding import columns
from common.release import Array, Summands
from common.study import Study
from common.task import Findings, Model, Rows, State
from common.tasks.linear import linear_models, multinomial
from common.tasks.linear.multinomial import levels
from common.tasks.linear.newton import Arrays
from common.tasks.private import descent, noised
from common.tasks.private.descent import Course, Descent
from common.tasks.private.noisy_descent import eta, shortened

BEND = 0.5
"""The largest second derivative of the loss by the scores of the levels."""
LONGEST = 1.0
"""So long a slope counts. On wine and digits it was right more often by 0.02 to 0.03 at
epsilon 1 than without, where sqrt(2) is the bound, and as often at 8."""
RAREST = 0.02
"""A level is taken for no rarer where steps begin: all may be the noise."""


def _table(study: Study, weights: Array) -> Array:
    """Return the weights of each level [levels, columns + 1], its intercept last."""
    return weights.reshape(len(levels(study)), -1)


def _chances(study: Study, arrays: Arrays, x: Array) -> Array:
    """Return the chance of each level [records, levels], none by a matrix product."""
    scores = [eta(each, x) for each in _table(study, arrays["weights"])]
    return np.asarray(softmax(np.column_stack(scores), axis=1))


def _each(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return the slope of each record's loss, level by level, intercept last."""
    x = shortened(rows.x)
    slope = _chances(study, arrays, x) - np.eye(len(levels(study)))[_own(rows)]
    length = np.sqrt((slope**2).sum(axis=1, keepdims=True))
    slope *= LONGEST / np.maximum(length, LONGEST)
    design = np.column_stack([x, np.ones(len(x))])
    parts: Array = slope[:, :, None] * design[:, None, :]
    return parts.reshape(len(x), -1)


def _own(rows: Rows) -> NDArray[np.int64]:
    return rows.y.astype(np.int64)


def _begin(study: Study, sums: Summands) -> Course:
    """Begin at no effect, with intercepts that fit how common each level is."""
    place, count = len(study.variables), len(levels(study))
    shares = [noised.share(study, sums, place, level) for level in range(count)]
    common = np.log(np.maximum(shares, RAREST))
    weights = np.zeros((count, len(columns(study)) + 1))
    weights[:, -1] = common - common.mean()
    bend = BEND * weights.shape[1] / 2
    return Course(weights.ravel(), np.array([bend]))


def _ridge(study: Study) -> Array:
    each = np.r_[np.full(len(columns(study)), linear_models.ridge_of(study)), 0.0]
    return np.tile(each, len(levels(study)))


def _apart(study: Study, weights: Array) -> Array:
    """Take off what all levels have in common: it tells none of them apart."""
    table = _table(study, weights)
    return np.ravel(table - table.mean(axis=0))


def _read(study: Study, state: State) -> Findings:
    """Return each level against the first; how far the noise moved them is unknown."""
    table = _table(study, state.arrays["weights"])
    first, *others = levels(study)
    found: list[Findings] = []
    for level, weights in zip(others, table[1:], strict=True):
        against = replace(state, arrays={**state.arrays, "weights": weights - table[0]})
        lines = linear_models.listed(study, against, None)
        found += [{**line, "name": f"{line['name']}: {level}"} for line in lines]
    return {
        "coefficients": found,
        "against": first,
        "ridge": linear_models.ridge_of(study),
    }


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return the chance of each level [records, levels]."""
    return _chances(study, arrays, rows.x)


PRIVATE_MULTINOMIAL = Model(
    fit=descent.task(
        Descent(
            name="multinomial",
            width=lambda study: len(levels(study)) * (len(columns(study)) + 1),
            each=_each,
            clip=lambda study: LONGEST * math.sqrt(len(columns(study)) + 1),
            ridge=_ridge,
            begin=_begin,
            settled=_apart,
        ),
        _read,
    ),
    carries=multinomial.MULTINOMIAL.carries,
    predict=_predict,
    explain=multinomial.MULTINOMIAL.explain,
    scale=multinomial.MULTINOMIAL.scale,
)
