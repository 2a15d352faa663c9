"""Logistic regression from one noisy sum: for few people, where steps are too noisy.

    log(1 + exp(z)) ~ log 2 + z/2 + z^2/8

Near no effect the loss is a square (Zhang et al. 2012, section 5), whose least is found
from sums of products as of a linear model: a quarter of the Gram, and the products with
the outcome from -1 to 1, halved. What the noise may drown is held up as there.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.special import expit

from common.encoding import Encoding
from common.release import Array, Summands
from common.study import Study
from common.task import Found, Model, Rows, State
from common.tasks.linear import linear_explained, linear_models
from common.tasks.private import private_linear
from common.tasks.private.noisy_descent import eta

CURVE = 4.0
"""One over the largest second derivative of the loss."""


def _start(study: Study, found: Found) -> State:
    """Show an outcome of 0 and 1 as one from -1 to 1."""
    constants = Encoding.of(found["describe"].arrays).arrays()
    unit = {"outcome": np.array([0.5, 0.5]), "noise": private_linear.deviation(study)}
    return State({**constants, **unit})


def _finish(study: Study, state: State, total: Summands) -> State:
    """Solve (Gram/4 + ridge) w = products/2."""
    ridge = CURVE * linear_models.ridge_of(study)
    solved, more = private_linear.solve(study, state, total, ridge)
    told = {"weights": CURVE / 2 * solved, "added": np.array([more / CURVE])}
    return State({**state.arrays, **told}, done=True)


def _predict(_study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
    return np.asarray(expit(eta(arrays["weights"], rows.x)), dtype=np.float64)


ONE_SHOT = Model(
    fit=replace(
        private_linear.PRIVATE_LINEAR.fit,
        name="logistic",
        start=_start,
        finish=_finish,
    ),
    carries=linear_models.shows,
    predict=_predict,
    explain=linear_explained.explain,
    scale="log odds",
)
