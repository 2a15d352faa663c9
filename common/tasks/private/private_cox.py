"""Proportional hazards under a promise: noisy descent on hazards by interval.

A partial likelihood compares people, so that one person is in the parts of all others,
and no part is bounded. Here every interval of the declared grid has a hazard of its
own, one for all sites, and whoever is watched through it or has the event in it adds
a slope: with m = e^(a_j + w.x), m without the event and -m/(e^m - 1) with it. That is
the likelihood of proportional hazards seen by interval (Prentice & Gloeckler 1978,
section 2), so w are the same log hazard ratios as Cox's. What a person is in excess of
no hazard, over all intervals, counts as FAR at most: then nobody moves the sum of the
slopes by more than FAR sqrt(d + 1).
"""

import math
from dataclasses import replace

import numpy as np
from scipy.special import exprel

from common import promise
from common.arithmetic import follow_up
from common.encoding import columns
from common.errors import StudyError
from common.release import Array, Summands
from common.schema import Survival
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Model, Rows, State
from common.tasks.describe import level_counts
from common.tasks.linear import cox, linear_models
from common.tasks.linear.coefficients import Errors
from common.tasks.linear.newton import Arrays
from common.tasks.private import descent, noised
from common.tasks.private.descent import Course, Descent
from common.tasks.private.noisy_descent import eta, shortened

FAR = 2.0
"""So many events a person counts for who was expected to have had more of them."""
LARGEST = 30.0
"""A log hazard beyond this is certain to come, and its exponential is finite."""
LEAST, MOST = 1e-4, 0.95
"""Between these a hazard of an interval is taken to be where steps begin."""
OPEN = 0.25
"""The variance of what describe leaves open of the log of a hazard."""


def intervals(study: Study) -> int:
    """Return how many intervals there are; raise StudyError for another outcome."""
    if not isinstance(study.outcome, Survival):
        raise StudyError(f"cox needs a survival outcome, not {study.outcome.name}")
    return len(study.outcome.grid)


def slopes(study: Study, weights: Array, x: Array, outcome: Array) -> Array:
    """Return each record's slope by interval [records, intervals], in units of FAR.

    All of them together are 1 long at most, and so is their sum.
    """
    inside = len(columns(study))
    linear = eta(np.r_[weights[:inside], 0.0], x)
    rate = np.exp(np.minimum(linear[:, None] + weights[inside:], LARGEST))
    last, came = follow_up.interval(outcome), follow_up.came(outcome)
    each = np.arange(intervals(study))
    watched, event = each <= last[:, None], (each == last[:, None]) & came[:, None]
    slope = np.where(event, -1.0 / exprel(rate), np.where(watched, rate, 0.0)) / FAR
    far = np.maximum(np.abs(slope.sum(axis=1)), np.sqrt((slope**2).sum(axis=1)))
    shorter: Array = slope / np.maximum(far, 1.0)[:, None]
    return shorter


def _each(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return the slope of each record by column, and by interval last."""
    x = shortened(rows.x)
    slope = slopes(study, arrays["weights"], x, rows.y)
    return np.column_stack([x * slope.sum(axis=1)[:, None], slope])


def _width(study: Study) -> int:
    return len(columns(study)) + intervals(study)


def _clip(study: Study) -> float:
    return math.sqrt(len(columns(study)) + 1)


def _begin(study: Study, sums: Summands) -> Course:
    """Begin at no effect, with the hazards that the noisy counts of describe say.

    A hazard of which they say little is moved little by the steps, too.
    """
    people, inside = noised.people(study, sums), len(columns(study))
    events, hazard = _hazards(study, sums)
    share = np.maximum(events / people, LEAST)
    steps = noised.paid(study, descent.WEIGHT) / descent.rounds(study)
    noise = FAR * promise.of_share(study, _clip(study), steps) / people
    bend = share.sum() * (inside + 1) / 2
    bends = 2.0 * share + noise**2 / (OPEN * share)
    return Course(
        weights=np.r_[np.zeros(inside), np.log(-np.log1p(-hazard))],
        bend=np.r_[np.full(inside, bend), bends],
        unit=FAR,
    )


def _hazards(study: Study, sums: Summands) -> tuple[Array, Array]:
    """Return about how many events each interval has, and the chance of one in it.

    Leaning on the chance in any interval, as far as both may be the noise.
    """
    counts = level_counts(study, sums, len(study.variables)).clip(0.0)
    seen, events = counts[::2] + counts[1::2], counts[1::2]
    watched = np.cumsum(seen[::-1])[::-1]
    usual = events.sum() / max(watched.sum(), 1.0)
    noise = noised.deviation(study, "levels")
    chance = (events + noise * usual) / np.maximum(watched + noise, 1.0)
    hazard = chance.clip(LEAST, MOST)
    return hazard * np.maximum(watched, 1.0), hazard


def _ridge(study: Study) -> Array:
    each: Array = np.zeros(_width(study))
    each[: len(columns(study))] = linear_models.ridge_of(study)
    return each


STEPS = descent.task(
    Descent(
        name="cox",
        width=_width,
        each=_each,
        clip=_clip,
        ridge=_ridge,
        begin=_begin,
    ),
    lambda _study, _state: {},
)


def _finish(study: Study, state: State, total: Summands) -> State:
    """Take a step; end with the weights of the columns, and the hazards beside them."""
    after, inside = STEPS.finish(study, state, total), len(columns(study))
    if not after.done:
        return after
    weights = after.arrays["weights"]
    apart = {"weights": weights[:inside], "baseline": weights[inside:]}
    return replace(after, arrays={**after.arrays, **apart})


def _read(study: Study, state: State) -> Findings:
    """Return the log hazard ratios; of how far the noise moved them nothing is known.

    And the chance of the event in each interval for somebody of average values.
    """
    errors = Errors.unknown(len(columns(study)))
    hazard = -np.expm1(-np.exp(np.minimum(state.arrays["baseline"], LARGEST)))
    return {
        "coefficients": linear_models.lines(study, state.arrays, errors, ()),
        "ridge": linear_models.ridge_of(study),
        "baseline": [
            {"until": end, "hazard": float(chance)}
            for end, chance in zip(_grid(study), hazard, strict=True)
        ],
    }


def _grid(study: Study) -> tuple[float, ...]:
    return study.outcome.grid if isinstance(study.outcome, Survival) else ()


def _show(study: Study, state: State) -> tuple[Sheet, ...]:
    found, unit = _read(study, state)["baseline"], getattr(study.outcome, "unit", "")
    rows = tuple(
        (f"{line['until']:g}", line["hazard"])
        for line in (found if isinstance(found, list) else [])
    )
    note = (
        "Of somebody of average values, who was free of it before; one baseline for "
        "all hospitals, where an exact study has one for each."
    )
    heads = (f"until, {unit}", "chance of the event")
    return (Sheet("The hazard of each interval", heads, rows, (note,)),)


def _predict(study: Study, arrays: Arrays, rows: Rows) -> Array:
    """Return the log of the hazard against average values, as the exact model does.

    Added up row by row: a matrix product would round it by who stands beside.
    """
    del study
    return eta(np.r_[arrays["weights"], 0.0], rows.x)


PRIVATE_COX = Model(
    fit=replace(STEPS, finish=_finish, read=_read, show=_show),
    carries=cox.COX.carries,
    predict=_predict,
    explain=cox.COX.explain,
    scale=cox.COX.scale,
)
