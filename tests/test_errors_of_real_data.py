"""Standard errors on real data, dealt to unequal sites, are those of statsmodels."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.duration.hazard_regression import PHReg

from client.table import Table
from common import plan
from common.arithmetic import follow_up
from common.encoding import Encoding, encode
from common.study import Study
from common.task import Findings, State
from simulations import plain
from simulations.worth import compare
from tests import real

OUTCOMES = {
    "linear": "number",
    "logistic": "binary",
    "poisson": "number",
    "multinomial": "category",
    "cox": "survival",
}
FEW = {"breast_cancer": 2, "diabetes": 6, "wine": 3, "heart": 4}
"""Of so few variables no levels are separable: then there is one answer."""


def fitted(
    kind: str, data: str, sites: int
) -> tuple[Study, list[Table], State, Findings]:
    model, few = {"kind": kind, "ridge": 0.0}, FEW[data]
    study = real.study(data, OUTCOMES[kind], sites, few, model=model)
    tables = real.tables(data, OUTCOMES[kind], sites, few)
    state = plain.run(study, tables)[kind]
    return study, tables, state, plan.find(study, kind).read(study, state)


def reference(kind: str, x: np.ndarray, y: np.ndarray) -> Any:
    if kind == "linear":
        return sm.OLS(y, x).fit()
    if kind == "multinomial":
        return sm.MNLogit(y, x).fit(method="newton", tol=1e-14, disp=0, maxiter=100)
    family = sm.families.Binomial() if kind == "logistic" else sm.families.Poisson()
    return sm.GLM(y, x, family=family).fit(tol=1e-14, tol_criterion="params")


@pytest.mark.parametrize("sites", real.DEALT)
@pytest.mark.parametrize("data", real.NAMES)
@pytest.mark.parametrize("kind", ["linear", "logistic", "poisson", "multinomial"])
def test_errors_equal_statsmodels(kind: str, data: str, sites: int) -> None:
    study, tables, state, found = fitted(kind, data, sites)
    rows = plain.pooled(tables).rows("train")
    x = encode(study, Encoding.of(state.arrays), rows.x)
    own = reference(kind, sm.add_constant(x, prepend=False), rows.y)
    for name, values in {"coefficient": own.params, "standard_error": own.bse}.items():
        said = [line[name] for line in found["coefficients"]]
        exact = np.ravel(values, order="F")
        np.testing.assert_allclose(said, exact, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("sites", real.DEALT)
@pytest.mark.parametrize("data", real.NAMES)
def test_errors_of_hazards_equal_statsmodels(data: str, sites: int) -> None:
    study, tables, state, found = fitted("cox", data, sites)
    rows = plain.pooled(tables).rows("train")
    x = encode(study, Encoding.of(state.arrays), rows.x)
    time = np.asarray(study.outcome.grid)[follow_up.interval(rows.y)]
    came = follow_up.came(rows.y).astype(int)
    own = PHReg(time, x, status=came, strata=rows.site, ties="efron")
    exact = compare.reference(study, tables).weights
    assert np.abs(state.arrays["weights"] - exact).max() < 1e-8
    errors = np.sqrt(np.diag(np.linalg.inv(-own.hessian(exact))))
    said = [line["standard_error"] for line in found["coefficients"]]
    np.testing.assert_allclose(said, errors, rtol=1e-8)
