"""Proportional hazards, each hospital with a baseline of its own (Cox 1972).

Stratified by hospital, a person is compared with people of the same hospital only. So a
hospital adds up its own partial likelihood with its derivatives, and no risk set ever
leaves: Newton's method on these sums gives what pooled rows would, the hospitals being
strata. Ties by Efron (1977).

What the model predicts is the log of the hazard against a person of average values.
"""

import numpy as np

from common.arithmetic import follow_up
from common.arithmetic.intervals import Z
from common.encoding import columns
from common.errors import StudyError
from common.release import Array
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Model, Rows, State
from common.tasks.describe import level_counts
from common.tasks.linear import coefficients, linear_models, newton
from common.tasks.linear.coefficients import Errors
from common.tasks.linear.newton import Arrays, Penalty, Problem, Terms


def _width(study: Study) -> int:
    return len(columns(study))


def _terms(study: Study, arrays: Arrays, rows: Rows) -> Terms:
    """Return the terms of each hospital in *rows*: at a hospital there is one."""
    width = _width(study)
    loss, gradient, curvature = 0.0, np.zeros(width), np.zeros((width, width))
    for site in np.unique(rows.site):
        here = rows.site == site
        terms = _stratum(rows.x[here], rows.y[here], arrays["weights"])
        loss += terms.loss
        gradient += terms.gradient
        curvature += terms.curvature
    return Terms(loss, gradient, curvature)


def _stratum(x: Array, y: Array, weights: Array) -> Terms:
    """Return minus the log partial likelihood of one hospital, and its derivatives.

    Of the d people with the event in an interval the l-th is compared with the risk set
    less l/d of them. With a = 1 / (what is left), curvature = X'diag(c)X - M'M: c sums
    a over what a person was at risk for, and a row of M is a mean of x at one event.
    """
    place, came = follow_up.interval(y), follow_up.came(y)
    eta = x @ weights
    largest = eta.max()
    risk = np.exp(eta - largest)  # a factor common to all risks cancels out
    count = int(place.max()) + 1
    at_risk, dying = _totals(place, risk, count), _at(place, risk * came, count)
    events = np.bincount(place[came], minlength=count)
    which = np.repeat(np.arange(count), events)
    share = _order(events) / np.maximum(events[which], 1)
    left = 1.0 / (at_risk[which] - share * dying[which])
    whole = np.cumsum(np.bincount(which, left, minlength=count))
    part = np.bincount(which, left * share, minlength=count)
    held = risk * (whole[place] - came * part[place])
    weighted = x * risk[:, None]
    means = _totals(place, weighted, count)[which]
    means -= share[:, None] * _at(place, weighted * came[:, None], count)[which]
    means *= left[:, None]
    loss = -np.log(left).sum() + largest * len(which) - eta[came].sum()
    gradient = held @ x - x[came].sum(axis=0)
    curvature = x.T @ (x * held[:, None]) - means.T @ means
    return Terms(float(loss), gradient, curvature)


def _at(place: follow_up.Places, values: Array, count: int) -> Array:
    """Return the sums of *values* by interval [count, ...]."""
    found = np.zeros((count, *values.shape[1:]))
    np.add.at(found, place, values)
    return found


def _totals(place: follow_up.Places, values: Array, count: int) -> Array:
    """Return the sums over all who were watched until an interval or later."""
    return np.cumsum(_at(place, values, count)[::-1], axis=0)[::-1]


def _order(events: follow_up.Places) -> Array:
    """Return 0, 1, 2, … for the events of each interval."""
    first = np.repeat(np.cumsum(events) - events, events)
    return np.arange(events.sum()) - first


def _penalty(study: Study, arrays: Arrays) -> Penalty:
    ridge = linear_models.ridge_of(study)
    held = np.where(arrays["scale"] > 0.0, ridge, 1.0)
    return Penalty(np.diag(held), np.zeros(len(held)))


def _begin(study: Study, found: Found) -> Array:
    counts = level_counts(study, found["describe"].arrays, len(study.variables))
    if not counts[1::2].any():
        raise StudyError(
            f"nobody who trains had the event of {study.outcome.name}",
            likely="the mapping of who had it, or a grid that ends before it comes",
            fix="consilium client check   at each site shows the counts",
        )
    return np.zeros(_width(study))


def _read(study: Study, state: State) -> Findings:
    """Return the log hazard ratios per standard deviation and per unit, and the fit."""
    variances = np.diag(newton.covariance(state.arrays))
    errors = Errors(np.sqrt(np.maximum(variances, 0.0)))
    return {
        "coefficients": linear_models.lines(study, state.arrays, errors, ()),
        "ridge": linear_models.ridge_of(study),
        "fit": coefficients.likelihood(state),
    }


def _show(study: Study, state: State) -> tuple[Sheet, ...]:
    del study
    note = "Of the partial likelihood; each hospital has a baseline hazard of its own."
    return (coefficients.sheet(coefficients.likelihood(state), note),)


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    del study
    said: Array = rows.x @ arrays["weights"]
    return said


def _explain(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return what each column adds to the log hazard; nothing is everybody's."""
    del study
    return np.column_stack([rows.x * arrays["weights"], np.zeros(len(rows.x))])


def _interval(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return the ends of the interval of each log hazard, against average values.

    NaN where errors are withheld.
    """
    if "curvature" not in arrays:
        return np.full((len(rows.x), 2), np.nan)
    covariance = newton.covariance(arrays)
    variance = np.einsum("ij,ij->i", rows.x @ covariance, rows.x)
    half = Z * np.sqrt(variance.clip(0.0))
    middle = _predict(study, arrays, rows)
    return np.column_stack([middle - half, middle + half])


COX = Model(
    fit=newton.task(
        Problem(
            name="cox",
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
    scale="log hazard ratio",
    interval=_interval,
)
