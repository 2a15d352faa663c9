"""What is expected of one person under each treatment: what a study of effects fitted.

``treatment_effect`` fits the outcome in each arm on the way. With the sums beside them
these two models tell, of somebody new, the expected outcome under either treatment and
how sure that is (two models, one an arm: Künzel et al. 2019, PNAS 116). The third model
tells how likely such a person was to be treated: whom nobody like them was treated as.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats
from scipy.special import expit

from common.arithmetic.intervals import Z
from common.encoding import shapes
from common.release import Array
from common.schema import Number
from common.study import Study
from common.task import Model, Rows, Shapes, State
from common.tasks.linear import newton
from common.tasks.treatment.treatment_models import (
    TREATMENT_MODELS,
    covariates,
    expected,
    parts,
    scale,
    width,
)

EFFECT = "treatment_effect"
CHANCE, TREATED, UNTREATED = range(3)
ARMS = (UNTREATED, TREATED)
"""The blocks of the weights that are models of the outcome, untreated first."""


def carries(study: Study) -> Shapes:
    """Return the three models, their curvature, and each arm's size and squares."""
    each = width(study)
    return {
        **shapes(study),
        "weights": (each,),
        "curvature": (each * (each + 1) // 2,),
        "square": (each, each),
        "records": (2,),
        "squares": (2,),
    }


def arrays(study: Study, states: Mapping[str, State]) -> dict[str, Array]:
    """Return what :func:`carries` declares, from the final *states* of a study."""
    fitted, summed = states[TREATMENT_MODELS.name].arrays, states[EFFECT].arrays
    found = {name: fitted[name] for name in carries(study) if name in fitted}
    everybody = summed["outcome"][0]
    return found | {"records": summed["arms"][0], "squares": everybody[:, 1]}


def predict(study: Study, learned: Mapping[str, Array], rows: Rows) -> Array:
    """Return the expected outcome of each record [records, 2], untreated first."""
    return _outcome(study, expected(study, _at(study, learned, rows)))


def interval(study: Study, learned: Mapping[str, Array], rows: Rows) -> Array:
    """Return the 95 % ends of both expectations [records, arm, 2].

    Of a chance on the scale of the log odds; of a number by Student's t, for its spread
    was estimated too.
    """
    at, error = _at(study, learned, rows), _errors(study, learned, rows)
    half = error * np.array([_quantile(study, learned, arm) for arm in ARMS])
    ends = expected(study, np.stack([at - half, at + half], axis=2))
    return _outcome(study, ends)


def difference(study: Study, learned: Mapping[str, Array], rows: Rows) -> Array:
    """Return what treatment changes for each record, and its ends [records, 3].

    The arms are different people, so their variances add up; of a chance by the delta
    method.
    """
    _, half = scale(study)
    at, error = _at(study, learned, rows), half * _errors(study, learned, rows)
    both = predict(study, learned, rows)
    if not isinstance(study.outcome, Number):
        p = expected(study, at)
        error = error * p * (1.0 - p)
    change, spread = both[:, 1] - both[:, 0], Z * np.hypot(*error.T)
    return np.column_stack([change, change - spread, change + spread])


def chance(study: Study, learned: Mapping[str, Array], rows: Rows) -> Array:
    """Return how likely people like each record were to be treated [records]."""
    found: Array = expit(_design(study, rows) @ parts(learned["weights"])[CHANCE])
    return found


def _design(study: Study, rows: Rows) -> Array:
    return np.column_stack([rows.x[:, covariates(study)], np.ones(len(rows.x))])


def _at(study: Study, learned: Mapping[str, Array], rows: Rows) -> Array:
    """Return the linear predictor of each arm's model [records, 2]."""
    every = parts(learned["weights"])
    return _design(study, rows) @ np.column_stack([every[arm] for arm in ARMS])


def _errors(study: Study, learned: Mapping[str, Array], rows: Rows) -> Array:
    """Return the standard error of each linear predictor [records, 2]."""
    x, found = _design(study, rows), []
    for arm in ARMS:
        curvature, square = _block(learned, arm)
        inverse = np.linalg.inv(curvature + square)
        spread = inverse @ curvature @ inverse * _variance(study, learned, arm)
        found.append(np.sqrt(np.einsum("ni,ij,nj->n", x, spread, x)))
    return np.column_stack(found)


def _block(learned: Mapping[str, Array], arm: int) -> tuple[Array, Array]:
    """Return the curvature and the penalty of one arm's model."""
    size = len(learned["weights"]) // 3
    own = slice(arm * size, (arm + 1) * size)
    whole = newton.symmetric(learned["curvature"], 3 * size)
    return whole[own, own], learned["square"][own, own]


def _free(learned: Mapping[str, Array], arm: int) -> float:
    """Return the records of an arm less what its model took: degrees of freedom."""
    curvature, square = _block(learned, arm)
    taken = np.trace(np.linalg.solve(curvature + square, curvature))
    return max(float(learned["records"][ARMS.index(arm)] - taken), 1.0)


def _variance(study: Study, learned: Mapping[str, Array], arm: int) -> float:
    """Return the variance around one arm's model: 1 where the mean fixes it.

    The residual squares are y'y - w'Hw - 2w'Aw where (H + A)w = X'y, at the lowest
    point.
    """
    if not isinstance(study.outcome, Number):
        return 1.0
    curvature, square = _block(learned, arm)
    weights = parts(learned["weights"])[arm]
    left = learned["squares"][ARMS.index(arm)]
    left = left - weights @ curvature @ weights - 2 * weights @ square @ weights
    return max(float(left), 0.0) / _free(learned, arm)


def _quantile(study: Study, learned: Mapping[str, Array], arm: int) -> float:
    if not isinstance(study.outcome, Number):
        return Z
    return float(stats.t.ppf(0.975, _free(learned, arm)))


def _outcome(study: Study, scaled: Array) -> Array:
    """Return what was *scaled* for the fit in the outcome's own unit."""
    middle, half = scale(study)
    return middle + half * scaled


TREATMENTS = Model(
    fit=TREATMENT_MODELS, carries=carries, predict=predict, interval=interval
)
"""Read from the study's result like a model; predicts two outcomes instead of one."""
