"""One of four turns its part around in each round: the others leave it out, by name."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import client.app
from common import plan
from common.release import Summands
from common.study import Study
from common.task import Rows, State, fingerprint
from common.tasks.networks import network_rounds, voting
from common.travel import wire
from server.conduct import journal, rounds
from simulations import plain, private
from simulations.dealt import heart
from simulations.engines import engine
from simulations.private import Hospitals
from simulations.worth import result
from tests.simulations.test_heart import DATA as HEART
from tests.simulations.test_heart import needs_data as needs_heart
from tests.simulations.test_resume import Died, Fuse, Mortal
from tests.simulations.test_tabular_network import asked, quality
from tests.simulations.test_votes import Attack, honest, run
from tests.simulations.test_votes_of_skewed_sites import PLAIN, WEIGHTS, learning

VOTED = {"votes": True, "combine": "voted"}
STEADY = (PLAIN, WEIGHTS)
LOST = 0.03


@pytest.fixture(scope="module")
def hearts() -> Hospitals:
    return private.opened(HEART)


@pytest.fixture(scope="module")
def clinics() -> Hospitals:
    return private.opened(None)


@pytest.fixture(autouse=True)
def _nothing_open() -> Iterator[None]:
    client.app.SHELF.held.clear()
    yield
    client.app.SHELF.held.clear()


def left(study: Study, states: dict[str, State]) -> list[str]:
    """Return the names that the report says."""
    task = plan.find(study, "tabular_network")
    found = task.read(study, states["tabular_network"])["left_out"]
    assert isinstance(found, list)
    return found


def last(clinics: Hospitals, place: int) -> Hospitals:
    """Return the hospitals where the one at *place* is the first."""
    order = [place, *(each for each in range(4) if each != place)]
    return replace(clinics, tables=tuple(clinics.tables[each] for each in order))


def turned(number: int, state: State, answer: Summands) -> Summands:
    del number, state
    return {**answer, "sum": -answer["sum"]}


def longer(number: int, state: State, answer: Summands) -> Summands:
    del number, state
    return {**answer, "sum": answer["sum"] * 100.0}


def reached(hearts: Hospitals, training: dict[str, Any], attack: Attack) -> float:
    study = learning(hearts, training)
    return quality(study, run(study, hearts, attack), list(hearts.tables))[0]


@needs_heart
@pytest.mark.parametrize("training", STEADY)
@pytest.mark.parametrize("attack", [honest, longer])
def test_votes_on_parts_cost_four_real_hospitals_little(
    hearts: Hospitals, training: dict[str, Any], attack: Attack
) -> None:
    """When nobody leads astray, and when a part is longer than its records can give."""
    without = reached(hearts, training, honest)
    assert reached(hearts, training | VOTED, attack) > without - LOST


@needs_heart
@pytest.mark.parametrize("training", STEADY)
@pytest.mark.parametrize("place", range(4))
def test_who_turns_every_part_around_costs_four_real_hospitals_little(
    hearts: Hospitals, training: dict[str, Any], place: int
) -> None:
    """Whichever of them it is: the largest has four in ten of all people."""
    bad = last(hearts, place)
    clean = reached(hearts, training, honest)
    assert reached(bad, training | VOTED, turned) > clean - LOST


@pytest.mark.parametrize("training", STEADY)
def test_who_turns_every_part_around_costs_the_demo_little(
    clinics: Hospitals, training: dict[str, Any]
) -> None:
    bad = last(clinics, 1)
    clean = reached(clinics, training, honest)
    assert reached(bad, training, turned) < clean - LOST
    assert reached(bad, training | VOTED, turned) > clean - LOST


def lying(place: int) -> Callable[..., Summands]:
    """Return what trains, where the site at *place* of the study turns it around."""
    trained = network_rounds._trained

    def trains(network: Any, study: Study, state: State, rows: Rows) -> Summands:
        sums = trained(network, study, state, rows)
        bad = len(rows.site) and rows.site[0] == place
        return {**sums, "sum": -sums["sum"]} if bad else sums

    return trains


def approving(place: Path, study: Study) -> list[Path]:
    """Return the real hospitals as folders that approve *study*."""
    heart.write(HEART, place)
    for each in result.folders(place):
        text = each.read_text(encoding="utf-8")
        approved = f'approved = ["{study.digest()}"]\n'
        each.write_text(approved + text, encoding="utf-8")
    return result.folders(place)


@needs_heart
def test_the_report_names_who_was_left_out(
    tmp_path: Path, hearts: Hospitals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through every hospital's own door, message by message."""
    study = learning(hearts, WEIGHTS, **VOTED)
    paths = approving(tmp_path, study)
    monkeypatch.setattr(network_rounds, "_trained", lying(1))
    done = result.simulate(study, paths, engine.in_process())
    states = dict(done.outcome.states)
    assert left(study, states) == [study.study.sites[1]]
    assert "ways" not in states["tabular_network"].arrays
    monkeypatch.undo()
    clean = learning(hearts, WEIGHTS)
    tables = list(hearts.tables)
    best = quality(clean, plain.run(clean, tables), tables)[0]
    assert quality(study, states, tables)[0] > best - LOST


def die() -> None:
    raise Died


def attempt(study: Study, paths: list[Path], folder: Path, fuse: Fuse) -> State:
    """Return what the network has learned, with all that is remembered."""
    engine.become(60)
    with journal.held(folder, study.digest(), wire.PROTOCOL, fuse) as book:
        outcome = rounds.run(study, Mortal(paths, fuse), book)
    return outcome.states["tabular_network"]


def bits(state: State) -> tuple[str, str]:
    return fingerprint(state.arrays), fingerprint(state.kept)


@needs_heart
@pytest.mark.parametrize("combine", ["mean", "voted"])
def test_killed_after_a_way_back_it_goes_on_to_the_same_bits(
    tmp_path: Path, hearts: Hospitals, monkeypatch: pytest.MonkeyPatch, combine: str
) -> None:
    """What was borne, how long steps are and who is left out is in the journal."""
    rate = {"steps": 12, "optimizer": "plain", "rate": 40.0, "votes": True}
    study = learning(hearts, rate, combine=combine)
    paths = approving(tmp_path, study)
    monkeypatch.setattr(network_rounds, "_trained", lying(1))
    monkeypatch.setattr(voting, "WAIT", 1.0)
    monkeypatch.setattr(voting, "EVEN", -1.0)
    whole = Fuse()
    wanted = attempt(study, paths, tmp_path / "whole", whole)
    assert wanted.kept["rolled_back"] >= 1
    ends = [n for n, moment in enumerate(whole.passed) if moment == "name"]
    for moment in ends[-9::2]:
        folder = tmp_path / str(moment)
        with pytest.raises(Died):
            attempt(study, paths, folder, Fuse(moment, die))
        again = attempt(study, paths, folder, Fuse())
        assert bits(again) == bits(wanted)


@pytest.mark.parametrize(
    ("training", "more", "said"),
    [
        ({"combine": "voted"}, {}, "whom the sites' votes are against"),
        (VOTED, {"secure_aggregation": True}, "and masks hide it"),
        (VOTED, {"quorum": 3}, "fewer may open it"),
    ],
)
def test_votes_on_parts_take_every_site_in_clear(
    clinics: Hospitals, training: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    rounds_ = {"quorum": 4, "maximum": 100, "secure_aggregation": False, **more}
    model = {"kind": "tabular_network", "training": {"steps": 3, **training}}
    with pytest.raises(ValidationError, match=said):
        asked(clinics, model=model, rounds=rounds_)
