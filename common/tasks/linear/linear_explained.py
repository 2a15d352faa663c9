"""What a linear model says of one person: what each column adds, and how sure it is."""

from collections.abc import Callable, Mapping

import numpy as np

from common.arithmetic.intervals import Z
from common.release import Array
from common.study import Study
from common.task import Predict, Rows
from common.tasks.linear import intercepts, newton


def explain(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
    """Return weight times distance from the mean, per column; the intercept last.

    Exact: the sum is the model's linear predictor, and a column at the mean of all
    training people adds nothing.
    """
    weights, inside = arrays["weights"], rows.x.shape[1]
    everybody = intercepts.of(study, rows) @ weights[inside:]
    return np.column_stack([rows.x * weights[:inside], everybody])


def deviation(
    study: Study, weights: Array, covariance: Array, rows: Rows
) -> tuple[Array, Array]:
    """Return the linear predictor of each row and its standard error."""
    design = np.hstack([rows.x, intercepts.of(study, rows)])
    variance = np.einsum("ij,ij->i", design @ covariance, design)
    return design @ weights, np.sqrt(variance.clip(0.0))


def interval(mean: Callable[[Array], Array]) -> Predict:
    """Return the function that gives the ends of the interval of each expectation.

    On the linear predictor by the covariance A^-1 H A^-1, A = H + penalty, of a ridge
    estimate (le Cessie & van Houwelingen 1992, section 3), and then through *mean*. NaN
    under an l1 penalty, which leaves no such errors, and where these are withheld.
    """

    def ends(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
        if "curvature" not in arrays or arrays["l1"].any():
            return np.full((len(rows.x), 2), np.nan)
        eta, error = deviation(
            study, arrays["weights"], newton.covariance(arrays), rows
        )
        half = Z * error
        return np.column_stack([mean(eta - half), mean(eta + half)])

    return ends
