"""A linear support vector machine under a promise: noisy descent on a smooth hinge.

The squared hinge of the exact form has slopes without end, so one person could move
the sum by any length. Huber's hinge is straight where it is steep and round within
half a unit of the margin (Chapelle 2007, section 2.2): no slope is beyond 1.
"""

import numpy as np
from scipy.special import expit

from common.release import Array
from common.study import Study
from common.task import Model, Rows
from common.tasks import linear_explained, linear_models, noisy_descent
from common.tasks.newton import Arrays
from common.tasks.noisy_descent import Loss

ROUND = 0.5
"""So far on both sides of the margin the hinge is a parabola."""


def _slope(eta: Array, y: Array) -> Array:
    """Return the slope of Huber's hinge at *eta* for outcomes *y* of 0 or 1."""
    side = 2.0 * y - 1.0
    short = (1.0 + ROUND - side * eta) / (2.0 * ROUND)
    sloped: Array = -side * short.clip(0.0, 1.0)
    return sloped


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return 1/(1 + e^-margin), as the exact form does: in order, not calibrated."""
    del study
    return np.asarray(expit(noisy_descent.eta(arrays["weights"], rows.x)))


PRIVATE_SVM = Model(
    fit=noisy_descent.task(
        Loss("svm", _slope, bend=1 / (2 * ROUND), link=lambda _share: 0.0)
    ),
    carries=linear_models.shows,
    predict=_predict,
    explain=linear_explained.explain,
    scale="margin",
)
