"""Coefficients with what is known of them: errors, intervals, tests, and the whole fit.

The same lines for every model that is weights: per standard deviation of a variable and
per unit, with a standard error, a statistic, a p-value and a 95 % interval where the
model is a likelihood (Wald; by Student's t where the spread was estimated too).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import stats

from common.release import Array
from common.sheet import Cell, Sheet
from common.task import Findings, State
from common.tasks.linear import newton


@dataclass(frozen=True, slots=True)
class Errors:
    """Standard errors [weights], and the degrees of freedom of a t; else a normal."""

    standard: Array
    degrees: float = math.inf

    @staticmethod
    def unknown(count: int) -> "Errors":
        """Return that nothing is known of *count* weights."""
        return Errors(np.full(count, np.nan))


def listed(
    names: Sequence[str], weights: Array, spread: Array, errors: Errors
) -> list[Findings]:
    """Return one line per weight.

    *spread* [weights] is the deviation of each variable, 0 where it does not vary and
    nothing is told, NaN where a weight has no unit.
    """
    quads = zip(names, weights, spread, errors.standard, strict=True)
    return [
        {
            "name": name,
            "coefficient": float(weight),
            **_tested(float(weight), float(error) if unit != 0.0 else math.nan, errors),
            "per_unit": float(weight / unit) if unit > 0.0 else None,
        }
        for name, weight, unit, error in quads
    ]


def _tested(weight: float, error: float, errors: Errors) -> Findings:
    names = ("standard_error", "interval", "statistic", "p")
    if not math.isfinite(error):
        return dict.fromkeys(names)
    law = stats.norm if math.isinf(errors.degrees) else stats.t(errors.degrees)
    half = float(law.ppf(0.975)) * error
    statistic = weight / error if error else None
    p = None if statistic is None else float(2 * law.sf(abs(statistic)))
    values = (error, [weight - half, weight + half], statistic, p)
    return dict(zip(names, values, strict=True))


def likelihood(state: State) -> Findings:
    """Return how well a likelihood fits, as statsmodels computes it.

    Parameters are effective ones: the trace of A^-1 H, A = H + penalty, which counts
    each weight that varies where there is no penalty. Pseudo-R² is McFadden's (1974):
    1 - log-likelihood / that of the model without effects.
    """
    log, start = (-float(each) for each in state.arrays["losses"][::-1])
    records = float(state.arrays["records"][0])
    parameters = newton.effective(state.arrays)
    return {
        "records": int(records),
        "parameters": parameters,
        "log_likelihood": log,
        "log_likelihood_null": start,
        "aic": 2 * parameters - 2 * log,
        "bic": parameters * math.log(records) - 2 * log,
        "pseudo_r_squared": 1.0 - log / start if start else None,
    }


WORDS = {
    "records": "records",
    "parameters": "parameters",
    "log_likelihood": "log-likelihood",
    "log_likelihood_null": "log-likelihood without effects",
    "r_squared": "R²",
    "adjusted_r_squared": "R², adjusted for the parameters",
    "pseudo_r_squared": "pseudo-R² (McFadden)",
    "residual_deviation": "deviation of the residuals",
    "f": "F",
    "f_p": "p of F",
    "aic": "AIC",
    "bic": "BIC",
}


def sheet(fit: Findings, *notes: str) -> Sheet:
    """Return the table of how well a model fits the people it learned from."""
    known = {words: fit[name] for name, words in WORDS.items() if name in fit}
    rows = cast("tuple[tuple[Cell, ...], ...]", tuple(known.items()))
    return Sheet("How well the model fits", ("measure", "value"), rows, notes)
