"""Federated equals pooled on real data, whichever way people are dealt to hospitals.

Breast cancer, diabetes and wine come with scikit-learn; the four heart hospitals are
dealt anew as well. Every reference is another program on the same rows in one place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from client.table import Table
from common import plan
from common.study import Study
from simulations import compare, heart_richer, plain
from tests import clinics
from tests.simulations.test_heart import DATA, needs_data

SHARES = {1: (1.0,), 2: (0.8, 0.2), 4: (0.45, 0.3, 0.17, 0.08)}
SHARES[10] = (0.3, 0.2, 0.12, 0.1, 0.08, 0.07, 0.05, 0.04, 0.03, 0.01)
"""How unequal the hospitals are, by how many there are."""


@dataclass(frozen=True)
class Case:
    """A model on a data set: how far it may differ, and how many rounds it may take."""

    data: str
    model: dict[str, Any]
    apart: float
    rounds: int


CASES = [
    Case("diabetes", {"kind": "linear", "ridge": 0.0}, 1e-8, 1),
    Case("diabetes", {"kind": "linear", "ridge": 1.0}, 1e-8, 1),
    Case("breast_cancer", {"kind": "logistic", "ridge": 1.0}, 1e-6, 12),
    Case("breast_cancer", {"kind": "logistic", "ridge": 100.0}, 1e-6, 12),
    Case("wine", {"kind": "multinomial", "ridge": 1.0}, 1e-6, 12),
    Case("breast_cancer", {"kind": "svm", "ridge": 1.0}, 1e-6, 12),
    Case("breast_cancer", {"kind": "svm", "ridge": 100.0}, 1e-6, 12),
    Case("breast_cancer", {"kind": "rbf_svm", "ridge": 1.0, "features": 100}, 1e-5, 12),
    Case("diabetes", {"kind": "poisson", "ridge": 1.0}, 1e-6, 12),
    Case("breast_cancer", {"kind": "cox", "ridge": 1.0}, 1e-8, 12),
    Case("breast_cancer worst area", {"kind": "linear", "ridge": 0.0}, 1e-8, 1),
]


def named(case: Case) -> str:
    ridge = case.model["ridge"]
    return f"{case.data} {case.model['kind']} {ridge:g}"


@cache
def rows_of(data: str, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and the outcome, in the order of a site effect."""
    name, _, target = data.partition(" ")
    loaded = getattr(datasets, f"load_{name}")()
    x, y = loaded.data, loaded.target.astype(float)
    if target:
        column = list(loaded.feature_names).index(target)
        x, y = np.delete(x, column, axis=1), x[:, column]
    draw = np.random.default_rng(0)
    if kind == "cox":
        time = draw.exponential(900 * np.exp(y - 0.5))
        y = 2 * np.minimum(time // 150, 6) + (draw.random(len(y)) < 0.7)
    first = (x[:, 0] - x[:, 0].mean()) / x[:, 0].std() + draw.normal(size=len(x))
    order = np.argsort(first)
    return x[order], y[order]


def outcome_of(kind: str, y: np.ndarray) -> dict[str, Any]:
    if kind in {"linear", "poisson"}:
        low, high = float(np.floor(y.min())), float(np.ceil(y.max()))
        number = {"kind": "number", "name": "outcome", "unit": "1"}
        return {**number, "range": [min(low, 0.0), high]}
    kinds = {"multinomial": "category", "cox": "survival"}
    return dict(clinics.OUTCOMES[kinds.get(kind, "binary")])


def study_of(case: Case, sites: int) -> Study:
    x, y = rows_of(case.data, case.model["kind"])
    variables = [
        {
            "kind": "number",
            "name": f"x{index}",
            "unit": "1",
            "range": [float(column.min()) - 1.0, float(column.max()) + 1.0],
        }
        for index, column in enumerate(x.T)
    ]
    names = [f"site-{index}" for index in range(sites)]
    return clinics.study(
        study={**clinics.ABOUT, "sites": names},
        variables=variables,
        outcome=outcome_of(case.model["kind"], y),
        model=case.model,
    )


def tables_of(case: Case, sites: int) -> list[Table]:
    x, y = rows_of(case.data, case.model["kind"])
    train = np.random.default_rng(1).random(len(y)) < 0.7
    ends = np.rint(np.cumsum(SHARES[sites]) * len(y))
    places = np.searchsorted(ends, np.arange(len(y)), side="right")
    return clinics.dealt(clinics.rows(x, y, train), places)


def rounds_of(study: Study, most: int) -> Study:
    """Return *study* that gives up after so many rounds of a task."""
    rounds = study.rounds.model_copy(update={"maximum": most})
    return study.model_copy(update={"rounds": rounds})


@pytest.mark.parametrize("sites", [pytest.param(1, marks=pytest.mark.slow), 2, 4, 10])
@pytest.mark.parametrize("case", CASES, ids=named)
def test_federated_equals_pooled(case: Case, sites: int) -> None:
    tables = tables_of(case, sites)
    study = rounds_of(study_of(case, sites), case.rounds)
    found = plain.run(study, tables)[case.model["kind"]].arrays["weights"]
    exact = compare.reference(study, tables).weights
    scale = max(1.0, np.abs(exact).max()) if case.model["kind"] == "linear" else 1.0
    assert np.abs(found - exact).max() < case.apart * scale


@pytest.mark.parametrize("sites", SHARES)
@pytest.mark.parametrize("data", ["breast_cancer", "wine", "diabetes"])
def test_the_forest_of_any_split_cuts_where_the_pooled_one_does(
    data: str, sites: int
) -> None:
    kind = {"breast_cancer": "logistic", "wine": "multinomial", "diabetes": "linear"}
    case = Case(data, {"kind": kind[data], "ridge": 1.0}, 0.0, 1)
    model = {"kind": "random_forest", "trees": 10, "min_leaf": 5}
    asked = study_of(case, sites).model_dump() | {"model": model}
    same_forest(Study.model_validate(asked), tables_of(case, sites))


def same_forest(study: Study, tables: list[Table]) -> None:
    one, many = (
        plain.run(study, each)["random_forest"].arrays
        for each in ([plain.pooled(tables)], tables)
    )
    assert (one["feature"] >= 0).any()
    np.testing.assert_array_equal(many["feature"], one["feature"])
    np.testing.assert_allclose(many["threshold"], one["threshold"], rtol=1e-9)
    np.testing.assert_allclose(many["leaf"], one["leaf"], rtol=1e-12)


@needs_data
@pytest.mark.parametrize("sites", [2, 4, 10])
def test_the_forest_of_the_heart_hospitals_dealt_anew(
    sites: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hospitals = heart_richer.opened(DATA, tmp_path_factory.mktemp("heart"))
    model = {"kind": "random_forest", "trees": 10}
    study = Study.model_validate(hospitals.study.model_dump() | {"model": model})
    same_forest(study, dealt_anew(hospitals.tables, sites))


def dealt_anew(tables: Sequence[Table], sites: int) -> list[Table]:
    whole = plain.pooled(tables)
    ends = np.rint(np.cumsum(SHARES[sites]) * len(whole.outcome))
    places = np.searchsorted(ends, np.arange(len(whole.outcome)), side="right")
    return clinics.dealt(whole, places)


@pytest.mark.parametrize("sites", SHARES)
def test_the_evaluation_of_any_split_is_that_of_pooled_rows(sites: int) -> None:
    case = CASES[2]
    study, tables = study_of(case, sites), tables_of(case, sites)
    states = plain.run(study, tables)
    found = plan.find(study, "evaluate").read(study, states["evaluate"])
    whole = compare.totals(study, compare.fitted(study, states), tables)
    assert found["auc"] == whole["auc"]
    assert found["confusion"] == whole["confusion"]


@needs_data
@pytest.mark.parametrize("sites", [2, 4, 10])
@pytest.mark.parametrize("kind", ["logistic", "svm", "rbf_svm"])
def test_the_heart_hospitals_may_be_dealt_anew(
    kind: str, sites: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    hospitals = heart_richer.opened(DATA, tmp_path_factory.mktemp("heart"))
    asked = hospitals.study.model_dump() | {"model": {"kind": kind, "ridge": 1.0}}
    study = Study.model_validate(asked)
    tables = dealt_anew(hospitals.tables, sites)
    found = plain.run(study, tables)[kind].arrays["weights"]
    exact = compare.reference(study, tables).weights
    assert np.abs(found - exact).max() < 1e-6
