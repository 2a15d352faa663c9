"""A tabular network over the demo's four hospitals: real people, against pooled."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import plan
from common.errors import IntegrityError
from common.release import Summands
from common.study import Study
from common.task import State
from simulations import plain, private
from simulations.private import Hospitals
from simulations.worth import compare

TRAINING = {"steps": 30, "rate": 0.05}
PROMISE = {"epsilon": 3.0, "delta": 1e-5, "noise": "shared", "expected_people": 400}


@pytest.fixture(scope="module")
def clinics() -> Hospitals:
    return private.opened(None)


def asked(clinics: Hospitals, **changes: Any) -> Study:
    document = clinics.study.model_dump(mode="json", exclude_none=True)
    model = {"kind": "tabular_network", "dense": [8], "training": TRAINING}
    rounds = {"quorum": 4, "maximum": 100}
    return Study.model_validate(
        {**document, "model": model, "rounds": rounds, **changes}
    )


def quality(
    study: Study, states: dict[str, State], tables: list[Table]
) -> tuple[float, float]:
    """Return AUC and accuracy over the true test records of all hospitals."""
    rows = plain.pooled(tables).rows("test")
    found = compare.fitted(study, states).predict(rows)
    right = float(np.mean((found >= compare.THRESHOLD) == (rows.y == 1)))
    return float(roc_auc_score(rows.y, found)), right


def test_together_equals_pooled_and_is_as_good_as_scikit_learn(
    clinics: Hospitals,
) -> None:
    study, tables = asked(clinics), list(clinics.tables)
    states = plain.run(study, tables)
    pooled = plain.run(study, [plain.pooled(tables)])["tabular_network"]
    found = states["tabular_network"].arrays["parameters"]
    np.testing.assert_allclose(found, pooled.arrays["parameters"], atol=1e-6)
    rows = plain.pooled(tables).rows("test")
    reference = compare.reference(study, tables).predict(rows)
    auc, _ = quality(study, states, tables)
    assert auc > roc_auc_score(rows.y, reference) - 0.01


def test_a_promise_of_three_leaves_it_accurate(clinics: Hospitals) -> None:
    study, tables = asked(clinics, privacy=PROMISE), list(clinics.tables)
    found = []
    for seed in range(3):
        noise = plain.gaussian(np.random.default_rng(seed))
        found.append(quality(study, plain.run(study, tables, noise), tables)[1])
    assert np.mean(found) >= 0.95


def poisoned(
    study: Study, tables: list[Table], factor: float, *, every: bool = False
) -> dict[str, State]:
    """Run *study* where the first site sends *factor* times its sum, once or always."""
    designs = [Design(each) for each in tables]
    states: dict[str, State] = {}
    for task in plan.tasks(study):
        state = task.start(study, states)
        number = 0
        while not state.done:
            answers: list[Summands] = [
                training.run(task, study, state, each) for each in designs
            ]
            now = every or number == TRAINING["steps"] // 2
            if task.name == "tabular_network" and now:
                bad = {**answers[0], "sum": answers[0]["sum"] * factor}
                answers = [bad, *answers[1:]]
            state = task.finish(study, state, plain.total(task, study, answers))
            number += 1
        states[task.name] = state
    return states


@pytest.mark.parametrize("factor", [100.0, -1.0, -100.0])
def test_one_poisoned_answer_costs_little(clinics: Hospitals, factor: float) -> None:
    study, tables = asked(clinics), list(clinics.tables)
    clean = quality(study, plain.run(study, tables), tables)[0]
    assert quality(study, poisoned(study, tables, factor), tables)[0] > clean - 0.03


def test_who_turns_every_answer_around_costs_little(clinics: Hospitals) -> None:
    study, tables = asked(clinics), list(clinics.tables)
    clean = quality(study, plain.run(study, tables), tables)[0]
    states = poisoned(study, tables, -1.0, every=True)
    assert quality(study, states, tables)[0] > clean - 0.03


@pytest.mark.parametrize("factor", [10.0, -10.0, 100.0, -100.0])
def test_who_multiplies_every_answer_ends_the_study(
    clinics: Hospitals, factor: float
) -> None:
    study, tables = asked(clinics), list(clinics.tables)
    with pytest.raises(IntegrityError, match="of 30 rounds had sums that"):
        poisoned(study, tables, factor, every=True)


def test_who_counts_itself_often_is_taken_back(clinics: Hospitals) -> None:
    study, tables = asked(clinics), list(clinics.tables)
    task = plan.find(study, "tabular_network")
    begun = plan.begin(study, task, plain.run(study, tables))
    rows = Design(tables[0])
    total = dict(training.run(task, study, begun, rows))
    total["records"] = np.array([1e9])
    after = task.finish(study, begun, total)
    kept = begun.arrays["parameters"]
    np.testing.assert_array_equal(after.arrays["parameters"], kept)
    assert after.kept["taken_back"] == 1.0


def test_an_answer_that_is_not_finite_is_refused(clinics: Hospitals) -> None:
    with pytest.raises(IntegrityError, match="not finite"):
        poisoned(asked(clinics), list(clinics.tables), np.nan)
