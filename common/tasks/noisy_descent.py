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
from common.task import Findings, Found, Model, Noisy, Rows, Shapes, State, Task, added
from common.tasks import linear_explained, linear_models, newton, noised

MOMENTUM = 0.9
STEPS, FEWEST, MOST = 8, 5, 40
"""Steps when nothing is known of how many people there are; else between these."""

WEIGHT = 0.9
"""Share of mu^2 beside describe's."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Where steps begin: the first intercept, and how steep and bent the loss may be.

    No slope counts as more than ``unit``; ``bend`` is about the largest second
    derivative, by which the length of a step is chosen.
    """

    intercept: float
    bend: float
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of eta = intercept + w.x by its slope(eta, y), and where steps begin.

    ``begin`` reads the study, and the noisy sums of describe.
    """

    name: str
    slope: Callable[[Array, Array], Array]
    begin: Callable[[Study, Summands], Begin]


@dataclass(frozen=True, slots=True)
class Design:
    """The columns of which a model is linear: how many, and those of encoded rows.

    No row of ``of`` is longer than the root of ``width``; ``ridge`` is on each weight.
    """

    width: Callable[[Study], int]
    of: Callable[[Study, Array], Array]
    ridge: Callable[[Study], float]


LINEAR = Design(
    width=lambda study: len(columns(study)),
    of=lambda _study, x: shortened(x),
    ridge=linear_models.ridge_of,
)


def task(loss: Loss, design: Design = LINEAR) -> Task:
    """Return the private task that fits by *loss* what is linear in *design*."""

    def each(study: Study, state: State, rows: Rows) -> Array:
        """Return the slope of each record's loss, intercept last."""
        x, unit = design.of(study, rows.x), state.arrays["unit"]
        slope = loss.slope(eta(state.arrays["weights"], x), rows.y) / unit
        slope = slope.clip(-1.0, 1.0)
        return np.column_stack([x * slope[:, None], slope])

    def release(study: Study) -> Release:
        """Declare the gradient, intercept last."""
        width = design.width(study) + 1
        return {"gradient": Field("sum of the slopes, clipped", (width,), "sum")}

    return Task(
        name=loss.name,
        rows="train",
        encoded=True,
        shows=lambda study: {**carries(study, design), "unit": (1,)},
        release=release,
        start=lambda study, found: _start(loss, design, study, found),
        local=added(each, release),
        finish=lambda study, state, total: _finish(design, study, state, total),
        read=read,
        noisy=Noisy(
            each=each,
            clip=lambda study: _clip(design, study),
            rounds=rounds,
            weight=WEIGHT,
        ),
    )


def carries(study: Study, design: Design = LINEAR) -> Shapes:
    """Show the sites the encoding and the weights, intercept last."""
    return newton.shown(design.width(study) + 1, study)


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


def _clip(design: Design, study: Study) -> float:
    return math.sqrt(design.width(study) + 1)


def eta(weights: Array, x: Array) -> Array:
    """Return intercept + w.x of each record, added up the same way whoever is beside.

    A matrix product would round it by how many records there are. With large numbers
    that cancel out, somebody's coming or going could so change another person's part.
    """
    sloped: Array = (x * weights[:-1]).sum(axis=1) + weights[-1]
    return sloped


def shortened(x: Array) -> Array:
    """Return each record no longer than sqrt(d): what a usual one has.

    Row by row in memory: else sums along a row are rounded by how many rows there are.
    """
    x = np.ascontiguousarray(x)
    length = np.sqrt(np.einsum("ij,ij->i", x, x))
    most = math.sqrt(x.shape[1])
    shorter: Array = x * (most / np.maximum(length, most))[:, None]
    return shorter


def _start(loss: Loss, design: Design, study: Study, found: Found) -> State:
    """Begin at no effect, with the intercept that fits the noisy sums."""
    sums = found["describe"].arrays
    begin, weights = loss.begin(study, sums), np.zeros(design.width(study) + 1)
    weights[-1] = begin.intercept
    return State(
        {
            **Encoding.of(sums).arrays(),
            "weights": weights,
            "unit": np.array([begin.unit]),
        },
        kept={
            "people": np.array([noised.people(study, sums)]),
            "bend": np.array([begin.bend]),
            "steps": np.zeros(1),
            "last": weights,
            "tail": np.zeros_like(weights),
        },
    )


def _finish(design: Design, study: Study, state: State, total: Summands) -> State:
    """Take one step with momentum (Nesterov 1983); end with the mean of the last."""
    kept, shown, last = state.kept, state.arrays["weights"], rounds(study)
    people, number = float(kept["people"][0]), int(kept["steps"][0]) + 1
    penalty = np.full(len(shown), design.ridge(study) / people)
    penalty[-1] = 0.0
    gradient = state.arrays["unit"] * total["gradient"] / people + penalty * shown
    bend = float(kept["bend"][0]) * _clip(design, study) ** 2 / 2
    reached = shown - gradient / (bend + penalty[0])
    late = number > last // 2
    tail = kept["tail"] + reached * late
    if number >= last:
        mean = tail / (last - last // 2)
        return State({**state.arrays, "weights": mean}, done=True)
    ahead = reached + MOMENTUM * (reached - kept["last"])
    kept = {**kept, "steps": np.array([float(number)]), "last": reached, "tail": tail}
    return State({**state.arrays, "weights": ahead}, kept=kept)


def _logistic(study: Study, sums: Summands) -> Begin:
    share = noised.share(study, sums, len(study.variables), 1)
    return Begin(_logit(share), bend=0.25)


def _logit(share: float) -> float:
    inside = min(max(share, 0.05), 0.95)
    return math.log(inside / (1.0 - inside))


PRIVATE_LOGISTIC = Model(
    fit=task(Loss("logistic", lambda eta, y: expit(eta) - y, _logistic)),
    carries=carries,
    predict=lambda _study, arrays, rows: np.asarray(
        expit(eta(arrays["weights"], rows.x)), dtype=np.float64
    ),
    explain=linear_explained.explain,
    scale="log odds",
)
