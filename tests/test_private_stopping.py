"""A network under a promise that stops by itself: what a look costs and saves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from client import site as sites
from client.books import spending
from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import costs, privacy
from common.release import flatten
from common.study import Study
from common.task import State
from common.tasks.networks import early_stopping, private_stopping, voting
from common.told import advice, statement
from simulations import plain
from simulations.attacks import audit
from simulations.engines import engine
from simulations.worth import compare
from tests import clinics
from tests.client.test_home import decide
from tests.test_networks import KINDS, asked, begun
from tests.test_tasks import table_of

PRIVACY = {"epsilon": 8.0, "delta": 1e-5, "noise": "site"}
LOOKS = {"patience": 2, "every": 4}


def long(kept: dict[str, Any] | str = PRIVACY, **changes: Any) -> Study:
    """Return a study of a network that has learned all there is after a while."""
    learns = {"steps": 100, "rate": 0.05, "clip": 4.0, **LOOKS, **changes}
    model = {"kind": "tabular_network", "dense": [8], "training": learns}
    rounds = {"quorum": 1, "maximum": 100}
    return clinics.study(rounds=rounds, model=model, privacy=kept)


def lost(study: Study, states: dict[str, State], whole: Table) -> float:
    rows = whole.rows("test")
    return voting.loss(compare.fitted(study, states).predict(rows), rows.y)


def without(whole: Table, one: int) -> Table:
    """Return *whole* as if a person had never come."""
    stays = whole.person != one
    names = ("values", "outcome", "train", "person", "key", "images")
    return replace(whole, **{name: getattr(whole, name)[stays] for name in names})


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.1, 3.0, 1e3]))
def test_a_person_moves_gradients_or_losses_and_by_the_clip_at_most(
    kind: str, seed: int, scale: float
) -> None:
    draw = np.random.default_rng(seed)
    study = asked(kind, {"clip": 0.7, **LOOKS}, privacy=PRIVACY)
    person = np.sort(draw.integers(0, 12, 40))
    whole = replace(table_of(kind, 40, seed), train=np.ones(40, bool), person=person)
    whole = replace(whole, key=person.astype(np.uint64) + np.uint64(seed))
    task, state = begun(study, whole)
    shown = state.arrays["parameters"]
    wild = draw.normal(size=len(shown)) * scale
    moved = State({**state.arrays, "parameters": wild})
    sums = training.run(task, study, moved, Design(whole))
    sides = set()
    for one in np.unique(person):
        fewer = training.run(task, study, moved, Design(without(whole, one)))
        far = flatten(task.release(study), sums) - flatten(task.release(study), fewer)
        assert np.linalg.norm(far) <= costs.noisy(task).clip(study)
        side = abs(far[-1]) > 1e-6
        assert np.linalg.norm(far[:-1]) < 1e-5 or not side
        sides.add(bool(side))
    assert (
        True in sides
        or not voting.held(
            study.model.training,  # type: ignore[union-attr]
            Design(whole).rows(study, task, moved),
        ).any()
    )


def test_a_loss_is_clipped_and_what_is_none_counts_as_nothing() -> None:
    score = np.array([0.5, 1e-9, 1.0, np.nan, 1.0 - 1e-12])
    outcome, bounds = np.array([1.0, 1, 1, 1, 0]), np.array([0.7, 0.7, 0.35, 0.7, 0.7])
    found = private_stopping.seen(score, outcome, bounds)["held_loss"]
    even = np.log(2) - 1.0
    assert found == pytest.approx(0.7 * even + 0.7 - 0.35 + 0.0 + 0.7, abs=1e-6)


def test_it_stops_once_it_has_learned_and_is_as_good() -> None:
    whole = clinics.table(8000)
    study, blind = long(), long(patience=0, every=5)
    noise = plain.gaussian(np.random.default_rng(3))
    states = plain.run(study, [whole], noise)
    state = states["tabular_network"]
    steps = int(state.arrays["step"][0])
    assert 8 <= steps <= 60
    assert steps % 4 == 0
    np.testing.assert_array_equal(state.arrays["parameters"], state.kept["least_at"])
    ran = plain.run(blind, [whole], noise)
    assert lost(study, states, whole) < lost(blind, ran, whole) + 0.02
    task = begun(study, whole)[0]
    told = task.read(study, state)
    assert told["look_noise"] == pytest.approx(float(state.kept["noise"][0]))
    assert abs(float(str(told["least_loss"])) - lost(study, states, whole)) < 0.1


def test_the_noise_of_a_look_is_what_it_is_said_to_be() -> None:
    study, whole = long(), clinics.table(2000)
    task, state = begun(study, whole)
    exact = training.run(task, study, state, Design(whole))["held_loss"]
    deviation = costs.deviation(study, task) * np.sqrt(2)  # of two sites
    draw = np.random.default_rng(0)
    looks = []
    for _ in range(300):
        now, shown = state, state.arrays["parameters"]
        for step in range(4):
            at = np.array([float(step)])
            arrays = {**state.arrays, "parameters": shown, "step": at}
            noisy = {"held_loss": exact + draw.normal(0, deviation, 1)}
            moved = State({**arrays, "step": at + 1.0}, {})
            before = State(arrays, {**state.kept, **now.kept})
            now = private_stopping.judged(
                study.model.training,  # type: ignore[union-attr]
                before,
                noisy,
                moved,
            )
        looks.append(float(now.kept["least"][0]))
    assert np.std(looks) == pytest.approx(float(state.kept["noise"][0]), rel=0.15)


def test_what_drowns_in_noise_is_not_judged_and_study_check_says_so() -> None:
    study, whole = long({**PRIVACY, "epsilon": 0.3}, steps=20), clinics.table(200)
    noise = plain.gaussian(np.random.default_rng(3))
    state = plain.run(study, [whole], noise)["tabular_network"]
    assert int(state.arrays["step"][0]) == 20
    assert begun(study, whole)[0].read(study, state)["least_loss"] is None
    few, many = (
        advice.noise(long({**PRIVACY, "expected_people": people}))
        for people in (100, 10_000)
    )
    assert "it will not stop early" in few
    assert "in the mean loss of people held out" in many
    assert "it will not stop early" not in many


def test_what_was_not_asked_is_not_charged(tmp_path: Path) -> None:
    """Outcomes are a coin's here: there is nothing to learn, and it soon stops."""
    kept = {**PRIVACY, "epsilon": 20.0}
    study = long(kept, steps=40, patience=1)
    paths = clinics.hospitals(tmp_path, study, 700)
    for path in paths:
        budget = "\n[budget]\nepsilon = 20.1\ndelta = 1e-5\n"
        path.write_text('home = "state"\n' + path.read_text() + budget)
        decide(path, study)
    outcome = engine.run(study, paths)
    rounds = outcome.rounds["tabular_network"]
    assert 8 <= rounds < 40
    event = costs.charges(study)["tabular_network"]
    for path in paths:
        entries = sites.read(path).entries()
        (account,) = spending.accounts(entries, clinics.TODAY)
        charged = [e for e in account.charges if e.task == "tabular_network"]
        assert [each.round for each in charged] == list(range(1, rounds + 1))
        assert {each.event for each in charged} == {event}
        assert account.committed() == account.spent(), "the rest is free again"
    whole = privacy.epsilon_of(spending.whole(study), 1e-5)
    train = [e.event for e in account.charges if e.split == "train"]
    assert whole == pytest.approx(20.0)
    assert privacy.epsilon_of(train, 1e-5) < 0.8 * whole


def test_a_look_costs_nothing_more() -> None:
    looks, blind = long(), long(patience=0, every=5)
    assert costs.charges(looks) == costs.charges(blind)
    assert early_stopping.BETTER > 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_statement_says_who_pays(language: Any) -> None:
    told = {each.key: each.answer for each in statement.answers(long(), language)}
    assert "100" in told["stopping"]
    assert "0.2" in told["stopping"]
    blind = statement.answers(long(patience=0, every=5), language)
    assert "stopping" not in {each.key for each in blind}


def test_what_ships_keeps_its_promise() -> None:
    study = long({**PRIVACY, "epsilon": 1.0}, steps=12)
    found = audit.audit(study, 8000)
    assert found.holds
    assert 0.3 < found.lower <= 1.0


@pytest.mark.parametrize(
    ("changes", "rounds", "why"),
    [
        ({"sample": 0.5}, {}, "a sample has hardly any of them"),
        ({}, {"quorum": 5, "dropouts": 1}, "a round may lack some of them"),
    ],
)
def test_looks_at_others_each_time_are_refused(
    changes: dict[str, Any], rounds: dict[str, Any], why: str
) -> None:
    names = ["a", "b", "c", "d", "e"]
    with pytest.raises(ValidationError, match=why):
        asked(
            "tabular_network",
            {**LOOKS, **changes},
            privacy=PRIVACY,
            study={**clinics.ABOUT, "sites": names},
            rounds={"quorum": 5, "maximum": 100, **rounds},
        )
