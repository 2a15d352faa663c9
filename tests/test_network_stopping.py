"""Networks: when they stop by themselves, and a rare outcome that is heard."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import release
from common.errors import IntegrityError, StudyError
from common.sections.networks import Training
from common.study import Study
from common.task import State
from common.tasks.networks import class_weights, early_stopping, tabular_network, voting
from simulations import plain
from simulations.engines import engine
from simulations.worth import compare
from tests import clinics
from tests.test_networks import KINDS, NETWORKS, PRIVACY, asked, begun
from tests.test_tasks import table_of

WATCH = {"patience": 2, "every": 3}


def long(**changes: Any) -> Study:
    """Return a study of a network that is much too large for its people."""
    model = {"kind": "tabular_network", "dense": [64, 64]}
    learns = {"steps": 90, "rate": 0.03, "clip": 100.0, **changes}
    rounds = {"quorum": 1, "maximum": 100}
    return clinics.study(rounds=rounds, model={**model, "training": learns})


def lost(study: Study, states: dict[str, State], whole: Table) -> float:
    rows = whole.rows("test")
    return voting.loss(compare.fitted(study, states).predict(rows), rows.y)


def test_learning_stops_where_those_held_out_lose_least() -> None:
    whole = clinics.table(300)
    watched, blind = long(**WATCH), long()
    stopped, ran = (plain.run(study, [whole]) for study in (watched, blind))
    state = stopped["tabular_network"]
    steps = int(state.arrays["step"][0])
    assert steps < 60
    assert (steps - 1) % 3 == 0
    np.testing.assert_array_equal(state.arrays["parameters"], state.kept["least_at"])
    found = tabular_network.TABULAR_NETWORK.fit.read(watched, state)
    assert found["steps"] == steps
    assert int(ran["tabular_network"].arrays["step"][0]) == 90
    assert lost(watched, stopped, whole) < lost(blind, ran, whole) - 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_is_the_same_however_people_are_dealt(kind: str) -> None:
    study, whole = asked(kind, {**WATCH, "steps": 8}), table_of(kind, 200)
    pooled = plain.run(study, [whole])[kind]
    dealt = plain.run(study, clinics.split(whole, np.arange(200) % 3))[kind]
    assert pooled.kept["least"][0] < early_stopping.WORST
    np.testing.assert_allclose(pooled.kept["least"], dealt.kept["least"], atol=1e-4)


def test_only_a_round_that_looks_tells_of_those_held_out() -> None:
    study, whole = asked("tabular_network", {**WATCH, "steps": 9}), clinics.table(200)
    task, state = begun(study, whole)
    fields = task.release(study)
    for step in range(5):
        shown = replace(state, arrays={**state.arrays, "step": np.array([float(step)])})
        sums = training.run(task, study, shown, Design(whole))
        release.check(fields, sums)
        people = int(whole.train.sum()) - int(sums["records"][0])
        assert sums["held_out"][0] == (people if step == 3 else 0)
        assert (sums["held_loss"][0] > 0) == (step == 3)
    assert 0.1 < people / whole.train.sum() < 0.3


def test_too_few_held_out_tell_nothing_and_the_study_says_so() -> None:
    few = {"disclosure": {"min_people": 40}}
    study = asked("tabular_network", {**WATCH, "steps": 9}, **few)
    with pytest.raises(StudyError, match="held out"):
        plain.run(study, [clinics.table(200)])


@pytest.mark.parametrize(
    ("records", "loss"), [(50.0, -1e9), (50.0, 50 * 20.1), (1e9, 1e9)]
)
def test_impossible_losses_end_the_study(records: float, loss: float) -> None:
    """Otherwise one site says which model is kept: no later one is better then."""
    study, whole = asked("tabular_network", {**WATCH, "steps": 9}), clinics.table(200)
    task, state = begun(study, whole)
    shown = replace(state, arrays={**state.arrays, "step": np.array([3.0])})
    sums = training.run(task, study, shown, Design(whole))
    sent = {"held_out": np.array([records]), "held_loss": np.array([loss])}
    with pytest.raises(IntegrityError, match="have a mean loss of"):
        task.finish(study, shown, {**sums, **sent})


def test_a_loss_without_end_counts_as_the_worst() -> None:
    held = clinics.table(60).rows("train")
    found = early_stopping.seen(np.full(len(held.y), np.nan), held)
    assert found["held_loss"] == early_stopping.WORST * len(held.y)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"patience": 2, "votes": True}, "choose one"),
        ({"patience": 2, "combine": "median"}, "adds up the losses"),
        ({"every": 3}, "only with a patience"),
        ({"prevalence": 0.0}, "greater than 0"),
    ],
)
def test_what_does_not_go_together_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Training(**said)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(
    prevalence=st.floats(0.02, 0.98),
    clip=st.sampled_from([0.05, 1.0, 1e4]),
    seed=st.integers(0, 10**6),
)
def test_a_weighed_gradient_is_clipped_after_its_weight(
    kind: str, prevalence: float, clip: float, seed: int
) -> None:
    study, whole = asked(kind, {"prevalence": prevalence}), table_of(kind, 60, seed)
    task, state = begun(study, whole)
    rows = Design(whole).rows(study, task, state).take(np.arange(3))
    network, learns = NETWORKS[kind], study.model.training  # type: ignore[union-attr]
    exact = lambda p, r, b: network.gradient(study, p, r, b, 0)  # noqa: E731
    shown = state.arrays["parameters"]
    found, _ = class_weights.weighed(learns, exact)(shown, rows, np.full(3, clip))
    expected = np.zeros_like(shown)
    for place in range(3):
        one = rows.take(np.array([place]))
        weight = class_weights.of(learns)[int(one.y[0])]
        slope = weight * exact(shown, one, np.array([1e6]))[0]
        expected += slope * min(1.0, clip / np.linalg.norm(slope))
    scale = max(1.0, float(np.linalg.norm(expected)))
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-5)
    assert np.linalg.norm(found) <= 3 * clip * (1 + 1e-6)


def test_a_rare_outcome_is_found_more_often_when_it_weighs_more() -> None:
    whole = clinics.table(600, seed=3)
    draw = np.random.default_rng(1)
    rare = np.flatnonzero((whole.outcome == 0) | (draw.random(600) < 0.12))
    (whole,) = clinics.split(whole, np.where(np.isin(np.arange(600), rare), 0, 1))[:1]
    share = float(whole.outcome.mean())
    assert share < 0.2
    learns = {"steps": 30, "clip": 100.0}
    rows = whole.rows("test")
    found = {}
    for name, more in {"plain": {}, "heard": {"prevalence": share}}.items():
        study = asked("tabular_network", {**learns, **more})
        chance = compare.fitted(study, plain.run(study, [whole])).predict(rows)
        found[name] = float((chance[rows.y == 1] >= 0.5).mean())
    assert found["heard"] > found["plain"] + 0.2


def test_a_promise_costs_the_same_with_weights() -> None:
    plainly, heard = (
        asked("tabular_network", each, privacy=PRIVACY)
        for each in ({}, {"prevalence": 0.1})
    )
    whole = clinics.table(60)
    for study in (plainly, heard):
        task, state = begun(study, whole)
        person = np.arange(len(whole.outcome))
        sums = training.run(task, study, state, Design(replace(whole, person=person)))
        people = float(whole.train.sum())
        assert np.linalg.norm(sums["gradient"]) <= people * (1 + 1e-9)


def test_a_masked_study_stops_early(tmp_path: Path) -> None:
    learns = {"steps": 30, "rate": 0.05, "patience": 1, "every": 2}
    study = clinics.study(
        study={**clinics.ABOUT, "sites": ["east", "north", "south"]},
        model={"kind": "tabular_network", "dense": [8], "training": learns},
        rounds={"quorum": 3, "maximum": 30},
    )
    assert study.masked
    done = engine.run(study, clinics.hospitals(tmp_path, study, 120))
    state = done.states["tabular_network"]
    assert 1 < state.arrays["step"][0] < 30
