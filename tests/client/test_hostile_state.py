"""An aggregator that shapes its state to look at one person is refused."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import client.app
from common import plan
from common.release import Array
from common.study import Study
from common.task import State, fingerprint
from common.travel import wire
from simulations import plain
from simulations.engines import engine
from simulations.engines.engine import InProcess
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


def network(kind: str = "tabular_network", **training: object) -> Study:
    """Return the study with a network that learns over four rounds."""
    model = {"kind": kind, "training": {"steps": 4, **training}}
    return clinics.study(model={**model, "dense": [4]})


def first(study: Study, folder: Path) -> tuple[InProcess, dict[str, Array]]:
    """Return a site that has opened *study*, and an honest first state of the fit."""
    engine.become(61)
    grid = InProcess(hospitals(folder, study, ["north"]), 61)
    assert _send(grid, wire.opening(study, "run"), wire.OPEN)
    (opened,) = client.app.SHELF.held.values()
    task = plan.find(study, study.kind)
    found = plain.run(clinics.study(), [opened.table])
    return grid, dict(task.start(study, found).arrays)


def asked(grid: InProcess, study: Study, arrays: Arrays) -> bool:
    """Return whether the site answers the first round of a network from *arrays*."""
    place = wire.Place(
        *(study.digest(), "run", study.kind, 1),
        state=fingerprint(arrays),
        roster=wire.roster(SITES),
        sequence=1,
    )
    return _send(grid, wire.ask(wire.Ask(place, State(arrays), SITES)), wire.ROUND)


STEP = {"a step below none": -1.0, "half a step": 0.5, "a step too many": 5.0}
NETWORK_LIES: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    **{
        name: (
            lambda a, step=step: {**a, "step": np.array([step])},
            f"the state shows step {step:g}, and the study has 4",
        )
        for name, step in STEP.items()
    },
    "a step that is none": (
        lambda a: {**a, "step": np.array([np.nan])},
        "the state step of tabular_network is not finite",
    ),
    "no weights": (
        lambda a: {**a, "parameters": a["parameters"] * np.nan},
        "the state parameters of tabular_network is not finite",
    ),
    "vast weights": (
        lambda a: {**a, "parameters": a["parameters"] + 1e30},
        "the state has parameters beyond 1e\\+06",
    ),
    "a vast best": (
        lambda a: {**a, "best": a["best"] - 1e7},
        "the state has best beyond 1e\\+06",
    ),
    "a weight too few": (
        lambda a: {**a, "parameters": a["parameters"][1:]},
        "the state parameters of tabular_network is",
    ),
    "a moment": (
        lambda a: {**a, "second": -(a["parameters"] ** 2)},
        "a state of tabular_network has other arrays",
    ),
}


@pytest.mark.parametrize("lie", NETWORK_LIES)
def test_a_networks_state_that_cannot_be_is_refused_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lie: str
) -> None:
    study = network(votes=True)
    grid, shown = first(study, tmp_path)
    false, said = NETWORK_LIES[lie]
    try:
        assert not asked(grid, study, false(shown))
        assert re.search(said, caplog.text)
        assert "Traceback" not in caplog.text
        assert asked(grid, study, shown)
    finally:
        client.app.SHELF.held.clear()
