"""A linear support vector machine under a promise: noisy descent on a smooth hinge.

The squared hinge of the exact form has slopes without end, so one person could move
the sum by any length. Huber's hinge is straight where it is steep and round within
half a unit of the margin (Chapelle 2007, section 2.2): no slope is beyond 1. Random
Fourier features are cosines, so that a record's row is about as long whoever it is.
"""

import math
from dataclasses import replace

import numpy as np
from scipy.special import expit

from common.release import Array, Summands
from common.study import Study
from common.task import Model, Rows, State
from common.tasks.linear import linear_explained, linear_models, svm
from common.tasks.linear.newton import Arrays
from common.tasks.private import noisy_descent
from common.tasks.private.noisy_descent import LINEAR, Begin, Design, Loss

ROUND = 0.5
"""So far on both sides of the margin the hinge is a parabola."""


def _slope(eta: Array, y: Array) -> Array:
    """Return the slope of Huber's hinge at *eta* for outcomes *y* of 0 or 1."""
    side = 2.0 * y - 1.0
    short = (1.0 + ROUND - side * eta) / (2.0 * ROUND)
    sloped: Array = -side * short.clip(0.0, 1.0)
    return sloped


LOSS = Loss("svm", _slope, lambda _study, _sums: Begin(0.0, bend=1 / (2 * ROUND)))


def features(study: Study, x: Array) -> Array:
    """Return the random features of each record, as the exact form has them.

    Added up column by column: a matrix product would round a record's by how many
    stand beside it.
    """
    weights, offset = svm.drawn(study)
    angle = np.tile(offset, (len(x), 1))
    for column, weight in zip(x.T, weights, strict=True):
        angle += column[:, None] * weight
    return np.cos(angle) * (math.sqrt(2.0) / _root(study))


RANDOM = Design(
    width=svm.most,
    of=lambda study, x: noisy_descent.shortened(features(study, x) * _root(study)),
    ridge=lambda study: linear_models.ridge_of(study) * svm.most(study),
)
"""Steps are taken along features that are longer by that root: with as many times the
ridge, and weights that are shorter, it is the same problem."""


def _root(study: Study) -> float:
    return math.sqrt(svm.most(study))


def _finish(study: Study, state: State, total: Summands) -> State:
    """Take a step; end with the weights of the features as they are."""
    after = STEPS.finish(study, state, total)
    if not after.done:
        return after
    weights = after.arrays["weights"] * np.r_[np.full(svm.most(study), _root(study)), 1]
    return replace(after, arrays={**after.arrays, "weights": weights})


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return 1/(1 + e^-margin), as the exact form does: in order, not calibrated."""
    del study
    return np.asarray(expit(noisy_descent.eta(arrays["weights"], rows.x)))


def _of_features(study: Study, arrays: Arrays, rows: Rows) -> Array:
    margin = noisy_descent.eta(arrays["weights"], features(study, rows.x))
    return np.asarray(expit(margin))


PRIVATE_SVM = Model(
    fit=noisy_descent.task(LOSS, LINEAR),
    carries=noisy_descent.carries,
    predict=_predict,
    explain=linear_explained.explain,
    scale="margin",
)
STEPS = noisy_descent.task(replace(LOSS, name="rbf_svm"), RANDOM)
PRIVATE_RBF_SVM = Model(
    fit=replace(STEPS, finish=_finish, read=svm.made, show=svm.told),
    carries=lambda study: noisy_descent.carries(study, RANDOM),
    predict=_of_features,
)
