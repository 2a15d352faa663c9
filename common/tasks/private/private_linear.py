"""Linear regression from one noisy sum of squares and products: AdaSSP.

Wang 2018 (UAI), algorithm 2: where the noise may drown the smallest direction of the
Gram, as much is added to all of them as it takes to stand above it. How small it is, is
read from the noisy Gram itself: the true one's least eigenvalue is no sum, and to
release it would cost more. Features are shortened to sqrt(d) and the outcome is
measured from its noisy mean in half ranges, so that no record moves the sums far.
"""

import math

import numpy as np

from common import promise
from common.encoding import Encoding, columns
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.schema import Number
from common.study import Study
from common.task import Findings, Found, Model, Noisy, Rows, Shapes, State, Task, added
from common.tasks import describe
from common.tasks.linear import linear_explained, linear_models, newton
from common.tasks.private import noised
from common.tasks.private.noisy_descent import eta, shortened

WEIGHT = 0.9
"""Share of mu^2 beside describe's."""
GRAM = 0.6
"""Share of that for the products of features; the rest for those with the outcome."""
SURE = 0.05
"""How often the noise may be larger than it is taken to be."""


def shows(study: Study) -> Shapes:
    """Show the encoding, from where and in which unit outcomes count, and the noise."""
    known = linear_models.shows(study)
    encoding = {n: s for n, s in known.items() if n != "weights"}
    return {**encoding, "outcome": (2,), "noise": (1,)}


def release(study: Study) -> Release:
    """Declare the upper triangle of the Gram, and the products with the outcome."""
    width = len(columns(study)) + 1
    upper = (width * (width + 1) // 2,)
    return {
        "gram": Field("sums of products of two columns, weighed", upper, "sum"),
        "products": Field("sums of products with the outcome", (width,), "sum"),
    }


def factors(study: Study) -> tuple[float, float]:
    """Return by what both are multiplied: then no record's row is longer than 1."""
    square = len(columns(study)) + 1.0
    return math.sqrt(GRAM) / square, math.sqrt((1.0 - GRAM) / square)


def each(study: Study, state: State, rows: Rows) -> Array:
    """Return the products of each record, weighed."""
    (middle, half), x = state.arrays["outcome"], shortened(rows.x)
    z = np.column_stack([x, np.ones(len(x))])
    y = ((rows.y - middle) / half).clip(-1.0, 1.0)
    one, other = np.triu_indices(z.shape[1])
    gram, products = factors(study)
    return np.column_stack([z[:, one] * z[:, other] * gram, z * y[:, None] * products])


def start(study: Study, found: Found) -> State:
    """Begin at the noisy mean of the outcome."""
    sums, outcome = found["describe"].arrays, study.outcome
    if not isinstance(outcome, Number):
        raise StudyError("a linear model needs an outcome that is a number")
    half = describe.half(outcome)
    mean, _ = noised.moments(study, sums, len(study.variables))
    middle = describe.middle(outcome) + mean * half
    constants = Encoding.of(sums).arrays()
    unit = {"outcome": np.array([middle, half]), "noise": deviation(study)}
    return State({**constants, **unit})


def deviation(study: Study) -> Array:
    """Return the deviation of the noise in the totals [1]."""
    return np.array([promise.of_share(study, 1.0, noised.paid(study, WEIGHT))])


def finish(study: Study, state: State, total: Summands) -> State:
    """Solve, with as much ridge as the noise asks for beside the study's own."""
    middle, half = state.arrays["outcome"]
    solved, added = solve(study, state, total, linear_models.ridge_of(study))
    weights = half * solved
    weights[-1] += middle
    told = {"weights": weights, "added": np.array([added])}
    return State({**state.arrays, **told}, done=True)


def solve(
    study: Study, state: State, total: Summands, ridge: float
) -> tuple[Array, float]:
    """Return the weights for an outcome from -1 to 1, and the ridge that was added."""
    width, (factor, other) = len(columns(study)) + 1, factors(study)
    gram = newton.symmetric(total["gram"], width) / factor
    least = max(float(np.linalg.eigvalsh(gram)[0]), 0.0)
    more = max(_reach(float(state.arrays["noise"][0]), width) / factor - least, 0.0)
    penalty = np.full(width, ridge)
    penalty[-1] = 0.0
    penalty[:-1] += state.arrays["scale"] <= 0.0  # a column that never varies
    held = gram + np.diag(penalty + max(more, 1e-9))
    solved = np.linalg.solve(held, total["products"] / other)
    return solved.astype(np.float64), more


def _reach(noise: float, width: int) -> float:
    """Return what the *noise* of a Gram is not longer than, in any direction."""
    return noise * math.sqrt(width * math.log(2 * width**2 / SURE))


def read(study: Study, state: State) -> Findings:
    """Return the coefficients; of how far the noise moved them nothing is known."""
    return {
        "coefficients": linear_models.listed(study, state, None),
        "ridge": linear_models.ridge_of(study),
        "ridge_added": float(state.arrays["added"][0]),
    }


PRIVATE_LINEAR = Model(
    fit=Task(
        name="linear",
        rows="train",
        encoded=True,
        shows=shows,
        release=release,
        start=start,
        local=added(each, release),
        finish=finish,
        read=read,
        noisy=Noisy(
            each=each,
            clip=lambda _study: 1.0,
            rounds=lambda _study: 1,
            weight=WEIGHT,
        ),
    ),
    carries=linear_models.shows,
    predict=lambda _study, arrays, rows: eta(arrays["weights"], rows.x),
    explain=linear_explained.explain,
    scale="outcome",
)
