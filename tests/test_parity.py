"""Federated equals pooled on real data, whichever way people are dealt to hospitals.

Breast cancer, diabetes and wine come with scikit-learn; the four heart hospitals are
dealt anew as well. Every reference is another program on the same rows in one place.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from client.table import Table
from common import plan
from common.study import Study
from simulations import plain
from simulations.worth import compare
from tests import real

OUTCOMES = {
    "linear": "number",
    "poisson": "number",
    "multinomial": "category",
    "cox": "survival",
}
"""What a kind predicts, where that is not one of two levels."""


@dataclass(frozen=True)
class Case:
    """A model: how far it may differ, and how many rounds it may take."""

    model: dict[str, Any]
    apart: float
    rounds: int = 12
    few: int | None = None

    @property
    def kind(self) -> str:
        """The kind of model."""
        return str(self.model["kind"])

    @property
    def outcome(self) -> str:
        """The kind of outcome that it predicts."""
        return OUTCOMES.get(self.kind, "binary")


CASES = [
    Case({"kind": "linear", "ridge": 0.0}, 1e-8, 1, few=5),
    Case({"kind": "linear", "ridge": 1.0}, 1e-8, 1),
    Case({"kind": "logistic", "ridge": 1.0}, 1e-6),
    Case({"kind": "logistic", "ridge": 100.0}, 1e-6),
    Case({"kind": "multinomial", "ridge": 1.0}, 1e-6),
    Case({"kind": "svm", "ridge": 1.0}, 1e-6),
    Case({"kind": "svm", "ridge": 100.0}, 1e-6),
    Case({"kind": "rbf_svm", "ridge": 1.0, "features": 50}, 1e-5),
    Case({"kind": "poisson", "ridge": 1.0}, 1e-6),
    Case({"kind": "cox", "ridge": 1.0}, 1e-8),
]
"""At heart, without a ridge, gaps of several variables are gaps of the same people."""


def named(case: Case) -> str:
    return f"{case.kind} {case.model['ridge']:g}"


def study_of(case: Case, data: str, sites: int, **changes: Any) -> Study:
    """Return a study that gives up after so many rounds of a task."""
    rounds = {"quorum": 1, "maximum": case.rounds}
    given = {"model": case.model, "rounds": rounds, **changes}
    return real.study(data, case.outcome, sites, case.few, **given)


def tables_of(case: Case, data: str, sites: int) -> list[Table]:
    return real.tables(data, case.outcome, sites, case.few)


@pytest.mark.parametrize("sites", real.DEALT)
@pytest.mark.parametrize("data", real.NAMES)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_federated_equals_pooled(case: Case, data: str, sites: int) -> None:
    study, tables = study_of(case, data, sites), tables_of(case, data, sites)
    found = plain.run(study, tables)[case.kind].arrays["weights"]
    exact = compare.reference(study, tables).weights
    scale = max(1.0, np.abs(exact).max()) if case.kind == "linear" else 1.0
    assert np.abs(found - exact).max() < case.apart * scale


FORESTS = {"breast_cancer": 2, "wine": 4, "diabetes": 1, "heart": 2}
"""Which case a data set's forest has the outcome of."""


@pytest.mark.parametrize("sites", real.SITES)
@pytest.mark.parametrize("data", real.NAMES)
def test_the_forest_of_any_split_cuts_where_the_pooled_one_does(
    data: str, sites: int
) -> None:
    case = CASES[FORESTS[data]]
    model = {"kind": "random_forest", "trees": 10, "min_leaf": 5}
    study = study_of(case, data, sites, model=model)
    tables = tables_of(case, data, sites)
    one, many = (
        plain.run(study, each)["random_forest"].arrays
        for each in ([plain.pooled(tables)], tables)
    )
    assert (one["feature"] >= 0).any()
    np.testing.assert_array_equal(many["feature"], one["feature"])
    np.testing.assert_allclose(many["threshold"], one["threshold"], rtol=1e-9)
    np.testing.assert_allclose(many["leaf"], one["leaf"], rtol=1e-12)


@pytest.mark.parametrize("sites", real.SITES)
@pytest.mark.parametrize("data", real.NAMES)
def test_the_evaluation_of_any_split_is_that_of_pooled_rows(
    data: str, sites: int
) -> None:
    study, tables = study_of(CASES[2], data, sites), tables_of(CASES[2], data, sites)
    states = plain.run(study, tables)
    found = plan.find(study, "evaluate").read(study, states["evaluate"])
    whole = compare.totals(study, compare.fitted(study, states), tables)
    assert found["auc"] == whole["auc"]
    assert found["confusion"] == whole["confusion"]
