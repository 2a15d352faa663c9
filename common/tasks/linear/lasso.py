"""The lowest point of a quadratic model with an l1 penalty, weight by weight.

Coordinate descent with soft thresholds (Friedman, Hastie & Tibshirani 2010, section 2):
the server does it alone on summed matrices, so an elastic net costs no more rounds than
a ridge (proximal Newton; Lee, Sun & Saunders 2014).
"""

import numpy as np

from common.release import Array

SWEEPS, SETTLED = 10_000, 1e-13


def lowest(matrix: Array, gradient: Array, weights: Array, l1: Array) -> Array:
    """Return the v that is lowest in g'd + d'Md/2 + sum of l1 * |v|, d = v - weights.

    *matrix* is M [w, w] and *gradient* g [w] at *weights*. Raises LinAlgError where a
    weight has no curvature, or the sweeps do not settle.
    """
    if (np.diag(matrix) <= 0.0).any():
        raise np.linalg.LinAlgError
    found, slope = weights.copy(), gradient.copy()
    for _ in range(SWEEPS):
        largest = 0.0
        for index, bend in enumerate(np.diag(matrix)):
            aim = found[index] - slope[index] / bend
            moved = np.sign(aim) * max(abs(aim) - l1[index] / bend, 0.0) - found[index]
            if moved:
                found[index] += moved
                slope += moved * matrix[index]
                largest = max(largest, abs(moved))
        if largest <= SETTLED * max(1.0, np.abs(found).max()):
            return found
    raise np.linalg.LinAlgError
