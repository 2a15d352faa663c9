"""What is hard for a formula, tried with every task: it copes, or says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import site as sites
from client.door import egress
from client.door.opened import Opened
from client.learning import training
from client.learning.training import Design
from client.table import Table
from common import plan
from common.errors import Refusal, StudyError
from common.registry import ANALYSES, MODELS
from common.release import check
from common.study import Study
from simulations import plain
from simulations.worth import compare
from tests import clinics, test_analyses
from tests.test_tasks import odd_tables, study_of, table_of

KINDS = sorted(MODELS)
SITES = ["north", "south", "east"]
SEPARATED = {
    "binary": np.repeat([0.0, 1.0], 45),
    "category": np.repeat([0.0, 1.0, 2.0], 30),
    "number": np.repeat([0.0, 40.0], 45),
    "survival": np.r_[np.full(84, 12.0), 11, 9, 7, 5, 3, 1],
}
"""Outcomes that the age decides alone; of the survivals, the oldest go first."""


def asked(kind: str, **changes: Any) -> Study:
    """Return a study with all that can be told of a model, whatever that is."""
    about = {**clinics.ABOUT, "sites": SITES}
    told = {"test": 0.3, "bins": 200, "by_site": True, "leave_out": 1}
    if kind not in {"cox", "image_network"}:
        told["explain"] = True
    return study_of(kind, **{"study": about, "evaluation": told, **changes})


def weightless(study: Study) -> Study:
    """Return *study* without a ridge."""
    update = {"model": study.model.model_copy(update={"ridge": 0.0})}
    return study.model_copy(update=update)


@pytest.mark.parametrize("odd", sorted(odd_tables("logistic")))
@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_told_of_a_model_is_declared_at_an_odd_site(
    kind: str, odd: str
) -> None:
    study = asked(kind)
    tables = [odd_tables(kind)[odd], table_of(kind), table_of(kind, seed=1)]
    dealt = [
        clinics.dealt(table, np.full(len(table.outcome), place))[place]
        for place, table in enumerate(tables)
    ]
    states = plain.run(study, dealt)
    for task in plan.tasks(study):
        state = task.start(study, states)
        summands = training.run(task, study, state, Design(dealt[0]))
        check(task.release(study), summands)
        json.dumps(task.read(study, states[task.name]), allow_nan=False)
        for sheet in task.show(study, states[task.name]):
            assert all(len(row) == len(sheet.columns) for row in sheet.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_what_separates_is_finite_with_a_ridge_or_a_forest(kind: str) -> None:
    study = study_of(kind, variables=[clinics.VARIABLES[0]])
    found = compare.fitted(study, plain.run(study, [separated(kind)]))
    assert np.isfinite(found.predict(separated(kind).rows("test"))).all()


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if hasattr(study_of(kind).model, "ridge")]
)
def test_what_separates_without_a_ridge_is_finite_or_an_error_that_says_so(
    kind: str,
) -> None:
    study = weightless(study_of(kind, variables=[clinics.VARIABLES[0]]))
    one = separated(kind)
    found = tried(study, one, one)
    if isinstance(found, StudyError):
        assert found.what.endswith(("did not settle", "has no unique solution"))
    else:
        assert np.isfinite(found).all()


def separated(kind: str) -> Table:
    x = np.linspace(20, 90, 90)[:, None]
    y = SEPARATED[MODELS[kind].outcomes[0]]
    return clinics.rows(x, y, np.arange(90) % 9 > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_sites_where_nothing_varies_give_a_finite_model_or_an_error(kind: str) -> None:
    study, odd = study_of(kind), odd_tables(kind)
    states = plain.run(study, [odd["constant"], odd["all missing"]])
    found = compare.fitted(study, states).predict(table_of(kind).rows("test"))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("kind", KINDS)
def test_one_outcome_everywhere_gives_a_finite_model_or_an_error(kind: str) -> None:
    study, whole = study_of(kind), table_of(kind, 80)
    alike = clinics.rows(whole.values, np.ones(80), whole.train)
    found = tried(study, alike, table_of(kind))
    if isinstance(found, StudyError):
        assert found.hints["fix"]
    else:
        assert np.isfinite(found).all()


def tried(study: Study, one: Table, others: Table) -> np.ndarray | StudyError:
    """Return what a model of *one* says of who tests among *others*, or why none."""
    try:
        found = compare.fitted(study, plain.run(study, [one]))
    except StudyError as error:
        return error
    return np.asarray(found.predict(others.rows("test")))


def study_with(name: str) -> Study:
    """Return a study of a model or an analysis that takes thirty people a site."""
    rules = {"min_people": 30, "min_sites": 1}
    if name in MODELS:
        return study_of(name, disclosure=rules)
    told = {"outcome": clinics.DEATH} if name == "survival" else {}
    return clinics.study(
        model=None,
        evaluation=None,
        variables=test_analyses.VARIABLES,
        analysis={name: test_analyses.ASKED[name]},
        disclosure=rules,
        **told,
    )


@pytest.mark.parametrize("name", [*KINDS, *sorted(ANALYSES)])
def test_the_door_lets_out_nothing_of_too_few_people(name: str, tmp_path: Path) -> None:
    study = study_with(name)
    kind = MODELS[name].outcomes[0] if name in MODELS else "binary"
    kind = "survival" if name == "survival" else kind
    local = sites.read(clinics.folder(tmp_path, clinics.lines()))
    for people, enough in ((300, True), (35, False)):
        table = clinics.table(people, 0, kind)
        opened = Opened(local, study, study.digest(), table, Design(table))
        if enough:
            egress.enough(opened)
            continue
        with pytest.raises(Refusal, match=r"has fewer people for \w+ than its floor"):
            egress.enough(opened)
