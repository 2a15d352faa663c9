"""What a linear model says of one person: what each column adds, and how sure it is."""

from collections.abc import Callable, Mapping

import numpy as np

from common.intervals import Z
from common.release import Array
from common.study import Study
from common.task import Predict, Rows


def explain(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
    """Return weight times distance from the mean, per column; the intercept last.

    Exact: the sum is the model's linear predictor, and a column at the mean of all
    training people adds nothing.
    """
    del study
    weights = arrays["weights"]
    everybody = np.full((len(rows.x), 1), weights[-1])
    return np.hstack([rows.x * weights[:-1], everybody])


def interval(mean: Callable[[Array], Array]) -> Predict:
    """Return the function that gives the ends of the interval of each expectation.

    On the linear predictor by the covariance A^-1 H A^-1, A = H + penalty, of a ridge
    estimate (le Cessie & van Houwelingen 1992, section 3), and then through *mean*.
    """

    def ends(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
        del study
        weights, penalty = arrays["weights"], arrays["penalty"]
        upper = np.zeros((len(weights), len(weights)))
        upper[np.triu_indices(len(weights))] = arrays["curvature"]
        curvature = upper + np.triu(upper, 1).T
        inverse = np.linalg.inv(curvature + np.diag(penalty))
        design = np.hstack([rows.x, np.ones((len(rows.x), 1))])
        spread = np.einsum("ij,ij->i", design @ (inverse @ curvature @ inverse), design)
        eta, half = design @ weights, Z * np.sqrt(spread)
        return np.column_stack([mean(eta - half), mean(eta + half)])

    return ends
