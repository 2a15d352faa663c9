"""Logistic regression of an outcome with several levels, by Newton's method on sums.

Every level has weights of its own, as in scikit-learn; ridge is on all but the
intercepts. One more of everything for each level would predict the same: that direction
has no slope, and is held by a penalty that is zero on it. What is listed, with errors
and tests, is each level against the first, as statsmodels' MNLogit does.
"""

import numpy as np
from scipy.special import logsumexp, softmax

from common.encoding import columns
from common.errors import StudyError
from common.release import Array
from common.schema import Category
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Model, Rows, State
from common.tasks.describe import level_counts
from common.tasks.linear import coefficients, linear_models, newton
from common.tasks.linear.coefficients import Errors
from common.tasks.linear.newton import Arrays, Penalty, Problem, Terms


def levels(study: Study) -> tuple[str, ...]:
    """Return the levels of the outcome; raise StudyError where it has none."""
    if not isinstance(study.outcome, Category):
        raise StudyError(f"multinomial needs a category, not {study.outcome.name}")
    return study.outcome.levels


def _each(study: Study) -> int:
    """Return the number of weights of one level, its intercept last."""
    return len(columns(study)) + 1


def _width(study: Study) -> int:
    return len(levels(study)) * _each(study)


def _scores(study: Study, arrays: Arrays, x: Array) -> Array:
    """Return the score of each record and level [records, levels]."""
    weights = arrays["weights"].reshape(len(levels(study)), _each(study))
    scores: Array = x @ weights[:, :-1].T + weights[:, -1]
    return scores


def _terms(study: Study, arrays: Arrays, rows: Rows) -> Terms:
    """Return the terms of the softmax loss, level by level (Böhning 1992)."""
    scores = _scores(study, arrays, rows.x)
    chance, whole = softmax(scores, axis=1), logsumexp(scores, axis=1)
    design = np.column_stack([rows.x, np.ones(len(rows.y))])
    own = rows.y.astype(np.int64)
    loss = whole - scores[np.arange(len(own)), own]
    slope = chance - np.eye(scores.shape[1])[own]
    each, size = design.shape[1], scores.shape[1]
    curvature = np.empty((size, each, size, each))
    for one in range(size):
        for other in range(one, size):
            bend = chance[:, one] * ((one == other) - chance[:, other])
            block = design.T @ (design * bend[:, None])
            curvature[one, :, other] = block
            curvature[other, :, one] = block.T
    width = size * each
    return Terms(
        float(loss.sum()), (slope.T @ design).ravel(), curvature.reshape(width, width)
    )


def _penalty(study: Study, arrays: Arrays) -> Penalty:
    """Return the ridge of every level, and what holds the sum over levels at 0."""
    ridge, count = linear_models.ridge_of(study), len(levels(study))
    held = np.r_[np.where(arrays["scale"] > 0.0, ridge, 1.0), 0.0]
    square = np.kron(np.eye(count), np.diag(held))
    square += np.kron(np.ones((count, count)), np.eye(len(held)))
    return Penalty(square, np.zeros(len(square)))


def _begin(study: Study, found: Found) -> Array:
    """Return no effects, with intercepts that fit how common each level is."""
    counts = level_counts(study, found["describe"].arrays, len(study.variables))
    if counts.max() == counts.sum():
        raise linear_models.alike(study)
    absent = [name for name, n in zip(levels(study), counts, strict=True) if n < 1.0]
    if absent:
        raise StudyError(
            f"nobody who trains has {study.outcome.name} = {absent[0]}",
            likely="a level that no site has, or a cohort that leaves it out",
            fix="take the level out of [outcome]",
        )
    weights = np.zeros((len(counts), _each(study)))
    weights[:, -1] = np.log(counts) - np.log(counts).mean()
    return weights.ravel()


def _read(study: Study, state: State) -> Findings:
    """Return each level against the first: coefficients with errors and tests."""
    arrays, each = state.arrays, _each(study)
    weights = arrays["weights"].reshape(-1, each)
    shared = newton.covariance(arrays).reshape(len(weights), each, len(weights), each)
    first, *others = levels(study)
    found: list[Findings] = []
    for number, level in enumerate(others, start=1):
        own, base, both = (
            np.diag(shared[one, :, other])
            for one, other in ((number, number), (0, 0), (number, 0))
        )
        against = {**arrays, "weights": weights[number] - weights[0]}
        errors = Errors(np.sqrt(np.maximum(own + base - 2 * both, 0.0)))
        lines = linear_models.lines(study, against, errors, ("(intercept)",))
        found += [{**line, "name": f"{line['name']}: {level}"} for line in lines]
    return {
        "coefficients": found,
        "against": first,
        "ridge": linear_models.ridge_of(study),
        "fit": _fit(state),
    }


def _fit(state: State) -> Findings:
    """Return how well the likelihood fits: a level less than there are is free."""
    return coefficients.likelihood(state)


def _show(study: Study, state: State) -> tuple[Sheet, ...]:
    note = f"Coefficients are of each level against {levels(study)[0]}."
    return (coefficients.sheet(_fit(state), note),)


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return the probability of each level [records, levels]."""
    return np.asarray(softmax(_scores(study, arrays, rows.x), axis=1))


def _explain(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return what each column adds to the score of each level, and its intercept last.

    Scores are less their mean over the levels: what all levels gain tells them not
    apart.
    """
    weights = arrays["weights"].reshape(len(levels(study)), _each(study))
    apart = weights - weights.mean(axis=0)
    design = np.column_stack([rows.x, np.ones(len(rows.x))])
    parts: Array = design[:, :, None] * apart.T
    return parts


MULTINOMIAL = Model(
    fit=newton.task(
        Problem(
            name="multinomial",
            width=_width,
            terms=_terms,
            penalty=_penalty,
            begin=_begin,
        ),
        _read,
        _show,
    ),
    carries=lambda study: newton.shown(_width(study), study),
    predict=_predict,
    explain=_explain,
    scale="log odds of this level against the mean of all",
)
