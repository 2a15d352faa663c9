"""Private forms of the tasks: declared is released, honest intervals, nothing local."""

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import costs, plan, promise, registry
from common.errors import StudyError
from common.privacy import epsilon_of
from common.release import length
from common.study import Study
from common.task import Model
from common.tasks.private import private_svm
from simulations import plain
from simulations.benches import wide
from simulations.worth import compare
from tests import clinics
from tests.test_tasks import odd_tables

SITE = {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}
SHARED = {**SITE, "noise": "shared", "colluders": 1}
FOUR = clinics.ABOUT | {"sites": ["a", "b", "c", "d"]}
ROUNDS = {"quorum": 4, "deadline_seconds": 2}


def private(changed: dict[str, object] | None = None, **changes: object) -> Study:
    kept = SITE | (changed or {})
    return clinics.study(privacy=kept, study=FOUR, rounds=ROUNDS, **changes)


def run(study: Study, tables: list[Table], seed: int = 0) -> dict[str, object]:
    noise = plain.gaussian(np.random.default_rng(seed))
    states = plain.run(study, tables, noise)
    found = {t.name: t.read(study, states[t.name]) for t in plan.tasks(study)}
    json.dumps(found, allow_nan=False)
    return found


def test_a_study_spends_what_it_promises_and_no_more() -> None:
    study = private()
    charged = costs.charges(study)
    for split in ("train", "test"):
        events = [
            charged[task.name]
            for task in plan.tasks(study)
            if task.rows == split
            for _ in range(plan.rounds(study, task))
        ]
        assert epsilon_of(events, 1e-5) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("kept", [SITE, SHARED], ids=["site", "shared"])
def test_formulas_know_the_noise_that_is_added(kept: dict[str, object]) -> None:
    study = private(kept)
    describe, _, evaluate = plan.tasks(study)
    for task, share in ((describe, 0.1), (evaluate, 1.0)):
        whole = promise.whole(study, costs.noisy(task).clip(study), share)
        added = costs.deviation(study, task) * math.sqrt(4)
        assert promise.in_total(study, whole) == pytest.approx(added, rel=1e-9)


def test_shared_noise_is_less_and_a_site_alone_has_half_or_so() -> None:
    alone, together = private(), private(SHARED)
    for one, other in zip(plan.tasks(alone), plan.tasks(together), strict=True):
        ratio = costs.deviation(alone, one) / costs.deviation(together, other)
        assert ratio == pytest.approx(math.sqrt(3))


def test_everything_that_leaves_is_a_sum_and_never_a_count() -> None:
    for task in plan.tasks(private()):
        fields = task.release(private()).values()
        assert {field.kind for field in fields} == {"sum"}


@pytest.mark.parametrize("odd", sorted(odd_tables("logistic")))
def test_odd_hospitals_still_get_an_answer_that_is_finite(odd: str) -> None:
    found = run(private(), [odd_tables("logistic")[odd]] * 4)
    assert len(found["logistic"]["coefficients"]) == 8


def test_rounds_are_the_same_whatever_the_records_say() -> None:
    study = private()
    many, few = [clinics.table(200, seed) for seed in range(4)], odd_tables("logistic")
    counted = []
    for tables in (many, [few["one class"]] * 4, [few["empty"]] * 4):
        asked: list[str] = []

        def noise(vector: np.ndarray, spread: float, seen: list = asked) -> np.ndarray:
            seen.append(f"{vector.size} {spread}")
            return vector

        plain.run(study, tables, noise)
        counted.append(asked)
    assert counted[0] == counted[1] == counted[2]
    steps = costs.noisy(plan.find(study, "logistic")).rounds(study)
    assert len(counted[0]) == 4 * (1 + steps + 1)


@pytest.mark.parametrize(
    ("epsilon", "people", "steps"),
    [(1.0, None, 8), (0.5, 400, 5), (1.0, 20_000, 25), (8.0, 400, 21)],
)
def test_steps_come_from_the_study_alone(
    epsilon: float, people: int | None, steps: int
) -> None:
    study = private({"epsilon": epsilon, "expected_people": people})
    assert plan.rounds(study, plan.find(study, "logistic")) == steps


def test_with_many_people_it_finds_what_the_exact_study_finds() -> None:
    tables = [clinics.table(8000, seed) for seed in range(4)]
    exact = clinics.study(study=FOUR, rounds=ROUNDS)
    promised = private({"epsilon": 4.0, "expected_people": 20_000})
    noise = plain.gaussian(np.random.default_rng(0))
    true, said = plain.run(exact, tables), plain.run(promised, tables, noise)
    for name in ("centre", "scale"):
        close = np.abs(true["describe"].arrays[name] - said["describe"].arrays[name])
        limit = 0.05 * np.array([120, 650, 1, 1, 1, 1, 1])
        assert (close < limit).all()
    found = run(promised, tables)
    assert found["describe"]["records"] == pytest.approx(22_400, rel=0.03)
    usual = compare.totals(exact, compare.fitted(exact, true), tables)
    assert found["evaluate"]["auc"] == pytest.approx(usual["auc"], abs=0.02)
    assert found["evaluate"]["accuracy"] == pytest.approx(usual["accuracy"], abs=0.02)
    weights = [state["logistic"].arrays["weights"] for state in (true, said)]
    assert np.corrcoef(*weights)[0, 1] > 0.98


def test_a_private_svm_tells_apart_as_well_as_the_exact_one() -> None:
    tables = [clinics.table(8000, seed) for seed in range(4)]
    kind = {"kind": "svm", "ridge": 1.0}
    exact = clinics.study(study=FOUR, rounds=ROUNDS, model=kind)
    promised = private({"epsilon": 4.0, "expected_people": 20_000}, model=kind)
    usual = compare.totals(
        exact, compare.fitted(exact, plain.run(exact, tables)), tables
    )
    found = run(promised, tables)["evaluate"]
    assert found["auc"] == pytest.approx(usual["auc"], abs=0.02)
    assert found["accuracy"] == pytest.approx(usual["accuracy"], abs=0.02)


@given(
    kind=st.sampled_from(["logistic", "svm", "rbf_svm", "poisson"]),
    seed=st.integers(0, 2**31),
    far=st.floats(0.1, 1e6),
)
@settings(max_examples=40, deadline=None)
def test_no_record_of_a_descent_is_longer_than_it_pays_for(
    kind: str, seed: int, far: float
) -> None:
    outcome = "number" if kind == "poisson" else "binary"
    study = private(
        model={"kind": kind, **clinics.MODELS[kind]}, outcome=clinics.OUTCOMES[outcome]
    )
    task, draw = plan.find(study, kind), np.random.default_rng(seed)
    described = plain.run(study, [clinics.table(30, 0, outcome)] * 4)
    state = task.start(study, described)
    state.arrays["weights"][:] = draw.normal(0, far, len(state.arrays["weights"]))
    rows = plain.pooled([clinics.table(60, seed, outcome)]).rows("train")
    x = draw.normal(0, far, (len(rows.y), 7))
    rows = type(rows)(x, rows.y, rows.key, values=x)
    each = costs.noisy(task).each(study, state, rows)
    assert np.linalg.norm(each, axis=1).max() <= costs.noisy(task).clip(study) + 1e-9
    alone = costs.noisy(task).each(study, state, rows.take(np.array([7])))
    assert np.array_equal(alone[0], each[7])


@pytest.mark.parametrize(("epsilon", "least"), [(1.0, 0.85), (3.0, 0.9)])
def test_random_features_learn_breast_cancer_under_a_promise(
    epsilon: float, least: float
) -> None:
    """398 train; without a promise 0.958 of those who test are told right."""
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).clip(-6, 6)
    train = np.random.default_rng(0).random(len(y)) < 0.7
    number = {"kind": "number", "unit": "1", "range": (-6, 6)}
    study = private(
        {**SHARED, "epsilon": epsilon, "expected_people": 400},
        model={"kind": "rbf_svm", "ridge": 1.0},
        variables=[{**number, "name": f"x_{i}"} for i in range(x.shape[1])],
    )
    dealt = wide.dealt(x, y.astype(float), train, 4)
    rows, right = plain.pooled(dealt).rows("test"), []
    for seed in range(6):
        states = plain.run(study, dealt, plain.gaussian(np.random.default_rng(seed)))
        said = compare.fitted(study, states).predict(rows)
        right.append(((said > 0.5) == rows.y).mean())
    exact = study.model_copy(update={"privacy": "none"})  # what is exported is this
    np.testing.assert_allclose(compare.fitted(exact, states).predict(rows), said)
    assert np.mean(right) > least


def test_private_counts_are_expected_as_well_as_exact_ones() -> None:
    tables = [clinics.table(2000, seed, "number") for seed in range(4)]
    asked: Any = {
        "model": {"kind": "poisson", "ridge": 1.0}, "outcome": clinics.COUNT
    }  # fmt: skip
    exact = clinics.study(study=FOUR, rounds=ROUNDS, **asked)
    promised = private({"epsilon": 2.0, "expected_people": 5000}, **asked)
    rows, found = plain.pooled(tables).rows("test"), []
    for study in (exact, promised):
        noise = plain.gaussian(np.random.default_rng(0))
        states = plain.run(study, tables, None if study is exact else noise)
        said = compare.fitted(study, states).predict(rows)
        found.append((1 - ((said - rows.y) ** 2).mean() / rows.y.var(), said.mean()))
    (usual, mean), (noisy, near) = found
    assert usual > 0.2
    assert noisy == pytest.approx(usual, abs=0.03)
    assert near == pytest.approx(mean, rel=0.08)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_the_hinge_is_steep_where_wrong_flat_where_right_and_never_steeper(
    y: float,
) -> None:
    margin = np.array([-9.0, 0.5, 1.0, 1.5, 9.0])
    side = 2 * y - 1
    slope = -side * private_svm._slope(side * margin, np.full(5, y))
    assert slope.tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    study = private({"epsilon": 2.0})
    tables = [clinics.table(300, seed) for seed in range(4)]
    noise = plain.gaussian(np.random.default_rng(1))
    states = plain.run(study, tables, noise)
    truth = compare.totals(study, compare.fitted(study, states), tables)
    task, describe = plan.find(study, "evaluate"), plan.find(study, "describe")
    designs, held, counted = [Design(table) for table in tables], [], []
    state = task.start(study, states)
    answers = [training.run(task, study, state, each) for each in designs]
    summed = plain.total(task, study, answers)
    moved = math.sqrt(4) * costs.deviation(study, task)
    draw = np.random.default_rng(2)
    for _ in range(400):
        noised = {k: v + draw.normal(0, moved, v.shape) for k, v in summed.items()}
        found = task.read(study, task.finish(study, state, noised))
        for name in ("accuracy", "auc"):
            low, high = found[f"{name}_interval"]
            held.append(low <= truth[name] <= high)
    people = sum(int(table.train.sum()) for table in tables)
    for seed in range(60):
        again = plain.run(
            study_of_describe(), tables, plain.gaussian(np.random.default_rng(seed))
        )
        low, high = describe.read(study_of_describe(), again["describe"])[
            "records_interval"
        ]
        counted.append(low <= people <= high)
    assert np.mean(held) >= 0.95
    assert np.mean(counted) >= 0.88


@pytest.mark.parametrize("people", [300, 60])
def test_what_noise_does_to_means_and_gaps_is_told_with_them(people: int) -> None:
    study = study_of_describe()
    tables = [clinics.table(people, seed) for seed in range(4)]
    rows = plain.pooled(tables).rows("train").x
    describe, held = plan.find(study, "describe"), dict[str, list[bool]]()
    for seed in range(100):
        states = plain.run(study, tables, plain.gaussian(np.random.default_rng(seed)))
        lines = describe.read(study, states["describe"])["variables"]
        for line, column in zip(lines, rows.T, strict=False):
            truth = {"missing": float(np.isnan(column).sum())}
            if "mean" in line:
                truth["mean"] = float(np.nanmean(column))
            for name, true in truth.items():
                slack = 0.5 if name == "missing" else 0.0  # it is told in whole records
                near = abs(line[name] - true) <= line[f"{name}_margin"] + slack
                held.setdefault(name, []).append(near)
    assert {name: np.mean(each) >= 0.93 for name, each in held.items()} == {
        "missing": True,
        "mean": True,
    }


def study_of_describe() -> Study:
    return private(model=None, evaluation=None)


def test_declared_scales_are_the_encoding_and_cost_nothing() -> None:
    number = {**clinics.VARIABLES[0], "typical": [55.0, 20.0]}
    study = private(variables=[number])
    one = [clinics.rows(t.values[:, :1], t.outcome, t.train) for t in tables_of(4)]
    arrays = plain.run(study, one)["describe"].arrays
    for name, value in (("centre", 55.0), ("scale", 20.0), ("fill", 55.0)):
        assert arrays[name].tolist() == [value]


def test_declared_scales_change_nothing_in_an_exact_study() -> None:
    declared = [dict(each) for each in clinics.VARIABLES]
    declared[0]["typical"] = [40.0, 10.0]
    tables = tables_of(2)
    plainly, declaring = (
        plain.run(clinics.study(variables=each), tables)
        for each in (clinics.VARIABLES, declared)
    )
    for name, state in plainly.items():
        for key, array in state.arrays.items():
            assert np.array_equal(array, declaring[name].arrays[key])


def test_coefficients_claim_no_error_that_is_not_known() -> None:
    lines = run(private(), tables_of(4))["logistic"]["coefficients"]
    assert all(line["standard_error"] is None for line in lines)
    assert all(line["interval"] is None for line in lines)
    assert all(math.isfinite(line["per_unit"]) for line in lines)


def test_more_privacy_never_has_more_bins_and_they_are_even() -> None:
    counts = [
        length(plan.find(study, "evaluate").release(study))
        for study in (private({"epsilon": e}) for e in (0.1, 0.5, 1, 2, 8, 100))
    ]
    assert all(few <= many for few, many in pairwise(counts))
    assert counts[0] == 9
    assert counts[2] == 9
    assert all(count % 2 for count in counts)


def test_a_study_without_a_model_spends_all_on_describing() -> None:
    study = study_of_describe()
    assert [task.name for task in plan.tasks(study)] == ["describe"]
    events = [costs.charges(study)["describe"]]
    assert epsilon_of(events, 1e-5) == pytest.approx(1.0, abs=1e-6)


def test_a_model_added_without_a_private_form_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added = replace(registry.MODELS["cox"], private=None)
    monkeypatch.setitem(registry.MODELS, "cox", added)
    with pytest.raises(ValueError, match="cox has no private form yet: choose linear"):
        private(model={"kind": "cox", "ridge": 1.0}, outcome=clinics.DEATH)


def test_every_model_has_a_private_form() -> None:
    for kind in registry.MODELS:
        assert isinstance(registry.load_private(kind), Model)


def test_a_promise_is_asked_of_a_study_that_makes_one() -> None:
    with pytest.raises(StudyError, match="promises no privacy"):
        promise.of(clinics.study())


def tables_of(count: int) -> list[Table]:
    return [clinics.table(120, seed) for seed in range(count)]
