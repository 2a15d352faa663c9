"""Linear regression from one sum of squares and products, with all its inference.

The second round of two: describe gives the scales, and then the Gram of standardised
columns and outcome is so well conditioned that its solution is that of pooled rows to
ten digits. The same sums give standard errors, R², F and AIC (Draper & Smith 1998,
chapters 5 and 6). Ridge is ``alpha`` of scikit-learn over standardised columns.
"""

import math

import numpy as np
from scipy import stats

from common.encoding import Encoding, columns
from common.errors import StudyError
from common.release import Array, Field, Release, Summands
from common.sheet import Sheet
from common.study import Study
from common.task import Findings, Found, Model, Rows, Shapes, State, Task
from common.tasks.describe import middle
from common.tasks.linear import (
    coefficients,
    intercepts,
    lasso,
    linear_explained,
    linear_models,
    newton,
)
from common.tasks.linear.coefficients import Errors

MOMENTS = ("total", "square")

ROUNDING = 1e-15
"""A share of the variation so small is rounding: the line fits everyone exactly."""


def shows(study: Study) -> Shapes:
    """Show the sites the encoding, and mean and deviation of the outcome."""
    constants = linear_models.shows(study)
    return {**{n: s for n, s in constants.items() if n != "weights"}, "outcome": (2,)}


def release(study: Study) -> Release:
    """Declare the upper triangle of the Gram: columns, intercepts, outcome."""
    size = intercepts.width(study) + 1
    what = "sums of products of two columns, the outcome as one"
    what += intercepts.note(study)
    return {"gram": Field(what, (size * (size + 1) // 2,), "sum")}


def start(study: Study, found: Found) -> State:
    """Begin with the scales that describe found."""
    described = found["describe"].arrays
    linear_models.varied(study, found["describe"])
    present = described["present"][-1]
    first, second = (float(described[name][-1] / present) for name in MOMENTS)
    spread = math.sqrt(max(second - first * first, 0.0))
    if study.outcome.kind != "number" or not spread:
        raise linear_models.alike(study)
    outcome = np.array([middle(study.outcome) + first, spread])
    encoding = Encoding.of(described).arrays()
    return State({**encoding, "outcome": outcome}, kept={"records": np.r_[present]})


def local(study: Study, state: State, rows: Rows) -> Summands:
    """Add up products over *rows*, the outcome standardised as the columns are."""
    mean, spread = state.arrays["outcome"]
    ones = intercepts.of(study, rows)
    side = np.column_stack([ones, (rows.y - mean) / spread])
    inside = rows.x.shape[1]
    gram = np.empty((inside + side.shape[1],) * 2)
    gram[:inside, :inside] = rows.x.T @ rows.x
    gram[:inside, inside:] = rows.x.T @ side
    gram[inside:, :inside] = gram[:inside, inside:].T
    gram[inside:, inside:] = side.T @ side
    return {"gram": newton.upper(gram)}


def finish(study: Study, state: State, total: Summands) -> State:
    """Solve for the weights, in units of the outcome per deviation of a column."""
    arrays, (mean, spread) = state.arrays, state.arrays["outcome"]
    gram = newton.symmetric(total["gram"], intercepts.width(study) + 1)
    penalty = linear_models.penalty(study, arrays)
    matrix, products = gram[:-1, :-1] + penalty.square, gram[:-1, -1]
    try:
        if penalty.l1.any():
            zero = np.zeros(len(products))
            solved = lasso.lowest(matrix, -products, zero, penalty.l1 / spread)
        else:
            solved = np.asarray(np.linalg.solve(matrix, products), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise StudyError(
            "the linear regression has no unique solution",
            likely="a variable repeats others; ridge is 0",
            fix="in [model]:   ridge = 1.0",
        ) from None
    left = gram[-1, -1] - 2 * solved @ products + solved @ gram[:-1, :-1] @ solved
    sides = gram[len(columns(study)) : -1, -1].sum()
    varied = gram[-1, -1] - sides**2 / state.kept["records"][0]
    weights = solved * spread
    weights[len(columns(study)) :] += mean
    found = {
        **arrays,
        "weights": weights,
        "curvature": newton.upper(gram[:-1, :-1]),
        "square": penalty.square,
        "l1": penalty.l1,
        "residual": np.array([max(left, ROUNDING * varied) * spread**2]),
        "varied": np.array([varied * spread**2]),
        "records": state.kept["records"],
    }
    return State(found, done=True)


def read(study: Study, state: State) -> Findings:
    """Return the coefficients with t-tests, and the fit as statsmodels gives it."""
    ends = intercepts.names(study)
    return {
        "coefficients": linear_models.lines(study, state.arrays, _errors(state), ends),
        "ridge": linear_models.ridge_of(study),
        "fit": _fit(state),
    }


def show(study: Study, state: State) -> tuple[Sheet, ...]:
    """Show how well the line fits."""
    del study
    return (coefficients.sheet(_fit(state)),)


def _freedom(state: State) -> float:
    return float(state.arrays["records"][0]) - newton.effective(state.arrays)


def _errors(state: State) -> Errors:
    arrays, freedom = state.arrays, _freedom(state)
    if arrays["l1"].any() or freedom < 1.0:
        return Errors.unknown(len(arrays["weights"]))
    variance = float(arrays["residual"][0]) / freedom
    found = variance * np.diag(newton.covariance(arrays))
    return Errors(np.sqrt(np.maximum(found, 0.0)), freedom)


def _fit(state: State) -> Findings:
    """Return R², F, the log-likelihood and what follows from it."""
    arrays, freedom = state.arrays, _freedom(state)
    records, left, varied = (
        float(arrays[name][0]) for name in ("records", "residual", "varied")
    )
    parameters = records - freedom
    share = 1.0 - left / varied
    log = -records / 2 * (math.log(2 * math.pi * left / records) + 1.0)
    found: Findings = {
        "records": int(records),
        "parameters": parameters,
        "r_squared": share,
        "log_likelihood": log,
        "aic": 2 * parameters - 2 * log,
        "bic": parameters * math.log(records) - 2 * log,
    }
    if freedom < 1.0 or parameters <= 1.0:
        return found
    f = (varied - left) / (parameters - 1.0) / (left / freedom)
    return found | {
        "adjusted_r_squared": 1.0 - (1.0 - share) * (records - 1.0) / freedom,
        "residual_deviation": math.sqrt(left / freedom),
        "f": f,
        "f_p": float(stats.f.sf(f, parameters - 1.0, freedom)),
    }


def predict(study: Study, arrays: newton.Arrays, rows: Rows) -> Array:
    """Return the expected outcome of each encoded row."""
    return intercepts.eta(rows.x, intercepts.of(study, rows), arrays["weights"])


def interval(study: Study, arrays: newton.Arrays, rows: Rows) -> Array:
    """Return the ends of the interval of each expectation; NaN where it is unknown."""
    state = State(arrays)
    if "curvature" not in arrays or arrays["l1"].any() or _freedom(state) < 1.0:
        return np.full((len(rows.x), 2), np.nan)
    variance = float(arrays["residual"][0]) / _freedom(state)
    shared = variance * newton.covariance(arrays)
    said, error = linear_explained.deviation(study, arrays["weights"], shared, rows)
    half = float(stats.t(_freedom(state)).ppf(0.975)) * error
    return np.column_stack([said - half, said + half])


LINEAR = Model(
    fit=Task(
        name="linear",
        rows="train",
        encoded=True,
        shows=shows,
        release=release,
        start=start,
        local=local,
        finish=finish,
        read=read,
        show=show,
    ),
    carries=linear_models.shows,
    predict=predict,
    explain=linear_explained.explain,
    scale="outcome",
    interval=interval,
)
