"""A forest from sums: the pooled one, as good as scikit-learn's, of no one's values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import r2_score, roc_auc_score

from client.table import Table
from common import plan
from common.arithmetic import trees
from common.encoding import Encoding, encode
from common.release import Array
from common.study import Study
from common.task import State
from simulations import plain
from simulations.worth import compare
from tests import clinics

NAME = "random_forest"


def study(x: Array, outcome: object = clinics.BINARY, **said: object) -> Study:
    """Return a study of numbers whose declared ranges are wider than *x*."""
    low, high = x.min(axis=0), x.max(axis=0)
    room = (high - low) / 10
    variables = [
        {"kind": "number", "name": f"v{i}", "unit": "1", "range": [*map(float, edge)]}
        for i, edge in enumerate(zip(low - room, high + room, strict=True))
    ]
    model = {"kind": NAME, **said}
    return clinics.study(variables=variables, outcome=outcome, model=model)


def cancer(seed: int) -> Table:
    data = load_breast_cancer()
    train = np.random.default_rng(seed).random(len(data.target)) < 0.7
    return clinics.rows(data.data, data.target.astype(float), train)


def dealt(whole: Table, sites: int = 4) -> list[Table]:
    return clinics.split(whole, np.arange(len(whole.outcome)) % sites)


@pytest.mark.slow
def test_as_good_as_scikit_learn_on_twenty_splits() -> None:
    ours, theirs = [], []
    for seed in range(20):
        whole = cancer(seed)
        asked = study(whole.values, min_leaf=1, seed=seed)
        rows, test = whole.rows("train"), whole.rows("test")
        found = compare.fitted(asked, plain.run(asked, dealt(whole)))
        ours.append(np.mean((found.predict(test) >= 0.5) == test.y))
        forest = RandomForestClassifier(random_state=seed).fit(rows.x, rows.y)
        theirs.append(forest.score(test.x, test.y))
    assert abs(np.mean(ours) - np.mean(theirs)) < 0.01


def test_as_good_as_scikit_learn_on_one_split() -> None:
    whole = cancer(1)
    asked, test = study(whole.values, trees=50), whole.rows("test")
    found = compare.fitted(asked, plain.run(asked, dealt(whole)))
    reference = compare.reference(asked, [whole])
    ours, theirs = (roc_auc_score(test.y, m.predict(test)) for m in (found, reference))
    assert ours > theirs - 0.01


DIGITS = {
    "kind": "category",
    "name": "digit",
    "levels": [f"digit {each}" for each in range(10)],
}
HOME = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3])
"""Which of four sites sees a digit: no digit is seen by two."""


def of_digits(seed: int, **said: object) -> tuple[float, float, float]:
    """Return how often right is ours, the pooled forest, and local forests merged."""
    x, y = load_digits(return_X_y=True)
    x = x[:, np.ptp(x, axis=0) > 0]
    train, place = np.random.default_rng(seed).random(len(y)) < 0.7, HOME[y]
    asked = study(x, DIGITS, seed=seed, min_leaf=1, **said)
    tables = clinics.split(clinics.rows(x, y.astype(float), train), place)
    whole = clinics.rows(x, y.astype(float), train).rows("test")
    ours = compare.fitted(asked, plain.run(asked, tables)).predict(whole)
    given = {"random_state": seed, "n_estimators": said.get("trees", 100)}
    pooled = RandomForestClassifier(**given).fit(x[train], y[train])
    merged = np.zeros((len(whole.y), 10))
    for site in range(4):
        here = train & (place == site)
        forest = RandomForestClassifier(**given).fit(x[here], y[here])
        merged[:, forest.classes_] += forest.predict_proba(x[~train])
    every = (ours, pooled.predict_proba(x[~train]), merged)
    first, second, third = (np.mean(e.argmax(axis=1) == whole.y) for e in every)
    return float(first), float(second), float(third)


@pytest.mark.slow
def test_no_site_need_see_every_class_on_four_splits() -> None:
    """Each digit at one of four sites: sums do not mind, merged local forests do."""
    found = [of_digits(seed, depth=12, open_nodes=64) for seed in range(4)]
    ours, pooled, merged = np.mean(found, axis=0)
    assert ours > pooled - 0.01
    assert merged < ours - 0.08


def test_no_site_need_see_every_class() -> None:
    ours, pooled, merged = of_digits(0, depth=8, trees=20)
    assert ours > pooled - 0.04
    assert merged < ours - 0.05


def test_any_split_grows_the_same_trees_of_a_category() -> None:
    whole = clinics.table(300, outcome="category")
    model = {"kind": NAME, **clinics.MODELS[NAME]}
    asked = clinics.study(outcome=clinics.STAGE, model=model)
    one, many = (plain.run(asked, t)[NAME].arrays for t in ([whole], dealt(whole, 7)))
    for name in ("feature", "leaf"):
        np.testing.assert_array_equal(one[name], many[name])
    assert one["leaf"].shape[-1] == 3


def test_a_number_is_predicted_as_well_as_by_scikit_learn() -> None:
    data = load_diabetes()
    train = np.random.default_rng(0).random(len(data.target)) < 0.7
    whole = clinics.rows(data.data, data.target, train)
    outcome = {"kind": "number", "name": "y", "unit": "1", "range": [0, 400]}
    asked = study(data.data, outcome, trees=60)
    found = compare.fitted(asked, plain.run(asked, dealt(whole)))
    rows, test = whole.rows("train"), whole.rows("test")
    forest = RandomForestRegressor(random_state=0, min_samples_leaf=10, n_estimators=60)
    theirs = r2_score(test.y, forest.fit(rows.x, rows.y).predict(test.x))
    assert r2_score(test.y, found.predict(test)) > theirs - 0.03


def test_any_split_grows_the_very_same_trees() -> None:
    whole = cancer(2)
    asked = study(whole.values, trees=10)
    one, many = (plain.run(asked, t)[NAME].arrays for t in ([whole], dealt(whole, 7)))
    for name in ("feature", "leaf"):
        np.testing.assert_array_equal(one[name], many[name])
    cut = one["threshold"]  # in deviations of all records, which have last bits
    np.testing.assert_allclose(many["threshold"], cut, rtol=1e-12)


def test_every_leaf_holds_so_many_people_and_no_threshold_is_a_value() -> None:
    whole = cancer(3)
    asked = study(whole.values, trees=10, min_leaf=12)
    arrays = plain.run(asked, dealt(whole))[NAME].arrays
    x = encode(asked, Encoding.of(arrays), whole.rows("train").x)
    inside = trees.inner(8)
    for feature, threshold, leaf in zip(
        arrays["feature"], arrays["threshold"], arrays["leaf"], strict=True
    ):
        split = np.flatnonzero(feature >= 0)
        assert len(split) > 3
        for node in split:
            column = x[:, int(feature[node])]
            assert (column != threshold[node]).all()
            for child in (2 * node + 1, 2 * node + 2):
                assert leaf[child].sum() >= 12
        assert leaf.shape == (2 * inside + 1, 2)


def test_who_trained_cannot_be_told_from_the_forest() -> None:
    """Membership by confidence in the true class (Yeom et al. 2018): near a coin."""
    areas = []
    for seed in range(4):
        whole = cancer(seed)
        asked = study(whole.values, trees=50, seed=seed)
        found = compare.fitted(asked, plain.run(asked, dealt(whole)))
        sure = [found.predict(whole.rows(side)) for side in ("train", "test")]
        truth = [whole.rows(side).y for side in ("train", "test")]
        right = [np.where(y == 1, p, 1 - p) for p, y in zip(sure, truth, strict=True)]
        member = np.repeat([1, 0], [len(each) for each in right])
        areas.append(roc_auc_score(member, np.concatenate(right)))
    assert np.mean(areas) <= 0.55


def test_what_told_most_is_found() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(400, 4)).clip(-3, 3)
    whole = clinics.rows(x, (x[:, 2] > 0).astype(float), draw.random(400) < 0.7)
    asked = study(x, trees=10)
    states = plain.run(asked, dealt(whole))
    found = plan.find(asked, NAME).read(asked, states[NAME])
    assert max(found["importance"], key=found["importance"].get) == "v2"
    assert sum(found["importance"].values()) == pytest.approx(1.0)
    (sheet,) = plan.find(asked, NAME).show(asked, states[NAME])
    assert sheet.rows[0][0] == "v2"


def test_a_forest_of_stumps_has_one_level() -> None:
    whole = cancer(0)
    asked = study(whole.values, trees=3, depth=1)
    assert [t.name for t in plan.tasks(asked)][1:3] == ["random_forest_bins", NAME]
    arrays = plain.run(asked, dealt(whole))[NAME].arrays
    assert arrays["feature"].shape == (3, 1)


def test_only_so_many_nodes_are_open_at_a_level() -> None:
    whole = cancer(0)
    asked = study(whole.values, trees=4, depth=5, min_leaf=2, open_nodes=2)
    states: dict[str, State] = plain.run(asked, dealt(whole))
    for task in plan.tasks(asked):
        if task.name.startswith(f"{NAME}_level"):
            size = task.release(asked)["split"].shape[0]
            assert size <= 4 * 2
    assert np.isfinite(states[NAME].arrays["leaf"]).all()


@given(seed=st.integers(0, 2**31), tree=st.integers(1, 20))
@settings(max_examples=20)
def test_draws_are_even_and_belong_to_the_person(seed: int, tree: int) -> None:
    keys = np.random.default_rng(seed).integers(0, 2**63, 2000).astype(np.uint64)
    every = np.array(list(trees.draws(keys, seed, tree)))
    assert ((every >= 0) & (every < 1)).all()
    assert abs(every.mean() - 0.5) < 0.06
    some = np.array(list(trees.draws(keys[::3], seed, tree)))
    np.testing.assert_array_equal(some, every[:, ::3])


def test_a_record_falls_to_the_right_from_the_threshold_on() -> None:
    feature, threshold = np.array([0.0, -1.0, 1.0]), np.array([0.5, 0.0, 2.0])
    x = np.array([[0.4, 9.0], [0.5, 1.9], [0.6, 2.0]])
    assert trees.fall(feature, threshold, x).tolist() == [1, 5, 6]
