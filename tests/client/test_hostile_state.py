"""An aggregator that shapes its state to look at one person is refused."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import client.app
from common import plan, wire
from common.release import Array
from common.study import Study
from common.task import State, fingerprint
from simulations import engine, plain
from simulations.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals

SITES = ("north", "south")


@pytest.fixture
def study() -> Study:
    return clinics.study()


@pytest.fixture
def grid(tmp_path: Path, study: Study) -> Iterator[InProcess]:
    engine.become(60)
    grid = InProcess(hospitals(tmp_path, study, ["north"]), 60)
    assert _send(grid, wire.opening(study, "run"), wire.OPEN)
    yield grid
    client.app.SHELF.held.clear()


@pytest.fixture
def honest(grid: InProcess, study: Study) -> dict[str, Array]:
    """Return the first state of the fit, as an honest aggregator would send it."""
    del grid  # it has opened the study
    (opened,) = client.app.SHELF.held.values()
    states = plain.run(study, [opened.table])
    return dict(plan.find(study, "logistic").start(study, states).arrays)


def _send(grid: InProcess, content: object, kind: str) -> bool:
    (reply,) = grid.send_and_receive([client.app.Message(content, 1, kind)])
    return bool(reply.has_content())


def answered(
    grid: InProcess, study: Study, arrays: dict[str, Array], number: int = 1
) -> bool:
    """Return whether the site answers a round of the fit from *arrays*."""
    place = wire.Place(
        *(study.digest(), "run", "logistic", number),
        state=fingerprint(arrays),
        roster=wire.roster(SITES),
        sequence=number,
    )
    return _send(grid, wire.ask(wire.Ask(place, State(arrays), SITES)), wire.ROUND)


def test_an_honest_state_is_answered(
    grid: InProcess, study: Study, honest: dict[str, Array]
) -> None:
    assert answered(grid, study, honest)


Arrays = dict[str, Array]
LIES: dict[str, Callable[[Arrays], Arrays]] = {
    "one centre a person": lambda a: {**a, "centre": np.tile(a["centre"][:, None], 42)},
    "short": lambda a: {**a, "weights": a["weights"][:-1]},
    "not finite": lambda a: {**a, "weights": np.full_like(a["weights"], np.nan)},
    "coarse": lambda a: {**a, "weights": a["weights"].astype(np.float32)},
    "more": lambda a: {**a, "more": a["weights"]},
    "less": lambda a: {name: a[name] for name in ("centre", "scale", "fill")},
    "centre outside": lambda a: {**a, "centre": a["centre"] + 1e4},
    "fill outside": lambda a: {**a, "fill": a["fill"] - 1e4},
    "negative": lambda a: {**a, "scale": a["scale"] * -1},
    "wide": lambda a: {**a, "scale": a["scale"] + 1e4},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_state_that_is_not_as_declared_is_refused(
    grid: InProcess, study: Study, honest: Arrays, lie: str
) -> None:
    assert not answered(grid, study, LIES[lie](honest))


def test_a_second_encoding_in_one_study_is_refused(
    grid: InProcess, study: Study, honest: dict[str, Array]
) -> None:
    assert answered(grid, study, honest)
    other = {**honest, "scale": honest["scale"] / 2}
    assert not answered(grid, study, other, number=2)
