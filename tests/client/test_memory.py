"""A round is answered once: repeated alike, and never from another state or order."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict

import client.app
from client.door import egress
from common import plan
from common.release import Summands
from common.study import Study
from common.task import State, fingerprint
from common.travel import wire
from simulations import plain
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals

Ask = Callable[..., Message]
SITES = ("north", "south")
BEFORE = {"describe": 0, "logistic": 1, "evaluate": 2}


@pytest.fixture
def study() -> Study:
    return clinics.study()


@pytest.fixture
def grid(tmp_path: Path, study: Study) -> InProcess:
    engine.become(50)
    return InProcess(hospitals(tmp_path, study, ["north"]), 50)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down the task of every formula that runs."""
    ran: list[str] = []
    run = egress.training.run

    def counted(task, *rest) -> Summands:  # noqa: ANN001, ANN002 - passed through
        ran.append(task.name)
        return run(task, *rest)

    monkeypatch.setattr(egress.training, "run", counted)
    return ran


def send(grid: InProcess, content: RecordDict, kind: str) -> Message:
    (reply,) = grid.send_and_receive([Message(content, 1, kind)])
    return reply


@pytest.fixture
def ask(grid: InProcess, study: Study) -> Ask:
    """Open the study, and return what asks a round of it."""
    assert send(grid, wire.opening(study, "run"), wire.OPEN).has_content()
    table = client.app.SHELF.find(str(_path(grid)), study.digest()).table
    fitted = plain.run(study, [table])["logistic"].arrays
    shown = plan.find(study, "logistic").shows(study)
    weights = {name: fitted[name] for name in shown}

    def round_(
        task: str, number: int, shift: float = 0.0, run: str = "run", **other: Any
    ) -> Message:
        moved = {**weights, "weights": weights["weights"] + shift}
        arrays = moved if task != "describe" else {}
        if task == "describe" and shift:
            arrays = {"other": np.array([shift])}
        sites = other.get("sites", SITES)
        place = wire.Place(
            *(study.digest(), run, task, number),
            state=fingerprint(arrays),
            roster=wire.roster(sites),
            sequence=other.get("sequence", BEFORE.get(task, 0) + number),
        )
        return send(grid, wire.ask(wire.Ask(place, State(arrays), sites)), wire.ROUND)

    yield round_
    client.app.SHELF.held.clear()


def _path(grid: InProcess) -> str:
    return str(grid._contexts[1].node_config["site"])


def content(reply: Message) -> list[object]:
    about = dict(reply.content.config_records["about"])
    arrays = reply.content.array_records["arrays"]
    return [about, {name: array.data for name, array in arrays.items()}]


def test_the_same_round_again_is_the_same_bytes_computed_once(
    ask: Ask, computed: list[str]
) -> None:
    first = ask("describe", 1)
    assert content(ask("describe", 1)) == content(first)
    assert content(ask("describe", 1)) == content(first)
    assert computed == ["describe"]


def test_a_site_that_restarted_computes_the_same_bytes(
    ask: Ask, computed: list[str], grid: InProcess, study: Study
) -> None:
    ask("describe", 1)
    ask("logistic", 1)
    first = ask("logistic", 2)
    client.app.SHELF.drop(_path(grid), study.digest())
    assert ask("logistic", 2).has_error()
    send(grid, wire.opening(study, "run"), wire.OPEN)
    assert content(ask("logistic", 2)) == content(first)
    assert computed == ["describe", "logistic", "logistic", "logistic"]


def test_opening_again_forgets_nothing(
    ask: Ask, computed: list[str], grid: InProcess, study: Study
) -> None:
    ask("describe", 1)
    send(grid, wire.opening(study, "run"), wire.OPEN)
    ask("describe", 1)
    assert ask("describe", 1, 1.0).has_error()
    assert computed == ["describe"]


@pytest.mark.parametrize(
    ("task", "number", "shift", "says"),
    [
        ("logistic", 2, 1e-15, "from another state: replayed or forked"),
        ("logistic", 1, 0.0, "round 1 does not follow round 2"),
        ("logistic", 4, 0.0, "round 4 does not follow round 2"),
        ("describe", 1, 0.0, "does not follow"),
        ("evaluate", 2, 0.0, "does not follow"),
        ("logistic", 0, 0.0, "has no round 0"),
        ("logistic", 26, 0.0, "has no round 26"),
        ("poisson", 1, 0.0, "has no task 'poisson'"),
    ],
)
def test_a_replay_a_reorder_and_a_fork_are_refused_and_nothing_is_computed(
    ask: Ask,
    computed: list[str],
    caplog: pytest.LogCaptureFixture,
    task: str,
    number: int,
    shift: float,
    says: str,
) -> None:
    ask("logistic", 1)
    before = content(ask("logistic", 2))
    computed.clear()
    with caplog.at_level(logging.WARNING, "consilium.client"):
        reply = ask(task, number, shift)
    assert reply.has_error()
    assert reply.error.reason.startswith("refused, id ")
    assert says in caplog.text
    assert content(ask("logistic", 2)) == before
    assert computed == []
    assert ask("logistic", 3).has_content()


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"sequence": 4}, "round 2 does not follow round 1"),
        ({"sequence": 2}, "round 2 does not follow round 1"),
        ({"sites": ("north",)}, "round 2 is asked of another roster"),
        ({"sites": ("south",)}, "asked of other sites than it may be"),
        ({"sites": ("north", "south", "west")}, "asked of other sites"),
        ({"sites": ("north", "north")}, "asked of other sites"),
        ({"sites": ()}, "asked of other sites"),
    ],
)
def test_a_round_out_of_sequence_or_of_another_roster_is_refused(
    ask: Ask,
    computed: list[str],
    caplog: pytest.LogCaptureFixture,
    other: dict[str, Any],
    says: str,
) -> None:
    ask("describe", 1, sequence=1)
    ask("logistic", 1, sequence=2)
    computed.clear()
    with caplog.at_level(logging.WARNING, "consilium.client"):
        assert ask("logistic", 2, **{"sequence": 3, **other}).has_error()
    assert says in caplog.text
    assert computed == []
    assert ask("logistic", 2, sequence=3).has_content()


def test_the_next_task_may_follow(ask: Ask) -> None:
    for task, number in [("describe", 1), ("logistic", 1), ("evaluate", 1)]:
        assert ask(task, number).has_content()
    assert ask("logistic", 2).has_error()


def test_a_run_that_did_not_open_is_refused(ask: Ask, computed: list[str]) -> None:
    assert ask("describe", 1, run="other").has_error()
    assert computed == []


def test_another_run_ends_the_one_before(
    ask: Ask, grid: InProcess, study: Study, computed: list[str]
) -> None:
    first = ask("logistic", 1)
    send(grid, wire.opening(study, "other"), wire.OPEN)
    assert ask("logistic", 1, 1.0, "other").has_error()
    assert content(ask("logistic", 1, 0.0, "other"))[1] == content(first)[1]
    assert ask("logistic", 1).has_error(), "it is over"
    assert send(grid, wire.opening(study, "run"), wire.OPEN).has_error()
    assert computed == ["logistic", "logistic"]


def test_a_state_that_is_not_what_its_hash_says_is_refused(
    ask: Ask, grid: InProcess, study: Study, computed: list[str]
) -> None:
    who = wire.roster(SITES)
    place = wire.Place(study.digest(), "run", "describe", 1, fingerprint({}), who, 1)
    torn = wire.ask(wire.Ask(place, State({"extra": np.ones(1)}), SITES))
    assert send(grid, torn, wire.ROUND).has_error()
    assert computed == []
    assert ask("describe", 1).has_content()


def test_an_old_close_does_not_close_another_run(
    ask: Ask, grid: InProcess, study: Study
) -> None:
    old = wire.closing(study.digest(), "old")
    assert send(grid, old, wire.CLOSE).has_error()
    assert ask("describe", 1).has_content()
    now = wire.closing(study.digest(), "run")
    assert send(grid, now, wire.CLOSE).has_content()
    assert client.app.SHELF.held == {}
