"""The ridge that is chosen, and every trial's error, are those of pooled records."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.svm import LinearSVC

from client.table import Table
from common import plan
from common.arithmetic.trees import draws
from common.encoding import Encoding, encode
from common.errors import Refusal
from common.study import Study
from common.task import State
from common.tasks import selection
from simulations import plain
from simulations.engines import engine
from tests import clinics
from tests.simulations.test_engine import hospitals

RIDGES = (0.01, 1.0, 30.0, 1000.0)
FOLDS = 4
SITES = (90, 60, 50)
NAMES = ("east", "north", "south")


def study(kind: str = "logistic", outcome: str = "binary", **changes: Any) -> Study:
    asked = {"ridge": [*RIDGES], "folds": FOLDS}
    about = {**clinics.ABOUT, "sites": list(NAMES)}
    given = {"study": about, "selection": asked, "outcome": clinics.OUTCOMES[outcome]}
    model = {"kind": kind, **clinics.MODELS[kind], "ridge": 1.0}
    rounds = {"quorum": 3}
    return clinics.study(**{**given, "model": model, "rounds": rounds, **changes})


def tables(outcome: str = "binary") -> list[Table]:
    found = []
    for place, people in enumerate(SITES):
        draw = np.random.default_rng(place)
        x = clinics.values(people, place + 1)
        at = (np.nan_to_num(x[:, 1], nan=240.0) - 240) / 50 + draw.normal(size=people)
        y = {
            "binary": (at > 0).astype(float),
            "category": np.digitize(at, [-0.5, 0.5]).astype(float),
            "number": (10 + 3 * at).clip(0, 50).round(),
        }[outcome]
        found.append(clinics.rows(x, y, draw.random(people) < 0.8))
    return found


def pooled(kind: str, ridge: float, records: int) -> Any:
    exact: dict[str, Any] = {"tol": 1e-12, "max_iter": 10_000}
    newton = {**exact, "C": 1 / ridge, "solver": "newton-cholesky"}
    return {
        "logistic": LogisticRegression(**newton),
        "multinomial": LogisticRegression(**newton),
        "svm": LinearSVC(C=1 / ridge, dual=False, **exact),
        "linear": Ridge(alpha=ridge, solver="svd"),
        "poisson": PoissonRegressor(
            alpha=ridge / records, solver="newton-cholesky", **exact
        ),
    }[kind]


def predicted(kind: str, fit: Any, x: np.ndarray) -> np.ndarray:
    if kind == "multinomial":
        return np.asarray(fit.predict_proba(x))
    if kind == "logistic":
        return np.asarray(fit.predict_proba(x)[:, 1])
    if kind == "svm":
        return np.asarray(1 / (1 + np.exp(-fit.decision_function(x))))
    return np.asarray(fit.predict(x))


def errors(asked: Study, dealt: list[Table], kind: str) -> list[float]:
    """Return each candidate's mean error by scikit-learn, on pooled rows."""
    whole = plain.pooled(dealt)
    rows = whole.rows("train")
    described = plain.run(asked, dealt)["describe"].arrays
    x = encode(asked, Encoding.of(described), rows.x)
    (draw,) = draws(rows.key, 0, 1)
    fold, found = np.floor(draw * FOLDS), []
    for ridge in RIDGES:
        error = 0.0
        for each in range(FOLDS):
            out = fold == each
            model = clone(pooled(kind, ridge, int((~out).sum())))
            said = predicted(kind, model.fit(x[~out], rows.y[~out]), x[out])
            true = np.eye(3)[rows.y[out].astype(int)] if said.ndim > 1 else rows.y[out]
            error += float(((said - true) ** 2).sum())
        found.append(error / len(rows.y))
    return found


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        *[("logistic", "binary"), ("svm", "binary"), ("linear", "number")],
        *[("poisson", "number"), ("multinomial", "category")],
    ],
)
def test_every_trial_is_the_pooled_one(kind: str, outcome: str) -> None:
    asked, dealt = study(kind, outcome), tables(outcome)
    states = plain.run(asked, dealt)
    found = plan.find(asked, selection.TRIED).read(asked, states[selection.TRIED])
    expected = errors(asked, dealt, kind)
    told = [each["error"] for each in found["candidates"]]
    np.testing.assert_allclose(told, expected, atol=1e-6)
    assert found["ridge"] == RIDGES[int(np.argmin(expected))]
    chosen = selection.settled(asked, found["ridge"])
    chosen = chosen.model_copy(update={"selection": None})
    alone, name = plain.run(chosen, dealt), plan.tasks(chosen)[1].name
    weights = states[name].arrays["weights"]
    np.testing.assert_allclose(weights, alone[name].arrays["weights"], atol=1e-12)
    assert plan.settled(asked, states).model == chosen.model


def test_the_same_over_flower_with_masks(tmp_path: Path) -> None:
    asked = study(rounds={"quorum": 3, "deadline_seconds": 20})
    assert asked.masked
    paths = hospitals(tmp_path, asked, list(NAMES))
    outcome = engine.run(asked, paths)
    found = plan.find(asked, selection.TRIED).read(
        asked, outcome.states[selection.TRIED]
    )
    assert len(found["candidates"]) == len(RIDGES)
    assert outcome.rounds[selection.TRIALS] <= 12, "as many as the slowest trial"
    assert outcome.states["logistic"].arrays["ridge"] == found["ridge"]
    (sheet,) = plan.find(asked, selection.TRIED).show(
        asked, outcome.states[selection.TRIED]
    )
    assert [row[-1] for row in sheet.rows].count("chosen") == 1


def test_a_small_fold_is_refused_where_no_masks_hide_it() -> None:
    clear = {"quorum": 3, "secure_aggregation": False}
    asked = study(rounds=clear, disclosure={"min_people": 10})
    with pytest.raises(Refusal, match="a fold has fewer people here than"):
        plain.run(asked, [*tables()[:2], clinics.table(30, 4)])


def test_where_it_makes_no_difference_the_models_own_ridge_stays() -> None:
    asked = study()
    task = plan.find(asked, selection.TRIED)
    sums = {
        "records": np.array([10.0]),
        "error": np.array([2.0, 2.0 + 1e-12, 2.0, 3.0]),
        "square": np.ones(4),
    }
    state = task.finish(asked, State({}), sums)
    assert state.arrays["ridge"] == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"selection": {"ridge": [2.0, 3.0]}}, "and that of .model., 1, among them"),
        ({"selection": {"ridge": [1.0, 1.0]}}, "different values of ridge"),
        ({"kind": "cox", "outcome": "survival"}, "of ridge is for linear, "),
    ],
)
def test_what_cannot_be_selected_is_refused_at_once(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        study(**changes)
