"""Effects and groups on real data, dealt to unequal sites, are those of pooled rows."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression

from client.table import Table
from common import plan
from common.encoding import Encoding, columns, encode
from common.study import Study
from simulations import plain
from tests import clinics, real

FEW = 4
EXACT: dict[str, Any] = {"C": np.inf, "tol": 1e-12, "solver": "newton-cholesky"}
GIVEN = {"kind": "category", "name": "given", "levels": ["no", "yes"]}
GIVEN["missing"] = "exclude"


def treated(data: str, kind: str, sites: int) -> tuple[Study, list[Table]]:
    """Return a study in which the higher of the last variable of some were treated."""
    asked = {"treatment_effect": {"treatment": "given", "ridge": 0.0}}
    bare: dict[str, Any] = {"model": None, "evaluation": None}
    found = real.study(data, kind, sites, FEW, **bare).model_dump(exclude_none=True)
    whole = plain.pooled(real.tables(data, kind, sites, FEW))
    draw = np.random.default_rng(2).normal(size=len(whole.outcome))
    first = np.nan_to_num(whole.values[:, 0], nan=np.nanmean(whole.values[:, 0]))
    given = (first - first.mean()) / first.std() + 2 * draw > 0
    x = np.column_stack([whole.values, given])
    table = clinics.rows(x, whole.outcome, np.ones(len(x), dtype=bool))
    both = [*found["variables"], GIVEN]
    study = Study.model_validate(found | {"variables": both, "analysis": asked})
    return study, clinics.dealt(table, real.places(len(x), sites))


def scores(study: Study, whole: Table) -> np.ndarray:
    """Return both doubly robust scores of everybody, by scikit-learn from rows."""
    arrays = plain.run(study, [whole])["describe"].arrays
    x = encode(study, Encoding.of(arrays), whole.values)[:, :-1]
    given, y = whole.values[:, -1] == 1, whole.outcome
    chance = LogisticRegression(**EXACT).fit(x, given).predict_proba(x)[:, 1]
    chance = chance.clip(0.01, 0.99)
    found = []
    for arm, weight in ((~given, 1 / (1 - chance)), (given, 1 / chance)):
        if study.outcome.kind == "binary":
            fit = LogisticRegression(**EXACT).fit(x[arm], y[arm])
            guess = fit.predict_proba(x)[:, 1]
        else:
            guess = LinearRegression().fit(x[arm], y[arm]).predict(x)
        found.append(guess + arm * weight * (y - guess))
    return np.column_stack(found)


@pytest.mark.parametrize("sites", real.DEALT)
@pytest.mark.parametrize("data", real.NAMES)
@pytest.mark.parametrize("kind", ["binary", "number"])
def test_an_effect_is_that_of_pooled_rows(kind: str, data: str, sites: int) -> None:
    study, tables = treated(data, kind, sites)
    state = plain.run(study, tables)["treatment_effect"]
    said = plan.find(study, "treatment_effect").read(study, state)["effects"][0]
    both = scores(study, plain.pooled(tables))
    difference = both[:, 1] - both[:, 0]
    error = difference.std(ddof=1) / math.sqrt(len(difference))
    scale = max(1.0, float(np.abs(both).max()))
    assert said["effect"] == pytest.approx(difference.mean(), abs=1e-8 * scale)
    assert said["standard_error"] == pytest.approx(error, abs=1e-8 * scale)


@pytest.mark.parametrize("sites", real.DEALT)
@pytest.mark.parametrize("data", real.NAMES)
def test_groups_are_those_of_scikit_learn_from_the_same_start(
    data: str, sites: int
) -> None:
    wanted = {"groups": 3, "starts": 2, "seed": 5}
    study = real.study(
        data,
        "binary",
        sites,
        model=None,
        evaluation=None,
        rounds={"quorum": 1, "maximum": 200},
        analysis={"clusters": wanted, "pca": 2},
    )
    tables = real.tables(data, "binary", sites)
    states = plain.run(study, tables)
    task, rows = plan.find(study, "clusters"), plain.pooled(tables).rows("train")
    x = encode(study, Encoding.of(states["describe"].arrays), rows.x)
    fits = [
        KMeans(3, init=centres, n_init=1, tol=0.0, algorithm="lloyd").fit(x)
        for centres in task.start(study, states).arrays["centres"]
    ]
    best = min(fits, key=lambda fit: fit.inertia_)
    said = task.read(study, states["clusters"])
    sizes = np.bincount(best.labels_)
    order = np.argsort(-sizes, kind="stable")
    assert said["settled"]
    assert [each["records"] for each in said["groups"]] == sizes[order].tolist()
    centres = states["clusters"].arrays["centres"]
    np.testing.assert_allclose(centres, best.cluster_centers_[order], atol=1e-8)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    parts = plan.find(study, "pca").read(study, states["pca"])["components"]
    for place, part in enumerate(parts, start=1):
        loadings = np.array([part["loadings"][c.name] for c in columns(study)])
        assert abs(loadings @ vectors[:, -place]) == pytest.approx(1.0, abs=1e-8)
        assert part["share"] == pytest.approx(values[-place] / values.sum(), abs=1e-8)
