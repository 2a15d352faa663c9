"""Newton's method on sums: one driver for every model that minimises a smooth loss.

A site sends the loss, gradient and curvature of its people at the weights it was shown.
Their sum is what pooled rows would give, so each step is the pooled step. A step that
makes things worse is halved, and the loss to know that comes with the same message.
With an l1 penalty a step minimises the same quadratic model
(``common.tasks.linear.lasso``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from common.encoding import Encoding, shapes
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.study import Study
from common.task import Found, Read, Rows, Shapes, Show, State, Task
from common.tasks.linear import lasso
from common.written.slips import of_key

TOLERANCE = 1e-8
"""Stop when no weight moves by more than this, relative to the largest weight or 1."""

Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Terms:
    """What some people add: loss, gradient [weights], curvature [weights, weights]."""

    loss: float
    gradient: Array
    curvature: Array


@dataclass(frozen=True, slots=True)
class Penalty:
    """w'Aw/2 + l1.|w|: ``square`` is A [weights, weights] and ``l1`` is [weights]."""

    square: Array
    l1: Array

    def at(self, weights: Array) -> float:
        """Return the penalty of *weights*."""
        return float(weights @ self.square @ weights / 2 + self.l1 @ np.abs(weights))


@dataclass(frozen=True, slots=True)
class Problem:
    """What is minimised, and where to begin.

    ``width(study)`` is the number of weights; ``terms(study, arrays, rows)`` is what
    the people in *rows* add at ``arrays["weights"]``; ``penalty(study, arrays)`` is
    added once; ``begin(study, found)`` are the first weights, without effects.
    ``release`` declares what :func:`declared` does, in words of its own if it is given.
    """

    name: str
    width: Callable[[Study], int]
    terms: Callable[[Study, Arrays, Rows], Terms]
    penalty: Callable[[Study, Arrays], Penalty]
    begin: Callable[[Study, Found], Array]
    release: Callable[[Study], Release] | None = None


def task(problem: Problem, read: Read, show: Show = lambda *_: ()) -> Task:
    """Return the task that solves *problem*."""
    return Task(
        name=problem.name,
        rows="train",
        encoded=True,
        shows=lambda study: shown(problem.width(study), study),
        release=problem.release or (lambda study: declared(problem.width(study))),
        start=lambda study, found: _start(problem, study, found),
        local=lambda study, state, rows: _local(problem, study, state, rows),
        finish=lambda study, state, total: _finish(problem, study, state, total),
        read=read,
        show=show,
    )


def shown(width: int, study: Study) -> Shapes:
    """Show the sites the encoding and *width* weights."""
    return {**shapes(study), "weights": (width,)}


def declared(width: int, note: str = "") -> Release:
    """Declare loss, gradient and upper triangle of the curvature; *note* is added."""
    triangle = (width * (width + 1) // 2,)
    return {
        "loss": Field("sum of the losses", (1,), "sum"),
        "gradient": Field(f"sum of the slopes{note}", (width,), "sum"),
        "curvature": Field(f"sum of the curvatures{note}", triangle, "sum"),
    }


def upper(matrix: Array) -> Array:
    """Return the upper triangle of a square matrix, row by row."""
    triangle: Array = matrix[np.triu_indices(len(matrix))]
    return triangle


def symmetric(triangle: Array, width: int) -> Array:
    """Undo :func:`upper` of a symmetric matrix [width, width]."""
    matrix: Array = np.zeros((width, width))
    matrix[np.triu_indices(width)] = triangle
    return matrix + np.triu(matrix, 1).T


def _start(problem: Problem, study: Study, found: Found) -> State:
    """Begin at no effect, by the constants of describe."""
    described = found["describe"].arrays
    weights = problem.begin(study, found)
    return State(
        {**Encoding.of(described).arrays(), "weights": weights},
        kept={
            "best": weights,
            "objective": np.array([np.inf]),
            "losses": np.full(2, np.nan),
            "records": described["records"],
        },
    )


def _local(problem: Problem, study: Study, state: State, rows: Rows) -> Summands:
    terms = problem.terms(study, state.arrays, rows)
    return {
        "loss": np.array([terms.loss]),
        "gradient": terms.gradient,
        "curvature": upper(terms.curvature),
    }


def _finish(problem: Problem, study: Study, state: State, total: Summands) -> State:
    """Take the Newton step from the weights that the sum was taken at, or halve it."""
    arrays, kept, weights = state.arrays, state.kept, state.arrays["weights"]
    penalty = problem.penalty(study, arrays)
    objective = total["loss"][0] + penalty.at(weights)
    slack = 1e-10 * (1.0 + abs(objective))
    if objective > kept["objective"][0] + slack:
        halfway = (kept["best"] + weights) / 2
        return State({**arrays, "weights": halfway}, kept=kept)
    null = kept["losses"][0] if np.isfinite(kept["objective"][0]) else total["loss"][0]
    losses = np.array([null, total["loss"][0]])
    step = _step(problem, penalty, total, weights)
    moved = {**arrays, "weights": weights + step}
    if np.abs(step).max() <= TOLERANCE * max(1.0, np.abs(weights).max()):
        bent = {"curvature": total["curvature"], "square": penalty.square}
        told = {"l1": penalty.l1, "losses": losses, "records": kept["records"]}
        return State({**moved, **bent, **told}, done=True)
    told = {"objective": np.array([objective]), "losses": losses}
    return State(moved, kept={**kept, **told, "best": weights})


def _step(problem: Problem, penalty: Penalty, total: Summands, weights: Array) -> Array:
    """Return the step to the lowest point of the quadratic model at *weights*."""
    matrix = symmetric(total["curvature"], len(weights)) + penalty.square
    gradient = total["gradient"] + penalty.square @ weights
    try:
        if penalty.l1.any():
            return lasso.lowest(matrix, gradient, weights, penalty.l1) - weights
        return np.asarray(-np.linalg.solve(matrix, gradient), dtype=np.float64)
    except np.linalg.LinAlgError:
        where = part(problem.name)
        end = StudyError(
            f"the {problem.name} model has no unique solution",
            likely="a variable repeats others or separates the outcome; ridge is 0",
            fix=f"in [{where}]:   ridge = 1.0",
        )
        raise of_key(f"{where}.ridge", end) from None


def part(name: str) -> str:
    """Return the part of the study that says the ridge of the task of that *name*."""
    effect = name.startswith("treatment_")
    return "analysis.treatment_effect" if effect else "model"


def covariance(arrays: Arrays) -> Array:
    """Return A^-1 H A^-1 of a solution, A = H + penalty.

    The covariance of a ridge estimate (le Cessie & van Houwelingen 1992, section 3);
    without ridge it is the usual inverse information.
    """
    curvature = symmetric(arrays["curvature"], len(arrays["weights"]))
    inverse = np.linalg.inv(curvature + arrays["square"])
    found: Array = inverse @ curvature @ inverse
    return found


def effective(arrays: Arrays) -> float:
    """Return the effective number of weights of a solution: the trace of A^-1 H.

    With an l1 penalty the weights that are not 0 count (Zou, Hastie & Tibshirani 2007).
    """
    curvature = symmetric(arrays["curvature"], len(arrays["weights"]))
    free = np.diag(curvature) > 0.0
    if arrays["l1"].any():
        return float(np.count_nonzero(arrays["weights"][free]))
    solved = np.linalg.solve(curvature + arrays["square"], curvature)
    return float(np.trace(solved))
