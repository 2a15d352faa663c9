"""A linear model by noisy gradient descent: full batches, clipped features, momentum.

With the features of a person shortened to sqrt(d) and a loss whose slope is 1 at most,
nobody moves the summed gradient by more than sqrt(d + 1): no gradient needs clipping,
and the problem stays convex. How many steps, how long and how far is fixed before: by
the study, and by a count of people that has noise itself. The model is the mean of the
last half of the steps (Polyak & Juditsky 1992), which averages the noise away.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from common import promise
from common.encoding import Encoding, columns
from common.privacy import mu_of
from common.release import Array, Field, Release, Summands
from common.study import Study
from common.task import Findings, Found, Model, Noisy, Rows, State, Task, added
from common.tasks import linear_explained, linear_models, noised

MOMENTUM = 0.9
STEPS, FEWEST, MOST = 8, 5, 40
"""Steps when nothing is known of how many people there are; else between these."""

WEIGHT = 0.9
"""Share of mu^2 beside describe's."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of eta = intercept + w.x by its slope, which stays within -1 and 1.

    ``bend`` is the largest second derivative, ``link`` the first intercept by the share
    of people with the outcome.
    """

    name: str
    slope: Callable[[Array, Array], Array]
    bend: float
    link: Callable[[float], float]


def task(loss: Loss) -> Task:
    """Return the private task that fits a linear model by *loss*."""

    def each(study: Study, state: State, rows: Rows) -> Array:
        """Return the slope of each record's loss, intercept last."""
        del study
        weights, x = state.arrays["weights"], shortened(rows.x)
        slope = loss.slope(eta(weights, x), rows.y).clip(-1.0, 1.0)
        return np.column_stack([x * slope[:, None], slope])

    return Task(
        name=loss.name,
        rows="train",
        encoded=True,
        shows=linear_models.shows,
        release=release,
        start=lambda study, found: _start(loss, study, found),
        local=added(each, release),
        finish=lambda study, state, total: _finish(loss, study, state, total),
        read=read,
        noisy=Noisy(each=each, clip=_clip, rounds=rounds, weight=WEIGHT),
    )


def release(study: Study) -> Release:
    """Declare the gradient, intercept last."""
    width = len(columns(study)) + 1
    return {"gradient": Field("sum of the slopes, clipped", (width,), "sum")}


def rounds(study: Study) -> int:
    """Return how many steps are taken: from the study alone, whatever the data say.

    Few people or much noise allow few steps: mu * people / (6 * sqrt(d)) of them, for
    each of them has more noise the more there are.
    """
    kept, steps = promise.of(study), STEPS
    if kept.expected_people:
        noise = promise.in_total(study, 1.0 / mu_of(kept.epsilon, kept.delta))
        told = kept.expected_people / (6 * noise * math.sqrt(len(columns(study))))
        steps = min(max(round(told), FEWEST), MOST)
    return min(steps, study.rounds.maximum)


def read(study: Study, state: State) -> Findings:
    """Return the coefficients; of how far the noise moved them nothing is known."""
    return {
        "coefficients": linear_models.listed(study, state, None),
        "ridge": linear_models.ridge_of(study),
    }


def _clip(study: Study) -> float:
    return math.sqrt(len(columns(study)) + 1)


def eta(weights: Array, x: Array) -> Array:
    """Return intercept + w.x of each record, added up the same way whoever is beside.

    A matrix product would round it by how many records there are. With large numbers
    that cancel out, somebody's coming or going could so change another person's part.
    """
    sloped: Array = (x * weights[:-1]).sum(axis=1) + weights[-1]
    return sloped


def shortened(x: Array) -> Array:
    """Return each record no longer than sqrt(d): what a usual one has."""
    length = np.sqrt(np.einsum("ij,ij->i", x, x))
    most = math.sqrt(x.shape[1])
    shorter: Array = x * (most / np.maximum(length, most))[:, None]
    return shorter


def _start(loss: Loss, study: Study, found: Found) -> State:
    """Begin at no effect, with the intercept that fits the noisy share."""
    sums = found["describe"].arrays
    weights = np.zeros(len(columns(study)) + 1)
    weights[-1] = loss.link(noised.share(study, sums, len(study.variables), 1))
    return State(
        {**Encoding.of(sums).arrays(), "weights": weights},
        kept={
            "people": np.array([noised.people(study, sums)]),
            "steps": np.zeros(1),
            "last": weights,
            "tail": np.zeros_like(weights),
        },
    )


def _finish(loss: Loss, study: Study, state: State, total: Summands) -> State:
    """Take one step with momentum (Nesterov 1983); end with the mean of the last."""
    kept, shown, last = state.kept, state.arrays["weights"], rounds(study)
    people, number = float(kept["people"][0]), int(kept["steps"][0]) + 1
    penalty = np.full(len(shown), linear_models.ridge_of(study) / people)
    penalty[-1] = 0.0
    gradient = total["gradient"] / people + penalty * shown
    reached = shown - gradient / (loss.bend * _clip(study) ** 2 / 2 + penalty[0])
    late = number > last // 2
    tail = kept["tail"] + reached * late
    if number >= last:
        mean = tail / (last - last // 2)
        return State({**state.arrays, "weights": mean}, done=True)
    ahead = reached + MOMENTUM * (reached - kept["last"])
    kept = {**kept, "steps": np.array([float(number)]), "last": reached, "tail": tail}
    return State({**state.arrays, "weights": ahead}, kept=kept)


def _logit(share: float) -> float:
    inside = min(max(share, 0.05), 0.95)
    return math.log(inside / (1.0 - inside))


PRIVATE_LOGISTIC = Model(
    fit=task(
        Loss("logistic", slope=lambda eta, y: expit(eta) - y, bend=0.25, link=_logit)
    ),
    carries=linear_models.shows,
    predict=lambda _study, arrays, rows: np.asarray(
        expit(eta(arrays["weights"], rows.x)), dtype=np.float64
    ),
    explain=linear_explained.explain,
    scale="log odds",
)
