"""Generalised linear models by Newton's method on sums: one driver, one loss a family.

A site sends the loss, gradient and curvature of its people at the weights it was shown.
Their sum is what pooled rows would give, so each step is the pooled step (iteratively
reweighted least squares; McCullagh & Nelder 1989, section 2.5). Ridge penalises every
standardised coefficient and never the intercept: lambda/2 * |w|^2, lambda = 1/C of
scikit-learn.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from common.encoding import Encoding, columns, shapes
from common.errors import StudyError
from common.intervals import Z
from common.models import Logistic, Poisson
from common.release import Array, Field, Release, Summands
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, State, Task
from common.tasks import linear_explained

TOLERANCE = 1e-8
"""Stop when no weight moves by more than this, relative to the largest weight or 1."""


@dataclass(frozen=True, slots=True)
class Family:
    """A loss per person as a function of eta = intercept + w.x, with two derivatives.

    ``mean`` is the expected outcome at eta; ``loss(eta, y)`` returns (loss, slope,
    curvature), each [people]; ``link`` undoes ``mean`` for the first intercept, and
    ``scale`` says what eta is.
    """

    name: str
    mean: Callable[[Array], Array]
    loss: Callable[[Array, Array], tuple[Array, Array, Array]]
    link: Callable[[float], float]
    scale: str


def _logistic_loss(eta: Array, y: Array) -> tuple[Array, Array, Array]:
    p = expit(eta)
    return np.logaddexp(0.0, eta) - y * eta, p - y, p * (1.0 - p)


def _poisson_mean(eta: Array) -> Array:
    return np.exp(np.minimum(eta, 100.0))  # e^100 is beyond any count, and finite


def _poisson_loss(eta: Array, y: Array) -> tuple[Array, Array, Array]:
    mean = _poisson_mean(eta)
    return mean - y * eta, mean - y, mean


def _log(mean: float) -> float:
    return float(np.log(max(mean, 1e-3)))


def shows(study: Study) -> Shapes:
    """Show the sites the encoding and the weights, intercept last."""
    constants = shapes(study)
    (width,) = constants["centre"]
    return {**constants, "weights": (width + 1,)}


def release(study: Study) -> Release:
    """Declare loss, gradient and upper triangle of the curvature, intercept last."""
    width = len(columns(study)) + 1
    return {
        "loss": Field("sum of the losses", (1,), "sum"),
        "gradient": Field("sum of the slopes", (width,), "sum"),
        "curvature": Field("sum of the curvatures", (width * (width + 1) // 2,), "sum"),
    }


def _local(family: Family, state: State, rows: Rows) -> Summands:
    """Add up loss, gradient and curvature at ``weights`` over *rows*."""
    weights = state.arrays["weights"]
    loss, slope, curve = family.loss(rows.x @ weights[:-1] + weights[-1], rows.y)
    weighted = rows.x * curve[:, None]
    curvature = np.empty((len(weights), len(weights)))
    curvature[:-1, :-1] = rows.x.T @ weighted
    curvature[:-1, -1] = curvature[-1, :-1] = weighted.sum(axis=0)
    curvature[-1, -1] = curve.sum()
    return {
        "loss": np.array([loss.sum()]),
        "gradient": np.r_[slope @ rows.x, slope.sum()],
        "curvature": curvature[np.triu_indices(len(weights))],
    }


def _start(family: Family, study: Study, found: Found) -> State:
    """Begin at no effect, with the intercept that fits the overall mean."""
    described = found["describe"]
    _varied(study, described)
    weights = np.zeros(len(columns(study)) + 1)
    weights[-1] = family.link(_outcome_mean(study, described))
    return State(
        {**Encoding.of(described.arrays).arrays(), "weights": weights},
        kept={"best": weights, "objective": np.array([np.inf])},
    )


def _finish(family: Family, study: Study, state: State, total: Summands) -> State:
    """Take the Newton step from the weights that the sum was taken at, or halve it."""
    arrays, ridge = state.arrays, ridge_of(study)
    weights = arrays["weights"]
    penalty = np.where(np.r_[arrays["scale"], 1.0] > 0.0, ridge, 1.0)
    penalty[-1] = 0.0
    objective = total["loss"][0] + penalty @ weights**2 / 2
    slack = 1e-10 * (1.0 + abs(objective))
    if objective > state.kept["objective"][0] + slack:
        halfway = (state.kept["best"] + weights) / 2
        return State({**arrays, "weights": halfway}, kept=state.kept)
    matrix = _symmetric(total["curvature"], len(weights)) + np.diag(penalty)
    step = _solve(family, matrix, total["gradient"] + penalty * weights)
    moved = {**arrays, "weights": weights - step}
    if np.abs(step).max() <= TOLERANCE * max(1.0, np.abs(weights).max()):
        moved |= {"curvature": total["curvature"], "penalty": penalty}
        return State(moved, done=True)
    return State(moved, kept={"best": weights, "objective": np.array([objective])})


def read(study: Study, state: State) -> Findings:
    """Return the coefficients: standardised, with errors, and per unit."""
    return {
        "coefficients": listed(study, state, _standard_errors(state)),
        "ridge": ridge_of(study),
    }


def listed(study: Study, state: State, errors: Array | None) -> list[Findings]:
    """Return one line per coefficient, with an interval where *errors* are known."""
    weights = state.arrays["weights"]
    names = [*(column.name for column in columns(study)), "(intercept)"]
    scale = np.r_[state.arrays["scale"], 1.0]
    rows: list[Findings] = []
    around = np.full(len(weights), np.nan) if errors is None else errors
    for name, weight, error, spread in zip(names, weights, around, scale, strict=True):
        known, told = bool(spread > 0.0), bool(spread > 0.0 and np.isfinite(error))
        half = Z * error
        rows.append(
            {
                "name": name,
                "coefficient": float(weight),
                "standard_error": float(error) if told else None,
                "interval": [float(weight - half), float(weight + half)]
                if told
                else None,
                "per_unit": float(weight / spread) if known else None,
            }
        )
    rows[-1]["per_unit"] = float(weights[-1] - _shift(state))
    return rows


def predictor(family: Family) -> Callable[[Study, Mapping[str, Array], Rows], Array]:
    """Return the function that says the expected outcome of each encoded row."""

    def predict(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
        del study
        weights = arrays["weights"]
        return family.mean(rows.x @ weights[:-1] + weights[-1])

    return predict


def _varied(study: Study, described: State) -> None:
    """Raise StudyError when all training people of all sites have one outcome."""
    mean, present = _outcome_mean(study, described), described.arrays["present"][-1]
    if present < 1.0 or (study.outcome.kind == "binary" and mean in {0.0, 1.0}):
        raise StudyError(
            f"every training person of every site has the same {study.outcome.name}",
            likely="the cohort, or a mapping of levels, leaves one outcome only",
            fix="consilium client check   at each site shows what is left out, and why",
        )


def _outcome_mean(study: Study, described: State) -> float:
    """Return the mean outcome over all training people, from the sums of describe."""
    arrays = described.arrays
    present = max(arrays["present"][-1], 1.0)
    if study.outcome.kind == "binary":
        return float(arrays["levels"][-1] / present)
    low, high = study.outcome.range
    return float((low + high) / 2 + arrays["total"][-1] / present)


def ridge_of(study: Study) -> float:
    """Return the study's ridge; raise StudyError when its model has none."""
    if not isinstance(study.model, Logistic | Poisson):
        raise StudyError("a linear model was asked of a study without [model]")
    return study.model.ridge


def _symmetric(upper: Array, width: int) -> Array:
    matrix: Array = np.zeros((width, width))
    matrix[np.triu_indices(width)] = upper
    return matrix + np.triu(matrix, 1).T


def _solve(family: Family, matrix: Array, gradient: Array) -> Array:
    try:
        return np.asarray(np.linalg.solve(matrix, gradient), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise StudyError(
            f"the {family.name} regression has no unique solution",
            likely="a variable repeats others or separates the outcome; ridge is 0",
            fix="in [model]:   ridge = 1.0",
        ) from None


def _standard_errors(state: State) -> Array:
    """Return the square roots of the diagonal of A^-1 H A^-1, A = H + penalty.

    The covariance of a ridge estimate (le Cessie & van Houwelingen 1992, section 3);
    without ridge it is the usual inverse information.
    """
    arrays = state.arrays
    curvature = _symmetric(arrays["curvature"], len(arrays["weights"]))
    inverse = np.linalg.inv(curvature + np.diag(arrays["penalty"]))
    variances: Array = np.diag(inverse @ curvature @ inverse)
    return np.sqrt(variances)


def _shift(state: State) -> float:
    """Return what the intercept gains by measuring from zero, not from the mean."""
    arrays = state.arrays
    used = arrays["scale"] > 0.0
    slopes = arrays["weights"][:-1][used] / arrays["scale"][used]
    return float(slopes @ arrays["centre"][used])


def _logit(share: float) -> float:
    inside = min(max(share, 1e-3), 1.0 - 1e-3)
    return float(np.log(inside / (1.0 - inside)))


def model(family: Family) -> Model:
    """Return the task and the prediction of a family."""
    return Model(
        fit=Task(
            name=family.name,
            rows="train",
            encoded=True,
            shows=shows,
            release=release,
            start=lambda study, found: _start(family, study, found),
            local=lambda _study, state, rows: _local(family, state, rows),
            finish=lambda study, state, total: _finish(family, study, state, total),
            read=read,
        ),
        carries=shows,
        predict=predictor(family),
        explain=linear_explained.explain,
        scale=family.scale,
        interval=linear_explained.interval(family.mean),
    )


LOGISTIC = model(Family("logistic", expit, _logistic_loss, _logit, "log odds"))
POISSON = model(Family("poisson", _poisson_mean, _poisson_loss, _log, "log rate"))
