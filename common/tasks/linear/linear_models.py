"""Generalised linear models by Newton's method on sums: one loss a family.

Each step is the pooled step (iteratively reweighted least squares; McCullagh & Nelder
1989, section 2.5). Ridge penalises every standardised coefficient and never the
intercept: lambda/2 * |w|^2, lambda = 1/C of scikit-learn; an elastic net moves a share
of lambda from w^2/2 to |w|. With an intercept for each site, these are shrunk towards
their mean by the same lambda, and a site that never trained gets that mean.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gammaln

from common.encoding import columns
from common.errors import StudyError
from common.release import Array, Release
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, Show, State
from common.tasks.linear import coefficients, intercepts, linear_explained, newton
from common.tasks.linear.coefficients import Errors
from common.tasks.linear.newton import Arrays, Penalty, Problem, Terms


@dataclass(frozen=True, slots=True)
class Family:
    """A loss per person as a function of eta = intercept + w.x, with two derivatives.

    ``mean`` is the expected outcome at eta; ``loss(eta, y)`` returns (loss, slope,
    curvature), each [people]; ``link`` undoes ``mean`` for the first intercept.
    ``scale`` says what eta is, ``likelihood`` that the loss is
    one: then errors and tests mean something.
    ``shrunk`` says that the penalty is on the intercept too.
    """

    name: str
    mean: Callable[[Array], Array]
    loss: Callable[[Array, Array], tuple[Array, Array, Array]]
    link: Callable[[float], float]
    scale: str
    likelihood: bool = True
    shrunk: bool = False


def _logistic_loss(eta: Array, y: Array) -> tuple[Array, Array, Array]:
    p = expit(eta)
    return np.logaddexp(0.0, eta) - y * eta, p - y, p * (1.0 - p)


def expected(eta: Array) -> Array:
    """Return the count that is expected at *eta*, its logarithm."""
    return np.exp(np.minimum(eta, 100.0))  # e^100 is beyond any count, and finite


def _poisson_loss(eta: Array, y: Array) -> tuple[Array, Array, Array]:
    mean = expected(eta)
    return mean - y * eta + gammaln(y + 1.0), mean - y, mean


def _log(mean: float) -> float:
    return float(np.log(max(mean, 1e-3)))


def _logit(share: float) -> float:
    inside = min(max(share, 1e-3), 1.0 - 1e-3)
    return float(np.log(inside / (1.0 - inside)))


def shows(study: Study) -> Shapes:
    """Show the sites the encoding and the weights, intercepts last."""
    return newton.shown(intercepts.width(study), study)


def release(study: Study) -> Release:
    """Declare loss, gradient and upper triangle of the curvature, intercepts last."""
    return newton.declared(intercepts.width(study), intercepts.note(study))


def combine(x: Array, ones: Array, loss: tuple[Array, Array, Array]) -> Terms:
    """Return the terms of people with *x*, intercepts *ones*, and *loss* [people].

    In blocks: to put the two side by side would copy every record in every round.
    """
    value, slope, curve = loss
    weighted, inside = x * curve[:, None], x.shape[1]
    size = inside + ones.shape[1]
    curvature = np.empty((size, size))
    curvature[:inside, :inside] = x.T @ weighted
    curvature[:inside, inside:] = weighted.T @ ones
    curvature[inside:, :inside] = curvature[:inside, inside:].T
    curvature[inside:, inside:] = ones.T @ (ones * curve[:, None])
    return Terms(float(value.sum()), np.r_[slope @ x, slope @ ones], curvature)


def penalty(study: Study, arrays: Arrays) -> Penalty:
    """Return the study's penalty; a column that never varies is held at 0."""
    count, ridge = len(intercepts.names(study)), ridge_of(study)
    share = getattr(study.model, "l1_share", None) or 0.0
    varies = arrays["scale"] > 0.0
    apart = np.eye(count) - 1.0 / count
    square = np.zeros((intercepts.width(study), intercepts.width(study)))
    square[: len(varies), : len(varies)] = np.diag(
        np.where(varies, ridge * (1.0 - share), 1.0)
    )
    square[len(varies) :, len(varies) :] = ridge * apart
    return Penalty(square, np.r_[ridge * share * varies, np.zeros(count)])


def begin(family: Family, study: Study, found: Found) -> Array:
    """Return no effect, with the intercept that fits the overall mean."""
    described = found["describe"]
    varied(study, described)
    weights = np.zeros(intercepts.width(study))
    start = family.link(outcome_mean(study, described))
    weights[len(columns(study)) :] = start
    return weights


def read(study: Study, state: State) -> Findings:
    """Return the coefficients: standardised, with errors, and per unit; and the fit."""
    weights = state.arrays["weights"]
    errors = Errors.unknown(len(weights))
    if not state.arrays["l1"].any():
        variances = np.diag(newton.covariance(state.arrays))
        errors = Errors(np.sqrt(np.maximum(variances, 0.0)))
    return {
        "coefficients": _lines(study, state, errors),
        "ridge": ridge_of(study),
        "fit": coefficients.likelihood(state),
    }


def _unlikely(study: Study, state: State) -> Findings:
    """Return the coefficients of a loss that is no likelihood: nothing to test."""
    return {
        "coefficients": listed(study, state, None),
        "ridge": ridge_of(study),
    }


def listed(study: Study, state: State, errors: Array | None) -> list[Findings]:
    """Return one line per coefficient, with an interval where *errors* are known."""
    count = len(state.arrays["weights"])
    known = Errors.unknown(count) if errors is None else Errors(errors)
    return _lines(study, state, known)


def _lines(study: Study, state: State, errors: Errors) -> list[Findings]:
    return lines(study, state.arrays, errors, intercepts.names(study))


def lines(
    study: Study, arrays: Arrays, errors: Errors, ends: tuple[str, ...]
) -> list[Findings]:
    """Return one line per weight, the intercepts called *ends* last.

    Per unit an intercept is measured where every variable is 0, not at its mean.
    """
    weights, scale = arrays["weights"], arrays["scale"]
    names = [*(column.name for column in columns(study)), *ends]
    spread = np.r_[scale, np.full(len(ends), np.nan)]
    found = coefficients.listed(names, weights, spread, errors)
    used = scale > 0.0
    slopes = weights[: len(scale)][used] / scale[used]
    shift = float(slopes @ arrays["centre"][used])
    for line, weight in zip(found[len(scale) :], weights[len(scale) :], strict=True):
        line["per_unit"] = float(weight - shift)
    return found


def predictor(family: Family) -> Callable[[Study, Mapping[str, Array], Rows], Array]:
    """Return the function that says the expected outcome of each encoded row."""

    def predict(study: Study, arrays: Mapping[str, Array], rows: Rows) -> Array:
        return family.mean(
            intercepts.eta(rows.x, intercepts.of(study, rows), arrays["weights"])
        )

    return predict


def varied(study: Study, described: State) -> None:
    """Raise StudyError when all training people of all sites have one outcome."""
    mean, present = outcome_mean(study, described), described.arrays["present"][-1]
    if present < 1.0 or (study.outcome.kind == "binary" and mean in {0.0, 1.0}):
        raise alike(study)


def alike(study: Study) -> StudyError:
    """Return the error that there is nothing to tell apart."""
    return StudyError(
        f"every training person of every site has the same {study.outcome.name}",
        likely="the cohort, or a mapping of levels, leaves one outcome only",
        fix="consilium client check   at each site shows what is left out, and why",
    )


def outcome_mean(study: Study, described: State) -> float:
    """Return the mean outcome over all training people, from the sums of describe."""
    arrays = described.arrays
    present = max(arrays["present"][-1], 1.0)
    if study.outcome.kind == "number":
        low, high = study.outcome.range
        return float((low + high) / 2 + arrays["total"][-1] / present)
    return float(arrays["levels"][-1] / present)


def ridge_of(study: Study) -> float:
    """Return the study's ridge; raise StudyError when its model has none."""
    ridge = getattr(study.model, "ridge", None)
    if ridge is None:
        raise StudyError("a linear model was asked of a study without a ridge")
    return float(ridge)


def model(family: Family, show: Show | None = None) -> Model:
    """Return the task and the prediction of a family; *show* replaces what is shown."""

    def terms(study: Study, arrays: Arrays, rows: Rows) -> Terms:
        ones = intercepts.of(study, rows)
        at = intercepts.eta(rows.x, ones, arrays["weights"])
        return combine(rows.x, ones, family.loss(at, rows.y))

    def held(study: Study, arrays: Arrays) -> Penalty:
        found = penalty(study, arrays)
        if family.shrunk:
            found.square[-1, -1] = ridge_of(study)
        return found

    problem = Problem(
        name=family.name,
        width=intercepts.width,
        terms=terms,
        penalty=held,
        begin=lambda study, found: begin(family, study, found),
        release=release,
    )
    fit = newton.task(
        problem, read if family.likelihood else _unlikely, show or _fitted
    )
    return Model(
        fit=fit,
        carries=shows,
        predict=predictor(family),
        explain=linear_explained.explain,
        scale=family.scale,
        interval=linear_explained.interval(family.mean) if family.likelihood else None,
    )


def _fitted(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show how well the likelihood fits."""
    del study
    return (coefficients.sheet(coefficients.likelihood(state)),)


LOGISTIC = model(Family("logistic", expit, _logistic_loss, _logit, "log odds"))
POISSON = model(Family("poisson", expected, _poisson_loss, _log, "log rate"))
