"""A linear model by noisy gradient descent: clipped features, a slope of 1 at most.

With the features of a person shortened to sqrt(d) and a loss whose slope is 1 at most,
nobody moves the summed gradient by more than sqrt(d + 1): no gradient needs clipping,
and the problem stays convex.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from common.encoding import columns
from common.release import Array, Summands
from common.study import Study
from common.task import Findings, Model, Rows, Shapes, State, Task
from common.tasks.linear import linear_explained, linear_models, newton
from common.tasks.linear.newton import Arrays
from common.tasks.private import descent, noised
from common.tasks.private.descent import Course, Descent


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

    def each(study: Study, arrays: Arrays, rows: Rows) -> Array:
        """Return the slope of each record's loss, intercept last."""
        x = design.of(study, rows.x)
        slope = loss.slope(eta(arrays["weights"], x), rows.y) / arrays["unit"]
        slope = slope.clip(-1.0, 1.0)
        return np.column_stack([x * slope[:, None], slope])

    def begin(study: Study, sums: Summands) -> Course:
        """Begin at no effect, with the intercept that fits the noisy sums."""
        first, weights = loss.begin(study, sums), np.zeros(design.width(study) + 1)
        weights[-1] = first.intercept
        bend = first.bend * (design.width(study) + 1) / 2
        return Course(weights, np.array([bend]), first.unit)

    def ridge(study: Study) -> Array:
        each: Array = np.full(design.width(study) + 1, design.ridge(study))
        each[-1] = 0.0
        return each

    return descent.task(
        Descent(
            name=loss.name,
            width=lambda study: design.width(study) + 1,
            each=each,
            clip=lambda study: math.sqrt(design.width(study) + 1),
            ridge=ridge,
            begin=begin,
        ),
        read,
    )


def carries(study: Study, design: Design = LINEAR) -> Shapes:
    """Show the sites the encoding and the weights, intercept last."""
    return newton.shown(design.width(study) + 1, study)


def read(study: Study, state: State) -> Findings:
    """Return the coefficients; of how far the noise moved them nothing is known."""
    return {
        "coefficients": linear_models.listed(study, state, None),
        "ridge": linear_models.ridge_of(study),
    }


def eta(weights: Array, x: Array) -> Array:
    """Return intercept + w.x of each record, added up the same way whoever is beside.

    A matrix product would round it by how many records there are. With large numbers
    that cancel out, somebody's coming or going could so change another person's part.
    """
    rows = np.ascontiguousarray(x)  # numpy adds up in the order of memory
    sloped: Array = (rows * weights[:-1]).sum(axis=1) + weights[-1]
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
