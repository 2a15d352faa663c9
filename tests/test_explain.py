"""What a model looks at, from sums: as a loop over pooled records tells it."""

from typing import Any

import numpy as np
import pytest

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import plan
from common.arithmetic.trees import draws
from common.encoding import seen
from common.errors import IntegrityError
from common.release import Array
from common.schema import Category
from common.study import Study
from common.task import State, model_of
from common.tasks.evaluation import explain
from simulations import plain
from tests import clinics

SITES = (80, 60, 40)


def study(kind: str = "logistic", outcome: str = "binary", **changes: Any) -> Study:
    test = {"test": 0.3, "explain": True}
    model = {"kind": kind, **clinics.MODELS[kind]}
    given = {"model": model, "evaluation": test, "outcome": clinics.OUTCOMES[outcome]}
    return clinics.study(**{**given, **changes})


def tables(outcome: str = "binary") -> list[Table]:
    """Return three sites whose outcome follows the second variable."""
    found = []
    for place, people in enumerate(SITES):
        x = clinics.values(people, place + 1)
        at = (np.nan_to_num(x[:, 1], nan=240.0) - 240) / 50
        drawn = np.random.default_rng(place).normal(size=people)
        level = {"binary": 2, "category": 3}.get(outcome)
        y = (
            np.digitize(2 * at + drawn, [0.0, 1.0][: level - 1]).astype(float)
            if level
            else (10 + 3 * at + drawn).clip(0, 50).round()
        )
        train = np.random.default_rng(place + 9).random(people) < 0.7
        found.append(clinics.rows(x, y, train))
    return found


def predicted(asked: Study, arrays: Any, whole: Table, clean: Array) -> Array:
    model, rows = model_of(asked), whole.rows("test")
    other = type(rows)(clean, rows.y, rows.key, clean, rows.site)
    found = model.predict(asked, arrays, seen(asked, model.fit, arrays, other))
    return found if found.ndim > 1 else found[:, None]


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        *[("logistic", "binary"), ("random_forest", "binary"), ("svm", "binary")],
        *[("linear", "number"), ("multinomial", "category")],
    ],
)
def test_equals_the_same_sums_over_pooled_rows(kind: str, outcome: str) -> None:
    asked, dealt = study(kind, outcome), tables(outcome)
    states = plain.run(asked, dealt)
    found = plan.find(asked, "explain").read(asked, states["explain"])
    arrays, whole = states[model_of(asked).fit.name].arrays, plain.pooled(dealt)
    rows = whole.rows("test")
    wide = outcome == "category"
    true = np.eye(3)[rows.y.astype(int)] if wide else rows.y[:, None]
    base = ((predicted(asked, arrays, whole, rows.values) - true) ** 2).sum(1).mean()
    assert found["error"] == pytest.approx(base, abs=1e-12)
    places = {each.name: place for place, each in enumerate(asked.variables)}
    for line in found["dependence"]:
        variable = asked.variables[places[line["variable"]]]
        named = isinstance(variable, Category)
        for place, (at, mean) in enumerate(
            zip(line["at"], line["expected"], strict=True)
        ):
            forced = rows.values.copy()
            forced[:, places[line["variable"]]] = place if named else at
            expected = predicted(asked, arrays, whole, forced).mean(axis=0)
            np.testing.assert_allclose(mean, expected, atol=1e-12)
    for line in found["importance"]:
        place = places[line["variable"]]
        error = _mixed(asked, arrays, dealt, place) / len(rows.y)
        assert line["error"] == pytest.approx(error, abs=1e-12)
    assert found["importance"][0]["variable"] == "chol", "which decides"


def _mixed(asked: Study, arrays: Any, dealt: list[Table], place: int) -> float:
    """Return the squared errors with one variable passed on within each site."""
    total = []
    for table in dealt:
        rows = table.rows("test")
        wide = asked.outcome.kind == "category"
        true = np.eye(3)[rows.y.astype(int)] if wide else rows.y[:, None]
        for draw in draws(rows.key, explain.SEED + place, explain.REPEATS):
            mixed = rows.values.copy()
            order = sorted(range(len(draw)), key=lambda each: draw[each])
            for after, before in zip(order, [order[-1], *order[:-1]], strict=True):
                mixed[after, place] = rows.values[before, place]
            total.append(((predicted(asked, arrays, table, mixed) - true) ** 2).sum())
    return float(sum(total)) / explain.REPEATS


def test_what_the_model_does_not_use_is_worth_nothing() -> None:
    asked = study()
    states = plain.run(asked, tables())
    arrays = dict(states["logistic"].arrays)
    weights = arrays["weights"].copy()
    weights[0] = 0.0
    found = {**states, "logistic": State({**arrays, "weights": weights})}
    task = plan.find(asked, "explain")
    state = task.start(asked, found)
    total = training.run(task, asked, state, Design(tables()[0]))
    told = task.read(asked, task.finish(asked, state, total))
    (age,) = [each for each in told["importance"] if each["variable"] == "age"]
    assert age["more"] == pytest.approx(0.0, abs=1e-15)


def test_values_beyond_a_declared_range_are_not_tried() -> None:
    asked = study()
    states = plain.run(asked, tables())
    task = plan.find(asked, "explain")
    state = task.start(asked, states)
    for value in (-1.0, 121.0):
        arrays = {**state.arrays, "tried": state.arrays["tried"].copy()}
        arrays["tried"][0] = value
        with pytest.raises(IntegrityError, match="a value to try of age"):
            task.local(asked, State(arrays), tables()[0].rows("test"))


def test_a_text_is_exchanged_whole_and_no_value_of_it_is_tried() -> None:
    words = {"kind": "text", "name": "note", "buckets": 4}
    asked = study(variables=[*clinics.VARIABLES, words])
    assert explain.groups(asked)[-1] == ("note", slice(4, 8))
    assert [each.name for _, each in explain.varied(asked)][-1] == "sex"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"privacy": {"epsilon": 1.0, "delta": 1e-5, "noise": "site"}}, "private form"),
        ({"kind": "cox", "outcome": "survival"}, "not a time"),
    ],
)
def test_what_cannot_be_explained_is_refused_at_once(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        study(**changes)


def test_the_sheets_say_both() -> None:
    asked = study()
    task, states = plan.find(asked, "explain"), plain.run(asked, tables())
    worth, leads = task.show(asked, states["explain"])
    assert worth.rows[0][0] == "chol"
    assert leads.rows[0][0] == "age"
    assert str(leads.rows[2][1]).startswith("none: ")
