"""Who is treated, and what becomes of those who are and who are not: three models.

The first step of ``treatment_effect``. The probability of treatment, and the outcome in
each arm, are regressed on the covariates by one Newton's method: they share no weight,
so their curvature is made of three blocks and each is the fit of pooled records.
"""

import numpy as np
from scipy.special import expit

from common.encoding import columns
from common.errors import StudyError
from common.release import Array, Field, Release
from common.schema import Category, Number
from common.sections.analyses import TreatmentEffect
from common.study import Study
from common.task import Findings, Found, Rows, State
from common.tasks.describe import level_counts
from common.tasks.linear import linear_models, newton
from common.tasks.linear.newton import Arrays, Penalty, Problem, Terms

PER_WEIGHT = 3
"""Records that each arm needs for each weight of a model."""


def asked(study: Study) -> TreatmentEffect:
    """Return what *study* asks; raise StudyError when it asks for no effect."""
    if study.analysis.treatment_effect is None:
        raise StudyError("this study has no [analysis.treatment_effect]")
    return study.analysis.treatment_effect


def treatment(study: Study) -> tuple[int, Category]:
    """Return which variable the treatment is, and its declaration."""
    for index, each in enumerate(study.variables):
        if each.name == asked(study).treatment and isinstance(each, Category):
            return index, each
    raise StudyError(f"{asked(study).treatment} is not a declared category")


def covariates(study: Study) -> list[int]:
    """Return the columns of the design that the models see."""
    index, _ = treatment(study)
    wanted = asked(study).covariates
    return [
        place
        for place, column in enumerate(columns(study))
        if column.variable != index
        and (wanted is None or study.variables[column.variable].name in wanted)
    ]


def seen(study: Study, rows: Rows) -> tuple[Array, Array, Array]:
    """Return covariates with a one [people, weights], treated [people], outcome.

    Who has a gap where the treatment stands is left out. A number is measured from
    mid-range, in half ranges, so that all models have weights of like size.
    """
    index, _ = treatment(study)
    known = ~np.isnan(rows.values[:, index])
    x = np.column_stack([rows.x[:, covariates(study)], np.ones(len(rows.x))])
    middle, half = scale(study)
    outcome = (rows.y[known] - middle) / half
    return x[known], rows.values[known, index], outcome


def scale(study: Study) -> tuple[float, float]:
    """Return what is taken from the outcome, and by what it is divided."""
    if not isinstance(study.outcome, Number):
        return 0.0, 1.0
    low, high = study.outcome.range
    return (low + high) / 2, (high - low) / 2


def expected(study: Study, at: Array) -> Array:
    """Return the expected outcome [people], as ``seen`` scales it, at an eta."""
    found: Array = at if isinstance(study.outcome, Number) else expit(at)
    return found


def parts(weights: Array) -> tuple[Array, Array, Array]:
    """Return the weights of treatment, of outcome if treated, and if not."""
    chance, treated, untreated = weights.reshape(3, -1)
    return chance, treated, untreated


def width(study: Study) -> int:
    """Return how many weights the three models have."""
    return 3 * (len(covariates(study)) + 1)


def _terms(study: Study, arrays: Arrays, rows: Rows) -> Terms:
    x, treated, outcome = seen(study, rows)
    chance, *arms = parts(arrays["weights"])
    number = isinstance(study.outcome, Number)
    every = [
        _logistic(x, chance, treated, np.ones(len(x))),
        *(
            (_squared if number else _logistic)(x, weights, outcome, inside)
            for weights, inside in zip(arms, (treated, 1.0 - treated), strict=True)
        ),
    ]
    size = x.shape[1]
    curvature = np.zeros((3 * size, 3 * size))
    for place, each in enumerate(every):
        block = slice(place * size, (place + 1) * size)
        curvature[block, block] = each.curvature
    gradient = np.concatenate([each.gradient for each in every])
    return Terms(sum(each.loss for each in every), gradient, curvature)


def _logistic(x: Array, weights: Array, y: Array, inside: Array) -> Terms:
    at = x @ weights
    p = expit(at)
    loss = inside @ (np.logaddexp(0.0, at) - y * at)
    curvature = x.T @ (x * (inside * p * (1.0 - p))[:, None])
    return Terms(float(loss), (inside * (p - y)) @ x, curvature)


def _squared(x: Array, weights: Array, y: Array, inside: Array) -> Terms:
    apart = inside * (x @ weights - y)
    return Terms(float(apart @ apart) / 2, apart @ x, x.T @ (x * inside[:, None]))


def _penalty(study: Study, arrays: Arrays) -> Penalty:
    """Return the study's ridge; a column that never varies is held at 0."""
    varies = arrays["scale"][covariates(study)] > 0.0
    each = np.r_[np.where(varies, asked(study).ridge, 1.0), 0.0]
    return Penalty(np.diag(np.tile(each, 3)), np.zeros(width(study)))


def _begin(study: Study, found: Found) -> Array:
    """Begin with no effect; raise StudyError where an arm has too few records."""
    linear_models.varied(study, found["describe"])
    index, variable = treatment(study)
    arms = level_counts(study, found["describe"].arrays, index)
    needed = max(PER_WEIGHT * width(study) // 3, study.disclosure.cell)
    if arms.min() < needed:
        raise StudyError(
            f"too few records of all sites have one level of {variable.name}: "
            f"{len(covariates(study))} covariate columns need {needed} of each",
            likely="a rare treatment, or many covariates",
            fix="in [analysis.treatment_effect]: fewer covariates",
        )
    return np.zeros(width(study))


def _release(study: Study) -> Release:
    """Declare loss, gradient and curvature of all three models together."""
    declared = newton.declared(width(study))
    note = ", of treatment and of the outcome in each arm"
    return {
        name: Field(field.meaning + note, field.shape, field.kind)
        for name, field in declared.items()
    }


def _read(study: Study, state: State) -> Findings:
    """Return the weights of each model, on standardised covariates, intercept last."""
    every = columns(study)
    names = [*(every[place].name for place in covariates(study)), "(intercept)"]
    listed = (
        dict(zip(names, map(float, weights), strict=True))
        for weights in parts(state.arrays["weights"])
    )
    titles = ("treatment", "outcome_treated", "outcome_untreated")
    return dict(zip(titles, listed, strict=True))


TREATMENT_MODELS = newton.task(
    Problem(
        name="treatment_models",
        width=width,
        terms=_terms,
        penalty=_penalty,
        begin=_begin,
        release=_release,
    ),
    _read,
)
