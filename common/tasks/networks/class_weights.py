"""A rare outcome heard as loudly as a common one: weights in a network's loss.

A record's loss is multiplied by 1/2 over the declared prevalence of its class, a number
of the study and not of its records. Its gradient grows as much and is then clipped: a
person's part is as short as without weights, and a promise costs the same.
"""

from collections.abc import Callable

import numpy as np

from common import large_arrays
from common.release import Array
from common.sections.networks import Training
from common.task import Rows

Gradient = Callable[[Array, Rows, Array], tuple[Array, Array]]
"""Returns the sum of gradients of rows, each clipped to its bound, and of losses."""


def of(training: Training) -> tuple[float, float]:
    """Return the weights of a record without and with the outcome."""
    if training.prevalence is None:
        return 1.0, 1.0
    return 0.5 / (1.0 - training.prevalence), 0.5 / training.prevalence


def weighed(training: Training, gradient: Gradient) -> Gradient:
    """Return *gradient* of the weighed loss, each record's clipped after its weight.

    To clip w times a gradient to a bound is to clip the gradient to the bound over w,
    and to take it w times: the formulas of the layers need not know.
    """
    if training.prevalence is None:
        return gradient

    def both(parameters: Array, rows: Rows, bounds: Array) -> tuple[Array, Array]:
        total, losses = large_arrays.zeros(len(parameters)), np.zeros(1)
        for side, weight in enumerate(of(training)):
            some = rows.y == side
            sums = gradient(parameters, rows.take(some), bounds[some] / weight)
            for part in large_arrays.passing(total, sums[0]):
                total[part] += weight * sums[0][part]
            losses += weight * sums[1]
        return total, losses

    return both


def heard(training: Training, share: float) -> float:
    """Return what *share* of the weight those with the outcome have."""
    without, having = of(training)
    return share * having / (share * having + (1.0 - share) * without)
