"""Linear regression under a promise: as good as the noise allows, and honest of it."""

import math
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from client.table import Table
from common import costs, plan
from common.encoding import bounds, columns
from common.study import Study
from common.task import State
from common.tasks.private import private_linear, private_residuals
from simulations import plain
from simulations.benches import wide
from simulations.worth import compare
from tests import clinics

FOUR = clinics.ABOUT | {"sites": ["a", "b", "c", "d"]}
SHARED = {"epsilon": 1.0, "delta": 1e-5, "noise": "shared"}
OUTCOME = {"kind": "number", "name": "ill", "unit": "1", "range": (0, 400)}


def study(epsilon: float, ridge: float = 0.0) -> Study:
    names = load_diabetes().feature_names
    scaled = [
        {"kind": "number", "name": f"x_{n}", "unit": "1", "range": (-6, 6)}
        for n in names
    ]
    return clinics.study(
        privacy={**SHARED, "epsilon": epsilon},
        study=FOUR,
        rounds={"quorum": 4, "deadline_seconds": 2},
        variables=scaled,
        outcome=OUTCOME,
        model={"kind": "linear", "ridge": ridge},
    )


def tables(copies: int = 1) -> list[Table]:
    """Return the diabetes data, dealt to four sites, as often as *copies* says."""
    found = load_diabetes(scaled=False)
    x = (found.data - found.data.mean(axis=0)) / found.data.std(axis=0)
    x, y = np.tile(x.clip(-6, 6), (copies, 1)), np.tile(found.target, copies)
    train = np.random.default_rng(0).random(len(y)) < 0.7
    return wide.dealt(x, y.astype(float), train, 4)


def r_squared(asked: Study, dealt: list[Table], seed: int) -> float:
    noise = plain.gaussian(np.random.default_rng(seed))
    states = plain.run(asked, dealt, noise)
    rows = plain.pooled(dealt).rows("test")
    said = compare.fitted(asked, states).predict(rows)
    return float(1 - ((said - rows.y) ** 2).mean() / rows.y.var())


@pytest.mark.parametrize(("epsilon", "least"), [(1.0, 0.15), (4.0, 0.35), (8.0, 0.4)])
def test_few_people_are_predicted_as_well_as_the_noise_allows(
    epsilon: float, least: float
) -> None:
    """309 train; without a promise it is about 0.47."""
    asked, dealt = study(epsilon), tables()
    found = np.mean([r_squared(asked, dealt, seed) for seed in range(12)])
    assert found > least


def test_with_many_people_it_is_the_exact_model() -> None:
    dealt, exact = tables(60), study(1.0).model_copy(update={"privacy": "none"})
    private = r_squared(study(1.0), dealt, 0)
    plain_ = plain.run(exact, dealt)
    rows = plain.pooled(dealt).rows("test")
    said = compare.fitted(exact, plain_).predict(rows)
    assert private > 1 - ((said - rows.y) ** 2).mean() / rows.y.var() - 0.02


def test_no_record_is_longer_than_it_pays_for() -> None:
    asked = study(1.0)
    draw = np.random.default_rng(1)
    ends = np.array([bounds(asked, each) for each in columns(asked)])
    x = draw.normal(0, 3, (500, len(ends)))
    y = draw.uniform(-500, 900, 500)
    rows = plain.pooled(tables()).rows("train").take(np.zeros(500, int))
    rows = type(rows)(x, y, rows.key, values=x)
    state = State({"outcome": np.array([150.0, 200.0])})
    each = private_linear.each(asked, state, rows)
    assert np.linalg.norm(each, axis=1).max() <= 1.0 + 1e-12
    said = draw.uniform(-1e4, 1e4, 500)
    tested = private_residuals.each(asked, said, rows)
    assert np.linalg.norm(tested, axis=1).max() <= private_residuals.CLIP + 1e-12


def test_the_error_is_told_with_an_interval_that_holds_the_noise() -> None:
    asked, dealt = study(4.0), tables(8)
    noise = plain.gaussian(np.random.default_rng(2))
    states = plain.run(asked, dealt, noise)
    told: dict[str, Any] = plan.find(asked, "evaluate").read(asked, states["evaluate"])
    rows = plain.pooled(dealt).rows("test")
    said = compare.fitted(asked, states).predict(rows)
    true = math.sqrt(((said - rows.y) ** 2).mean())
    low, high = told["rmse_interval"]
    assert low < true < high
    assert told["r_squared"] == pytest.approx(1 - true**2 / rows.y.var(), abs=0.1)


def test_too_few_people_are_told_nothing() -> None:
    asked = study(0.1)
    state = State({n: np.ones(1) for n in private_residuals.release(asked)})
    assert private_residuals.read(asked, state)["rmse"] is None


def test_ridge_is_added_only_against_noise() -> None:
    asked = study(8.0)
    few, many = (
        plain.run(asked, tables(n), plain.gaussian(np.random.default_rng(0)))["linear"]
        for n in (1, 100)
    )
    assert few.arrays["added"][0] > 0.0
    assert many.arrays["added"][0] == 0.0
    assert costs.charges(asked)["linear"].mu > 0
