"""A setting is chosen under a promise: what is charged is what each person can move."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from client.learning import sampling, training
from client.learning.training import Design
from client.table import Table
from common import costs, encoding, plan, promise
from common.privacy import epsilon_of
from common.release import flatten
from common.study import Study
from common.task import Rows, State, Task, model_of
from common.tasks import selection
from common.tasks.private import noised
from common.told import statement
from simulations import plain
from simulations.engines import engine
from tests import clinics
from tests.simulations.test_engine import hospitals

NAMES = ("a", "b", "c", "d")
FOUR = clinics.ABOUT | {"sites": list(NAMES)}
RIDGES, DEPTHS, FOLDS = (1.0, 30.0, 1000.0), (1, 3), 3
COUNTED = ("linear", "poisson")
KINDS: Mapping[str, Mapping[str, Any]] = {
    "linear": {"kind": "linear", "ridge": 1.0},
    "logistic": {"kind": "logistic", "ridge": 1.0},
    "one_shot": {"kind": "logistic", "ridge": 1.0, "one_shot": True},
    "poisson": {"kind": "poisson", "ridge": 1.0},
    "rbf_svm": {"kind": "rbf_svm", "ridge": 1.0, "features": 20},
    "svm": {"kind": "svm", "ridge": 1.0},
    "random_forest": {"kind": "random_forest", "trees": 10, "depth": 3},
}


def study(name: str, epsilon: float = 3.0, **changes: Any) -> Study:
    tried = {"depth": DEPTHS} if name == "random_forest" else {"ridge": RIDGES}
    given: dict[str, Any] = {
        "privacy": {"epsilon": epsilon, "delta": 1e-5, "noise": "shared"},
        "study": FOUR,
        "rounds": {"quorum": 4, "deadline_seconds": 20},
        "outcome": clinics.OUTCOMES["number" if name in COUNTED else "binary"],
        "model": KINDS[name],
        "selection": {**tried, "folds": FOLDS},
    }
    return clinics.study(**{**given, **changes})


def tables(name: str, people: int = 400) -> list[Table]:
    whole = clinics.table(people, 7, "number" if name in COUNTED else "binary")
    return clinics.dealt(whole, np.arange(people) % 4)


def trial(asked: Study, name: str, dealt: list[Table]) -> tuple[Task, State, Rows]:
    """Return the task of the trials as it begins, and the rows of the first site."""
    task = plan.find(asked, name)
    states = plain.run(asked, dealt, plain.gaussian(np.random.default_rng(3)))
    state = plan.begin(asked, task, states)
    return task, state, Design(dealt[0]).rows(asked, task, state)


@pytest.mark.parametrize("name", KINDS)
def test_each_trial_is_the_private_fit_of_the_others_alone(name: str) -> None:
    """Without noise: a person of a fold is predicted by a fit that has not seen it."""
    asked, dealt = study(name), tables(name)
    states = plain.run(asked, dealt)
    task = plan.find(asked, selection.TRIED)
    shown = plan.begin(asked, task, states)
    rows = Design(plain.pooled(dealt)).rows(asked, task, shown)
    error = states[selection.TRIED].arrays["error"]
    low, high = getattr(asked.outcome, "range", (0.0, 1.0))
    alone = np.array([
        sum(_alone(asked, value, fold, states, rows) for fold in range(FOLDS))
        for value in asked.selection.values
    ])  # fmt: skip
    expected = alone / (high - low) ** 2
    np.testing.assert_allclose(error, expected - expected.mean(), atol=1e-6)


def _alone(
    asked: Study, value: float, fold: int, states: Mapping[str, State], rows: Rows
) -> float:
    """Return the squared errors of *fold* by the others' fit with this *value*."""
    out = selection.folds_of(asked, rows) != fold
    ridge = asked.selection.key == "ridge"
    one = selection.settled(asked, value) if ridge else asked
    model = model_of(one)
    state = model.fit.start(one, states)
    if "noise" in state.arrays:  # a trial is told the noise that it has
        noisy = costs.noisy(plan.find(asked, selection.TRIALS))
        share = noised.paid(asked, noisy.weight)
        state.arrays["noise"][:] = promise.of_share(asked, noisy.clip(asked), share)
    while not state.done:
        every = np.full(int(out.sum()), 1.0 - sampling.ROUNDING)
        inside, noisy = rows.take(out), model.fit.noisy
        total = (
            noisy.bounded(one, state, inside, every)
            if noisy.bounded
            else model.fit.local(one, state, inside)
        )
        state = model.fit.finish(one, state, total)
    arrays = dict(state.arrays)
    if asked.selection.key == "depth":
        arrays["feature"] = arrays["feature"].copy()
        arrays["feature"][:, 2 ** int(value) - 1 :] = -1.0
    held = rows.take(~out)
    return float(((model.predict(one, arrays, held) - held.y) ** 2).sum())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("task", [selection.TRIALS, selection.TRIED])
def test_nobody_moves_a_release_further_than_is_paid_for(name: str, task: str) -> None:
    asked = study(name)
    trials, state, rows = trial(asked, task, tables(name))
    noisy = costs.noisy(trials)
    for place in range(40):
        one = rows.take(np.array([place]))
        if noisy.each:
            (row,) = noisy.each(asked, state, one)
        else:
            most = sampling.bounds(np.zeros(1, np.int64), noisy.clip(asked))
            sums = noisy.bounded(asked, state, one, most)
            row = flatten(trials.release(asked), sums)
        assert 0.0 < np.linalg.norm(row) <= noisy.clip(asked) * (1 + 1e-9)


@pytest.mark.parametrize("name", KINDS)
def test_rows_add_up_to_the_sums(name: str) -> None:
    """The site's clipped sums are the formula's own where nothing is clipped."""
    asked, dealt = study(name), tables(name)
    for each in (selection.TRIALS, selection.TRIED):
        task, state, rows = trial(asked, each, dealt)
        own = training.run(task, asked, state, Design(dealt[0]))
        told = task.local(asked, state, rows)
        for array in told:
            near = sampling.ROUNDING if name == "random_forest" else 1e-9
            np.testing.assert_allclose(own[array], told[array], rtol=near, atol=1e-9)


@given(epsilon=st.floats(0.1, 8.0), folds=st.integers(2, 8))
@settings(max_examples=15, deadline=None)
def test_every_trial_is_charged_and_all_is_what_was_promised(
    epsilon: float, folds: int
) -> None:
    asked = study("logistic", epsilon, selection={"ridge": RIDGES, "folds": folds})
    charged = costs.charges(asked)
    assert {selection.TRIALS, selection.TRIED, "logistic"} <= set(charged)
    spent = epsilon_of(costs.events(asked, "train"), 1e-5)
    assert spent == pytest.approx(epsilon, rel=1e-5)
    one, all_ = (costs.noisy(plan.find(asked, n)) for n in ("logistic", "trials"))
    longer = all_.clip(asked) / one.clip(asked)
    assert longer == pytest.approx(np.sqrt(len(RIDGES) * (folds - 1)))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_statement_tells_what_the_selection_costs(language: Any) -> None:
    told = statement.text(study("logistic"), language)
    assert selection.TRIALS in told
    assert selection.TRIED in told


@pytest.mark.parametrize(
    ("name", "chosen"), [("logistic", 1.0), ("one_shot", 1.0), ("svm", 1.0)]
)
def test_what_ruins_a_model_is_not_chosen(name: str, chosen: float) -> None:
    """A ridge of a million leaves no coefficient: with enough people this is seen."""
    asked = study(
        name,
        8.0,
        model={**KINDS[name], "ridge": 1e6},
        selection={"ridge": [chosen, 1e6], "folds": 2},
    )
    dealt = tables(name, 12_000)
    states = plain.run(asked, dealt, plain.gaussian(np.random.default_rng(0)))
    assert selection.chosen(asked, states) == chosen
    found = plan.find(asked, selection.TRIED).read(asked, states[selection.TRIED])
    better, worse = found["candidates"]
    assert worse["difference"] - better["difference"] > 2 * found["noise"]


def test_where_only_noise_is_between_the_models_own_value_stays() -> None:
    asked = study("logistic")
    task = plan.find(asked, selection.TRIED)
    state = State({}, kept={"people": np.array([400.0])})
    noise = promise.of_share(
        asked, np.sqrt(3) / 2, noised.paid(asked, noised.SCORES)
    )  # fmt: skip
    for less, value in ((1.0, 1.0), (2.0, 30.0)):
        error = np.array([0.0, -less * noise, 0.0])
        assert task.finish(asked, state, {"error": error}).arrays["ridge"] == value


@pytest.mark.parametrize("name", ["logistic", "one_shot", "random_forest"])
def test_through_the_doors_of_all_sites_under_masks(name: str, tmp_path: Path) -> None:
    kept = {"epsilon": 3.0, "delta": 1e-5, "noise": "site"}
    asked = study(name, privacy=kept)
    assert asked.masked
    paths = hospitals(tmp_path, asked, list(NAMES))
    for path in paths:
        granted = f"{path.read_text()}\n[budget]\nepsilon = 3.0\n"
        path.write_text(granted)
    outcome = engine.run(asked, paths)
    task = plan.find(asked, selection.TRIED)
    found = task.read(asked, outcome.states[selection.TRIED])
    (sheet,) = task.show(asked, outcome.states[selection.TRIED])
    assert [row[-1] for row in sheet.rows].count("chosen") == 1
    key = asked.selection.key
    assert outcome.states[asked.kind].arrays[key] == found[key]
    settled = plan.settled(asked, outcome.states)
    seen = encoding.seen(
        settled,
        model_of(settled).fit,
        outcome.states[asked.kind].arrays,
        tables(name)[0].rows("test"),
    )
    told = model_of(settled).predict(settled, outcome.states[asked.kind].arrays, seen)
    assert np.isfinite(told).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {
                "model": {"kind": "random_forest", "columns": 3},
                "selection": {"columns": [2, 3]},
            },
            "selection of columns has no private form yet",
        ),
        (
            {"model": KINDS["random_forest"], "selection": {"ridge": [1.0, 2.0]}},
            "ridge is for linear, logistic, multinomial, poisson, rbf_svm, svm, not",
        ),
        (
            {"selection": {"ridge": [2.0, 3.0]}},
            "and that of .model., 1, among them",
        ),
    ],
)
def test_what_has_no_private_form_is_refused_by_name(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        study("logistic", **changes)
