"""One contract for every task: declared is released, and any split equals pooled."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import plan
from common.encoding import Encoding, encode
from common.errors import StudyError
from common.registry import MODELS
from common.release import check
from common.study import Study
from simulations import plain
from simulations.worth import compare
from tests import clinics

KINDS = sorted(MODELS)
LINEAR = ["linear", "logistic", "multinomial", "poisson", "rbf_svm", "svm"]
"""The kinds that are weights, and have a reference with the same weights."""
ROUNDING = {"image_network": 1e-5}
"""How far a model of 32-bit numbers may be rounded otherwise."""


def study_of(kind: str, **changes: object) -> Study:
    outcome = clinics.OUTCOMES[MODELS[kind].outcomes[0]]
    model = {"kind": kind, **clinics.MODELS[kind]}
    needs = clinics.NEEDS.get(kind, {})
    return clinics.study(outcome=outcome, model=model, **needs, **changes)


def table_of(kind: str, people: int = 120, seed: int = 0) -> Table:
    return clinics.table(people, seed, MODELS[kind].outcomes[0])


def weights(study: Study, tables: list[Table]) -> np.ndarray:
    return compare.fitted(study, plain.run(study, tables)).weights


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), sites=st.integers(1, 7))
def test_any_split_equals_pooled(kind: str, seed: int, sites: int) -> None:
    study, whole = study_of(kind), table_of(kind, seed=seed)
    places = np.random.default_rng(seed).integers(0, sites, len(whole.outcome))
    tables = clinics.dealt(whole, places)
    dealt, pooled = plain.run(study, tables), plain.run(study, [plain.pooled(tables)])
    for name, state in pooled.items():
        rounding = ROUNDING.get(kind, 1e-9)
        for key, array in state.arrays.items():
            np.testing.assert_allclose(
                dealt[name].arrays[key], array, rtol=1e-7, atol=rounding
            )


@pytest.mark.parametrize("kind", LINEAR)
def test_any_split_takes_the_same_rounds_of_the_same_shape(kind: str) -> None:
    study, whole = study_of(kind), table_of(kind)
    by_class = np.argsort(whole.outcome > 0).argsort() // 40
    one_class_each = clinics.split(whole, by_class)
    expected = weights(study, [whole])
    np.testing.assert_allclose(weights(study, one_class_each), expected, atol=1e-9)


@pytest.mark.parametrize("kind", LINEAR)
def test_a_site_that_never_measured_a_column_changes_nothing_else(kind: str) -> None:
    study, whole = study_of(kind), table_of(kind)
    whole.values[:40, 1] = np.nan
    places = np.r_[np.zeros(40, int), np.ones(80, int)]
    np.testing.assert_allclose(
        weights(study, clinics.split(whole, places)),
        weights(study, [whole]),
        atol=1e-9,
    )


def odd_tables(kind: str) -> dict[str, Table]:
    """Return tables that break careless formulas."""
    whole = table_of(kind, 40)
    gone = np.full_like(whole.values, np.nan)
    constant = np.tile([50.0, 240.0, 1.0, 1.0], (len(whole.outcome), 1))
    ones = np.ones_like(whole.outcome)
    empty = clinics.rows(whole.values[:0], whole.outcome[:0], whole.train[:0])
    return {
        "empty": empty,
        "one class": clinics.rows(whole.values, ones, whole.train),
        "all missing": clinics.rows(gone, whole.outcome, whole.train),
        "constant": clinics.rows(constant, whole.outcome, whole.train),
        "one person": clinics.rows(
            whole.values[:1], whole.outcome[:1], np.array([True])
        ),
    }


@pytest.mark.parametrize("odd", sorted(odd_tables("logistic")))
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_released_is_what_is_declared(kind: str, odd: str) -> None:
    study = study_of(kind)
    strange, usual = odd_tables(kind)[odd], table_of(kind)
    states = plain.run(study, [strange, usual])
    for task in plan.tasks(study):
        state = task.start(study, states)
        check(task.release(study), training.run(task, study, state, Design(strange)))
        task.read(study, states[task.name])


@pytest.mark.parametrize("kind", LINEAR)
def test_only_odd_sites_still_give_a_finite_model(kind: str) -> None:
    study = study_of(kind)
    odd = odd_tables(kind)
    found = weights(study, [odd["constant"], odd["all missing"]])
    assert np.isfinite(found).all()
    if kind != "rbf_svm":
        assert found[0] == 0.0  # age never varies, so it says nothing


@pytest.mark.parametrize("kind", LINEAR)
def test_equals_scikit_learn_on_pooled_rows(kind: str) -> None:
    study, whole = study_of(kind), table_of(kind, 400)
    reference = compare.reference(study, [whole]).weights
    assert np.abs(weights(study, [whole]) - reference).max() < 1e-6


def test_per_unit_coefficients_predict_from_raw_values() -> None:
    study = clinics.study(variables=[clinics.VARIABLES[0]])
    whole = clinics.table(200)
    one = clinics.rows(whole.values[:, :1], whole.outcome, whole.train)
    state = plain.run(study, [one])["logistic"]
    slope, intercept = plan.find(study, "logistic").read(study, state)["coefficients"]
    age = one.values[~np.isnan(one.values[:, 0])]
    eta = encode(study, Encoding.of(state.arrays), age) @ state.arrays["weights"][:-1]
    raw = slope["per_unit"] * age[:, 0] + intercept["per_unit"]
    np.testing.assert_allclose(raw, eta + state.arrays["weights"][-1], atol=1e-9)


def test_perfect_separation_is_an_error_without_ridge_and_finite_with_it() -> None:
    x = np.linspace(20, 90, 60)[:, None]
    y = (x[:, 0] > 55).astype(float)
    separated = clinics.rows(x, y, np.arange(60) % 3 > 0)
    variables = [clinics.VARIABLES[0]]
    loose = clinics.study(variables=variables, model={"kind": "logistic", "ridge": 0.0})
    with pytest.raises(StudyError, match=r"did not settle|no unique solution"):
        plain.run(loose, [separated])
    firm = clinics.study(variables=variables)
    assert np.isfinite(weights(firm, [separated])).all()


def test_the_area_from_a_histogram_is_within_its_bound() -> None:
    study, whole = clinics.study(), clinics.table(600)
    states = plain.run(study, [whole])
    found = plan.find(study, "evaluate").read(study, states["evaluate"])
    rows = whole.rows("test")
    score = compare.fitted(study, states).predict(rows)
    exact = roc_auc_score(rows.y, score)
    assert abs(found["auc"] - exact) <= found["auc_error_bound"] < 0.02
    assert found["accuracy"] == pytest.approx(np.mean((score >= 0.5) == rows.y))
    assert found["brier"] == pytest.approx(np.mean((score - rows.y) ** 2))


def test_a_number_is_evaluated_by_its_squared_error() -> None:
    study, whole = study_of("poisson"), table_of("poisson", 400)
    states = plain.run(study, [whole])
    found = plan.find(study, "evaluate").read(study, states["evaluate"])
    rows = whole.rows("test")
    score = compare.fitted(study, states).predict(rows)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((score - rows.y) ** 2)))
    assert found["r_squared"] == pytest.approx(
        1 - np.sum((score - rows.y) ** 2) / np.sum((rows.y - rows.y.mean()) ** 2)
    )


def test_rounds_stay_below_the_limit() -> None:
    study, whole = (
        clinics.study(rounds={"quorum": 1, "maximum": 12}),
        clinics.table(500),
    )
    assert plain.run(study, [whole])["logistic"].done


def test_a_step_that_overshoots_is_halved() -> None:
    draw = np.random.default_rng(28)
    people = int(draw.integers(8, 30))
    x = draw.standard_t(1.2, size=(people, 1)).clip(-59, 59) + 60
    y = draw.poisson(np.exp(draw.normal(0, 2, people))).clip(0, 50).astype(float)
    train = np.r_[np.ones(people, bool), False, False]
    wild = clinics.rows(np.vstack([x, x[:2]]), np.r_[y, y[:2]], train)
    study = study_of("poisson", variables=[clinics.VARIABLES[0]])
    study = study.model_copy(
        update={"model": study.model.model_copy(update={"ridge": 1e-3})}
    )
    found = {"describe": plain.run(study, [wild])["describe"]}
    fit, design = plan.find(study, "poisson"), Design(wild)
    states = [fit.start(study, found)]
    while not states[-1].done:
        sums = training.run(fit, study, states[-1], design)
        states.append(fit.finish(study, states[-1], sums))
    halved = sum(new.kept is old.kept for old, new in pairwise(states))
    assert halved >= 1
    reference = compare.reference(study, [wild]).weights
    assert np.abs(states[-1].arrays["weights"] - reference).max() < 1e-5


def test_one_outcome_everywhere_is_an_error_that_says_so() -> None:
    whole = clinics.table(80)
    alike = clinics.rows(whole.values, np.ones(80), whole.train)
    with pytest.raises(StudyError, match="has the same ill"):
        plain.run(clinics.study(), [alike])
