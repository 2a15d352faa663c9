"""A random forest under a promise: bounded by person, drawn by chance, of use."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.datasets import load_breast_cancer, load_diabetes

from client.learning import sampling, training
from client.learning.training import Design
from client.table import Table
from common import costs, encoding, plan
from common.encoding import Encoding
from common.learned import exporting, model_file
from common.privacy import epsilon_of
from common.release import check
from common.schema import Category
from common.study import Study
from common.task import Rows, State, model_of
from common.tasks.private import private_forest
from common.told import statement
from simulations import plain
from simulations.attacks import audit
from simulations.benches import wide
from simulations.worth import compare
from tests import clinics

FOUR = clinics.ABOUT | {"sites": ["a", "b", "c", "d"]}
ROUNDS = {"quorum": 4, "deadline_seconds": 2}
NUMBER = {"kind": "number", "name": "score", "unit": "1", "range": (0, 400)}
FILE: dict[str, object] = {
    "created": "2026-11-23T00:00:00+00:00",
    "sites": ["a", "b", "c", "d"],
    "simulated": True,
    "limits": [],
    "measures": {},
}
LEVELS = Category.model_validate(clinics.STAGE)
OUTCOMES = {"binary": clinics.BINARY, "category": clinics.STAGE, "number": NUMBER}


def forest(epsilon: float = 1.0, **changes: object) -> Study:
    """Return a study of every kind of variable; *changes* are of its privacy."""
    kept = {"epsilon": epsilon, "delta": 1e-5, "noise": "shared", **changes}
    model = {"kind": "random_forest", "trees": 20}
    return clinics.study(privacy=kept, study=FOUR, rounds=ROUNDS, model=model)


@pytest.mark.parametrize("key", ["min_leaf", "bins", "columns", "open_nodes", "sample"])
def test_what_only_an_exact_forest_reads_is_refused(key: str) -> None:
    value = 0.5 if key == "sample" else 3
    model = {"kind": "random_forest", key: value}
    kept = {"epsilon": 1.0, "delta": 1e-5, "noise": "shared"}
    with pytest.raises(ValidationError, match=f"{key} has no private form"):
        clinics.study(privacy=kept, study=FOUR, rounds=ROUNDS, model=model)


def real(outcome: str, epsilon: float) -> tuple[Study, list[Table]]:
    """Return a study of real people, and them dealt to four sites."""
    load = load_breast_cancer if outcome == "binary" else load_diabetes
    scaled = {} if outcome == "binary" else {"scaled": False}
    x, y = load(return_X_y=True, **scaled)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).clip(-6, 6)
    names = [f"x_{index}" for index in range(x.shape[1])]
    study = clinics.study(
        privacy={"epsilon": epsilon, "delta": 1e-5, "expected_people": 400}
        | {"noise": "shared"},
        study=FOUR,
        rounds=ROUNDS,
        variables=[
            {"kind": "number", "name": name, "unit": "1", "range": (-6, 6)}
            for name in names
        ],
        outcome=OUTCOMES[outcome],
        model={"kind": "random_forest"},
    )
    train = np.random.default_rng(0).random(len(y)) < 0.7
    return study, wide.dealt(x, y.astype(float), train, 4)


STUDIES = {
    "binary": forest(),
    "category": forest().model_copy(update={"outcome": LEVELS}),
    "number": real("number", 1.0)[0],
}


def worth(outcome: str, epsilon: float, seed: int) -> float:
    """Return the accuracy on test people, or of a number R squared."""
    study, tables = real(outcome, epsilon)
    states = plain.run(study, tables, plain.gaussian(np.random.default_rng(seed)))
    rows = plain.pooled(tables).rows("test")
    said = compare.fitted(study, states).predict(rows)
    if outcome == "binary":
        return float(((said > 0.5) == rows.y).mean())
    return float(1 - ((said - rows.y) ** 2).mean() / rows.y.var())


@pytest.mark.parametrize(
    ("outcome", "epsilon", "least"),
    [("binary", 1.0, 0.89), ("binary", 4.0, 0.91), ("number", 4.0, 0.25)],
)
def test_few_people_are_told_apart_as_well_as_the_noise_allows(
    outcome: str, epsilon: float, least: float
) -> None:
    found = np.mean([worth(outcome, epsilon, seed) for seed in range(6)])
    assert found > least


def test_leaves_have_the_declared_shape_and_the_trees_of_the_seed() -> None:
    study, tables = forest(), [clinics.table(100, seed) for seed in range(4)]
    fit = plan.find(study, "random_forest")
    states = plain.run(study, tables, plain.gaussian(np.random.default_rng(0)))
    start = fit.start(study, states)
    left = training.run(fit, study, start, Design(tables[0]))
    check(fit.release(study), left)
    assert left["leaves"].shape == (20, 8, 2)
    other = plain.run(study, tables[::-1], plain.gaussian(np.random.default_rng(1)))
    one, two = (found["random_forest"].arrays for found in (states, other))
    assert np.array_equal(one["feature"], two["feature"])
    assert not np.array_equal(one["leaf"], two["leaf"])
    json.dumps(fit.read(study, states["random_forest"]), allow_nan=False)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    outcome=st.sampled_from(sorted(OUTCOMES)),
    records=st.integers(1, 30),
    odd=st.sampled_from([1.0, 1e9, -1e308, float("inf"), float("nan")]),
)
def test_nobody_moves_the_sum_by_more_than_the_clip(
    seed: int, outcome: str, records: int, odd: float
) -> None:
    study, draw = STUDIES[outcome], np.random.default_rng(seed)
    width = len(encoding.columns(study))
    constants = Encoding(np.full(width, 0.5), np.ones(width), np.zeros(width))
    x, y = draw.normal(size=(40, width)), draw.integers(0, 2, 40).astype(float)
    others = np.arange(40 - records)
    x[-records:] = odd
    y[-records:] = odd if outcome == "number" else 1.0
    person = np.r_[others, np.full(records, 40)]
    most = sampling.bounds(person, 1.0)
    rows, state = Rows(x, y), State(constants.arrays())
    present = private_forest.bounded(study, state, rows, most)["leaves"]
    rest = rows.take(others)
    absent = private_forest.bounded(study, state, rest, most[others])["leaves"]
    assert np.linalg.norm(present - absent) <= 1.0


def test_a_forest_spends_what_it_promises() -> None:
    study = forest()
    charged = costs.charges(study)
    events = [charged["describe"], charged["random_forest"]]
    assert epsilon_of(events, 1e-5) == pytest.approx(1.0, abs=1e-6)
    assert epsilon_of([charged["evaluate"]], 1e-5) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("people", "epsilon", "levels"),
    [(None, 1.0, 3), (10, 1.0, 1), (400, 0.5, 3), (400, 1.0, 4), (20_000, 1.0, 7)],
)
def test_the_depth_comes_from_the_study_alone(
    people: int | None, epsilon: float, levels: int
) -> None:
    assert private_forest.depth(forest(epsilon, expected_people=people)) == levels


def test_the_model_leaves_as_onnx_and_says_the_same(tmp_path: Path) -> None:
    study, tables = forest(8.0), [clinics.table(200, seed) for seed in range(4)]
    states = plain.run(study, tables, plain.gaussian(np.random.default_rng(0)))
    made = model_file.of(study, states, FILE)
    path, rows = exporting.write(made, "onnx", tmp_path), tables[0].rows("test")
    (found,) = onnxruntime.InferenceSession(path).run(None, {"values": rows.x})
    said = compare.fitted(study, states).predict(rows)
    np.testing.assert_allclose(found, said, rtol=1e-6)


def test_the_statement_says_how_it_is_released() -> None:
    said = statement.text(forest(), "en")
    charged = costs.charges(forest())["random_forest"]
    assert "How is random_forest released?" in said
    assert f"T = 1 releases of mu = {charged.mu:.4g}" in said


def test_what_moves_a_prediction_adds_up_to_it() -> None:
    study, tables = forest(8.0), [clinics.table(200, seed) for seed in range(4)]
    states = plain.run(study, tables, plain.gaussian(np.random.default_rng(0)))
    model, rows = model_of(study), tables[0].rows("test")
    arrays = states["random_forest"].arrays
    seen = encoding.seen(study, model.fit, arrays, rows)
    assert model.explain is not None
    parts = model.explain(study, arrays, seen)
    said = model.predict(study, arrays, seen)
    np.testing.assert_allclose(parts.sum(axis=1), said, atol=1e-12)
    assert ((said >= 0) & (said <= 1)).all()


def test_a_private_forest_keeps_its_promise() -> None:
    found = audit.audit(forest(), 4000)
    assert found.holds
    assert 0.2 < found.lower <= 1.0
