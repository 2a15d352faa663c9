"""A category under a promise: bounded by person, of use, and told with its noise."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_wine

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import costs, encoding, plan
from common.learned import exporting, model_file
from common.privacy import epsilon_of
from common.release import Array
from common.study import Study
from common.task import Rows, State, model_of
from common.told import statement
from simulations import plain
from simulations.attacks import audit
from simulations.benches import wide
from simulations.worth import compare
from tests import clinics
from tests.test_private_forest import FILE

FOUR = clinics.ABOUT | {"sites": ["a", "b", "c", "d"]}
ROUNDS = {"quorum": 4, "deadline_seconds": 2}
KINDS = ("multinomial", "random_forest")


def promised(kind: str, epsilon: float = 1.0, **changes: object) -> Study:
    """Return a study of stages; *changes* are of its privacy."""
    kept = {"epsilon": epsilon, "delta": 1e-5, "noise": "shared", **changes}
    model = {"kind": kind, **clinics.MODELS[kind]}
    model = {k: v for k, v in model.items() if k != "min_leaf"}
    return clinics.study(
        privacy=kept, study=FOUR, rounds=ROUNDS, model=model, outcome=clinics.STAGE
    )


def people(each: int = 200) -> list[Table]:
    """Return four sites of people whose stage depends on their values."""
    return [clinics.table(each, seed, "category") for seed in range(4)]


def drawn(seed: int = 0) -> plain.Noise:
    """Return noise that can be repeated."""
    return plain.gaussian(np.random.default_rng(seed))


def real(name: str, kind: str, epsilon: float) -> tuple[Study, list[Table]]:
    """Return a study of wines or of digits, and them dealt to four sites."""
    x, y = (load_wine if name == "wine" else load_digits)(return_X_y=True)
    x = x[:, x.std(axis=0) > 0.3] if name == "digits" else x
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).clip(-6, 6)
    train = np.random.default_rng(0).random(len(y)) < 0.7
    number = {"kind": "number", "unit": "1", "range": (-6, 6), "typical": (0.0, 1.0)}
    expected = round(int(train.sum()), -2)
    study = clinics.study(
        privacy={"epsilon": epsilon, "delta": 1e-5, "expected_people": expected}
        | {"noise": "shared"},
        study=FOUR,
        rounds=ROUNDS,
        variables=[{**number, "name": f"x_{i}"} for i in range(x.shape[1])],
        outcome={
            "kind": "category",
            "name": "which",
            "levels": [f"level {i}" for i in range(int(y.max()) + 1)],
        },
        model={"kind": kind, "ridge": 1.0} if kind == "multinomial" else {"kind": kind},
    )
    return study, wide.dealt(x, y.astype(float), train, 4)


def right(name: str, kind: str, epsilon: float, seeds: int = 4) -> float:
    """Return how often it is right of people who test, on average over the noise."""
    study, tables = real(name, kind, epsilon)
    rows, found = plain.pooled(tables).rows("test"), []
    for seed in range(seeds):
        said = compare.fitted(study, plain.run(study, tables, drawn(seed))).predict(
            rows
        )
        found.append(float((said.argmax(axis=1) == rows.y).mean()))
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("name", "kind", "epsilon", "least"),
    [
        ("wine", "multinomial", 1.0, 0.8),
        ("digits", "multinomial", 3.0, 0.87),
        ("wine", "random_forest", 1.0, 0.75),
        ("digits", "random_forest", 3.0, 0.84),
    ],
)
def test_levels_are_told_apart_as_well_as_the_noise_allows(
    name: str, kind: str, epsilon: float, least: float
) -> None:
    assert right(name, kind, epsilon) > least


@given(seed=st.integers(0, 2**31), far=st.floats(0.1, 1e6))
@settings(max_examples=40, deadline=None)
def test_no_record_of_several_levels_is_longer_than_it_pays_for(
    seed: int, far: float
) -> None:
    study = promised("multinomial")
    task, draw = plan.find(study, "multinomial"), np.random.default_rng(seed)
    described = plain.run(study, [clinics.table(30, 0, "category")] * 4)
    state = task.start(study, described)
    state.arrays["weights"][:] = draw.normal(0, far, len(state.arrays["weights"]))
    rows = plain.pooled([clinics.table(60, seed, "category")]).rows("train")
    rows = type(rows)(draw.normal(0, far, (len(rows.y), 7)), rows.y, rows.key)
    noisy = costs.noisy(task)
    assert noisy.each is not None
    each = noisy.each(study, state, rows)
    assert np.linalg.norm(each, axis=1).max() <= noisy.clip(study) + 1e-9
    alone = noisy.each(study, state, rows.take(np.array([7])))
    assert np.array_equal(alone[0], each[7])


@given(chance=st.lists(st.floats(-700, 700), min_size=2, max_size=6))
def test_a_softmax_slope_is_never_longer_than_the_root_of_two(
    chance: list[float],
) -> None:
    odds = np.exp(np.array(chance) - max(chance))
    slope = odds / odds.sum() - np.eye(len(odds))[0]
    assert np.linalg.norm(slope) <= np.sqrt(2.0) * (1 - odds[0] / odds.sum()) + 1e-12


def test_with_many_people_it_says_what_the_exact_model_says() -> None:
    tables = people(8000)
    study = promised("multinomial", 4.0, expected_people=20_000)
    exact = study.model_copy(update={"privacy": "none"})
    rows = plain.pooled(tables).rows("test")
    usual = compare.fitted(exact, plain.run(exact, tables)).predict(rows)
    said = compare.fitted(study, plain.run(study, tables, drawn())).predict(rows)
    assert np.abs(said - usual).mean() < 0.05
    hits = [(each.argmax(axis=1) == rows.y).mean() for each in (said, usual)]
    assert hits[0] == pytest.approx(hits[1], abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_it_spends_what_it_promises(kind: str) -> None:
    study = promised(kind)
    fit = plan.find(study, kind)
    charged = costs.charges(study)
    events = [charged["describe"], *[charged[kind]] * plan.rounds(study, fit)]
    assert epsilon_of(events, 1e-5) == pytest.approx(1.0, abs=1e-6)
    assert epsilon_of([charged["evaluate"]], 1e-5) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_leaves_as_onnx_and_says_the_same(kind: str, tmp_path: Path) -> None:
    study, tables = promised(kind, 8.0), people()
    states = plain.run(study, tables, drawn())
    made = model_file.of(study, states, FILE)
    path, rows = exporting.write(made, "onnx", tmp_path), tables[0].rows("test")
    (found,) = onnxruntime.InferenceSession(path).run(None, {"values": rows.x})
    said = compare.fitted(study, states).predict(rows)
    assert said.shape == (len(rows.y), 3)
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    np.testing.assert_allclose(found, said, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_moves_a_chance_adds_up_to_it(kind: str) -> None:
    study, tables = promised(kind, 8.0), people()
    states = plain.run(study, tables, drawn())
    model, arrays = model_of(study), states[kind].arrays
    seen = encoding.seen(study, model.fit, arrays, tables[0].rows("test"))
    assert model.explain is not None
    parts = model.explain(study, arrays, seen).sum(axis=1)
    said = model.predict(study, arrays, seen)
    if kind == "multinomial":  # log odds against the mean of all levels
        said = np.log(said) - np.log(said).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(parts, said, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_statement_names_it(kind: str) -> None:
    study = promised(kind)
    for language, words in (("en", "How is"), ("zh", kind)):
        assert words in statement.text(study, language)  # type: ignore[arg-type]
    assert kind in statement.text(study, "en")


@pytest.mark.parametrize("kind", KINDS)
def test_reading_it_is_finite_and_claims_no_error(kind: str) -> None:
    study = promised(kind)
    states = plain.run(study, people(40), drawn())
    for task in plan.tasks(study):
        json.dumps(task.read(study, states[task.name]), allow_nan=False)
        task.show(study, states[task.name])
    found = plan.find(study, kind).read(study, states[kind])
    for line in found.get("coefficients", []):  # type: ignore[attr-defined]
        assert line["standard_error"] is None


def test_accuracy_under_noise_is_within_its_interval() -> None:
    study, tables = promised("multinomial", 2.0), people(600)
    states = plain.run(study, tables, drawn())
    rows = plain.pooled(tables).rows("test")
    said = compare.fitted(study, states).predict(rows)
    truth, task = (said.argmax(axis=1) == rows.y).mean(), plan.find(study, "evaluate")
    state, designs = task.start(study, states), [Design(table) for table in tables]
    answers = [training.run(task, study, state, each) for each in designs]
    summed, draw = plain.total(task, study, answers), np.random.default_rng(2)
    held = [
        _inside(
            task.read(study, task.finish(study, state, _moved(study, summed, draw))),
            truth,
        )
        for _ in range(200)
    ]
    assert np.mean(held) >= 0.95


def _moved(
    study: Study, summed: dict[str, Array], draw: np.random.Generator
) -> dict[str, Array]:
    task = plan.find(study, "evaluate")
    spread = 2 * costs.deviation(study, task)
    return {k: v + draw.normal(0, spread, v.shape) for k, v in summed.items()}


def _inside(found: dict[str, object], truth: float) -> bool:
    interval = found["accuracy_interval"]
    assert isinstance(interval, tuple)
    return bool(interval[0] <= truth <= interval[1])


def test_a_ridge_is_selected_under_the_same_promise() -> None:
    tables = people(2000)
    study = promised("multinomial", 8.0, expected_people=5000).model_dump()
    study["selection"] = {"ridge": [1.0, 1000.0], "folds": 2}
    chosen = Study.model_validate(study)
    states = plain.run(chosen, tables, drawn())
    told = plan.find(chosen, "selection").read(chosen, states["selection"])
    assert told["ridge"] == 1.0
    charged = costs.charges(chosen)
    events = [
        charged[task.name]
        for task in plan.tasks(chosen)
        if task.rows == "train"
        for _ in range(plan.rounds(chosen, task))
    ]
    assert epsilon_of(events, 1e-5) == pytest.approx(1.0 * 8, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_category_keeps_its_promise(kind: str) -> None:
    found = audit.audit(promised(kind), 2000)
    assert found.holds
    assert 0.1 < found.lower <= 1.0


@pytest.mark.parametrize("name", ["multinomial", "evaluate"])
def test_a_wide_record_adds_the_same_whoever_is_beside_it(name: str) -> None:
    """Fifty columns, however they lie in memory: numpy adds them up in that order."""
    study, tables = real("digits", "multinomial", 1.0)
    task, draw = plan.find(study, name), np.random.default_rng(0)
    shown = task.shows(study)
    state = State({key: draw.normal(size=shape) for key, shape in shown.items()})
    x = np.asarray(draw.normal(size=(40, tables[0].values.shape[1])), order="F")
    rows = Rows(x, draw.integers(0, 10, 40).astype(float))
    noisy = costs.noisy(task)
    assert noisy.each is not None
    every = noisy.each(study, state, rows)
    for at in range(40):
        alone = noisy.each(study, state, rows.take(np.array([at])))
        assert np.array_equal(alone[0], every[at])
