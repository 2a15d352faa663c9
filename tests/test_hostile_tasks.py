"""An aggregator that asks one site another task than the rest: nobody opens the sum.

Two tasks of one study may show and release arrays of the same shapes. Where the sums of
one have zeros, the other's would stand alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, RecordDict

import client.app
from common import plan
from common.encoding import bounds, columns
from common.masked import circle as circles
from common.masked import coding, fixed_point
from common.masked.circle import Round, View
from common.study import Study
from common.task import State, fingerprint
from common.travel import legs, wire
from common.travel.pinned import Pinned
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals
from tests.simulations.test_masked_study import NAMES, study_of

RUN = 99
OTHER = {"north": "logistic"}
"""What one site is asked, and the rest is not."""


def twins() -> Study:
    """Return a study of two tasks that look alike on the wire."""
    known = [each for each in clinics.VARIABLES if each["name"] != "chol"]
    sure = [
        {**each, "missing": "exclude"} if each["name"] == "sex" else each
        for each in known
    ]
    effect = {"treatment": "sex", "covariates": ["age"]}
    return study_of(variables=sure, analysis={"treatment_effect": effect})


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[InProcess]:
    client.app.SHELF.held.clear()
    engine.become(RUN)
    yield InProcess(hospitals(tmp_path, twins(), list(NAMES)), RUN)
    client.app.SHELF.held.clear()


def shown(study: Study) -> State:
    """Return a state that either task may show."""
    ends = np.array([bounds(study, each) for each in columns(study)])
    middle, quarter = ends.mean(axis=1), (ends[:, 1] - ends[:, 0]) / 4
    weights = np.zeros(plan.find(study, "logistic").shows(study)["weights"])
    return State(
        {"centre": middle, "fill": middle, "scale": quarter, "weights": weights}
    )


def asked(grid: InProcess, site: str, content: RecordDict, kind: str) -> Message:
    (reply,) = grid.send_and_receive([Message(content, NAMES.index(site) + 1, kind)])
    return reply


def leg(grid: InProcess, place: wire.Place, kind: str, **said: dict) -> dict:
    """Ask a leg of every site; return what each said, or nothing from who refused."""
    found = {}
    for site in NAMES:
        content = legs.said(wire.asking(place, NAMES), 1, **said)
        reply = asked(grid, site, content, kind)
        if reply.has_content():
            found[site] = reply.content
    return found


@pytest.mark.parametrize("other", [{}, OTHER])
def test_a_site_asked_another_task_is_opened_by_nobody(
    grid: InProcess, other: dict[str, str]
) -> None:
    study = twins()
    first, second = (plan.find(study, n) for n in ("treatment_models", "logistic"))
    assert first.shows(study) == second.shows(study)
    parts = coding.parts(study, first)
    coded = fixed_point.digest(parts, len(NAMES))
    assert coded == fixed_point.digest(coding.parts(study, second), len(NAMES))
    for site in NAMES:
        assert asked(grid, site, wire.opening(study, "r"), wire.OPEN).has_content()
    state = shown(study)
    place = wire.Place(
        *(study.digest(), "r", first.name, 1, fingerprint(state.arrays)),
        *(wire.roster(NAMES), 1),
    )
    keys = {
        site: legs.heard(said, "keys").parts["keys"][legs.ONE]
        for site, said in leg(grid, place, legs.KEYS).items()
    }
    boxes = {
        site: legs.heard(said, "boxes").parts["boxes"]
        for site, said in leg(grid, place, legs.SHARE, keys=keys).items()
    }
    confirmed = {}
    for site in NAMES:
        at = replace(place, task=other.get(site, place.task))
        question = wire.ask(wire.Ask(at, state, NAMES))
        content = legs.said(question, 1, boxes=legs.flat(boxes))
        reply = asked(grid, site, content, wire.ROUND)
        said = legs.heard(reply.content, "confirmation").parts["confirmation"]
        confirmed[site] = said[legs.ONE]
    circle = Pinned.read(str(grid.keys["pinned"])).circle(place, 1, NAMES)
    asks = Round(place.task, place.round, place.state)
    view = View(circle, circles.keys_hash(keys), tuple(sorted(NAMES)), asks, coded)
    key = engine.key_of(engine.AGGREGATOR)
    listed = {legs.ONE: circles.survivors_document(view, NAMES, key)}
    opened = leg(
        *(grid, place, legs.UNMASK),
        survivors=listed,
        confirmations=confirmed,
        keys={},
    )
    assert set(opened) == (set() if other else set(NAMES))
