"""Studies under masks: the same results, whatever the study, and whoever drops out."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

import client.app
from client import site
from client.door.opened import open_study
from common.errors import (
    IdentityError,
    IntegrityError,
    QuorumError,
    StudyError,
    UsageError,
)
from common.masked import coding
from common.study import Study
from common.task import fingerprint
from common.told import manifest
from common.travel import legs, wire
from server.conduct import asking, masked_round, question, roster, rounds
from server.conduct import voice as voices
from server.conduct.rounds import Outcome, Terms
from simulations import plain
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals

NAMES = ("east", "north", "south", "west")
LEGS = (legs.KEYS, legs.SHARE, wire.ROUND, legs.CONFIRM, legs.UNMASK)
UPLOAD = LEGS.index(wire.ROUND)


def study_of(**changes: Any) -> Study:
    rounds_ = {"quorum": 4, "deadline_seconds": 4, **changes.pop("rounds", {})}
    people = {**clinics.ABOUT, "sites": list(NAMES)}
    return clinics.study(**{"study": people, "rounds": rounds_, **changes})


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait less than in life, and forget what was open."""
    monkeypatch.setattr(question, "GRACE", 0.1)
    monkeypatch.setattr(asking, "LOOK", 0.05)
    for each in (asking, roster):
        monkeypatch.setattr(each, "LOST_FIRST", 0.2)
    client.app.SHELF.held.clear()
    yield
    client.app.SHELF.held.clear()


def bits(outcome: Outcome) -> dict[str, str]:
    return {name: fingerprint(state.arrays) for name, state in outcome.states.items()}


def run(study: Study, grid: InProcess) -> Outcome:
    engine.become(grid.run.run_id)
    keys = str(grid.keys["key"]), str(grid.keys["pinned"])
    return rounds.run(study, grid, terms=Terms(voices.simulated(*keys)))


@dataclass
class Seen:
    """What went over the grid, by kind and site."""

    kinds: list[str] = field(default_factory=list)
    vectors: dict[tuple[int, str, int], np.ndarray] = field(default_factory=dict)


class Watched(InProcess):
    """A grid that writes down what it carries, and on which sites fall silent.

    ``gone`` says from which leg on a node is silent; ``lost`` at which message it loses
    what it holds, as by a restart.
    """

    def __init__(
        self, paths: Iterable[Path], gone: dict[int, str] | None = None
    ) -> None:
        super().__init__(paths, 90)
        self.seen, self.gone, self.silent = Seen(), gone or {}, set[int]()

    def _answer(self, message: Message) -> str:
        node, kind = message.metadata.dst_node_id, message.metadata.message_type
        self.seen.kinds.append(kind)
        if self.gone.get(node) == kind:
            self.silent.add(node)
        number = super()._answer(message)
        reply = self._replies[number]
        if node in self.silent:
            del self._replies[number]
        elif kind == wire.ROUND and reply.has_content():
            answer = wire.read_answer(reply.content)
            self.seen.vectors[node, answer.place.task, answer.place.round] = (
                answer.vector
            )
        return number


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[Path]]:
    study = study_of()
    return study, hospitals(tmp_path_factory.mktemp("world"), study, list(NAMES))


def test_a_steady_round_is_two_legs(world: tuple[Study, list[Path]]) -> None:
    grid = Watched(world[1])
    outcome = run(world[0], grid)
    count = sum(outcome.rounds.values())
    assert grid.seen.kinds.count(wire.ROUND) == grid.seen.kinds.count(legs.UNMASK)
    assert grid.seen.kinds.count(wire.ROUND) == len(NAMES) * count
    assert grid.seen.kinds.count(legs.KEYS) == grid.seen.kinds.count(legs.SHARE) == 4
    assert legs.CONFIRM not in grid.seen.kinds


def test_what_travels_is_uniform_and_never_the_same_twice(
    world: tuple[Study, list[Path]],
) -> None:
    one, two = Watched(world[1]), Watched(world[1])
    assert bits(run(world[0], one)) == bits(run(world[0], two))
    for key, vector in one.seen.vectors.items():
        assert not (vector == two.seen.vectors[key]).any()
    bytes_ = np.concatenate([v.view(np.uint8) for v in one.seen.vectors.values()])
    counts = np.bincount(bytes_, minlength=256)
    expected = len(bytes_) / 256
    assert ((counts - expected) ** 2 / expected).sum() < 340, "chi-square, 255 degrees"
    assert len(bytes_) > 20_000


class Repeating(InProcess):
    """A grid on which the first site answers each *leg* as it did the first time."""

    def __init__(self, paths: Iterable[Path], leg: str) -> None:
        super().__init__(paths, 92)
        self.leg, self.first = leg, dict[str, RecordDict]()

    def _answer(self, message: Message) -> str:
        number, about = super()._answer(message), message.metadata
        if about.message_type == self.leg and about.dst_node_id == 1:
            reply = self._replies[number]
            said = self.first.setdefault(self.leg, reply.content)
            self._replies[number] = Message(said, reply_to=message)
        return number


@pytest.mark.parametrize("leg", [wire.ROUND, legs.UNMASK])
def test_the_answer_of_another_round_is_refused(
    world: tuple[Study, list[Path]], leg: str
) -> None:
    with pytest.raises(IntegrityError, match="answered another question"):
        run(world[0], Repeating(world[1], leg))


@pytest.mark.parametrize("leg", [each for each in LEGS if each != legs.CONFIRM])
def test_a_site_that_is_silent_ends_the_run_by_name(
    world: tuple[Study, list[Path]], leg: str
) -> None:
    """Federated equals pooled: a sum of fewer is not accepted, unless it is asked."""
    study = study_of(rounds={"deadline_seconds": 1})
    paths = world[1]
    for path in paths:
        path.write_text(path.read_text().replace(approved(path), study.digest()))
    grid = Watched(paths, {3: leg})
    if leg == legs.UNMASK:  # its numbers are in the sum, and three can open that
        with pytest.raises(QuorumError, match=r"logistic|missing|incomplete"):
            run(study, grid)
        return
    with pytest.raises(QuorumError, match="round 1 of describe is incomplete") as said:
        run(study, grid)
    assert "no answer from south" in said.value.hints["likely"]


def approved(path: Path) -> str:
    (line,) = [each for each in path.read_text().splitlines() if "approved" in each]
    return line.partition('["')[2].partition('"]')[0]


@pytest.mark.parametrize("leg", [legs.KEYS, legs.SHARE, wire.ROUND])
def test_the_survivors_are_summed_where_the_study_allows_dropouts(
    tmp_path: Path, leg: str, caplog: pytest.LogCaptureFixture
) -> None:
    few = {"dropouts": 1, "deadline_seconds": 3}
    study = study_of(rounds=few, model=None, evaluation=None)
    paths = hospitals(tmp_path, study, list(NAMES))
    grid = Watched(paths, {3: leg})
    with caplog.at_level(logging.INFO, "consilium.server"):
        found = run(study, grid)
    assert "going on without south" in caplog.text
    assert "describe: round 1, 3 sites, " in caplog.text
    assert (found.roster, found.last) == (NAMES, ("east", "north", "west"))
    left = [path for path in paths if path.parent.name != "south"]
    tables = [open_study(site.read(path), study, clinics.TODAY).table for path in left]
    expected = plain.run(study, tables)["describe"].arrays
    for key, array in expected.items():
        np.testing.assert_allclose(found.states["describe"].arrays[key], array, 1e-9)
    assert (legs.CONFIRM in grid.seen.kinds) == (leg == wire.ROUND)


SEVEN = ("east", "hill", "lake", "north", "south", "vale", "west")


@pytest.fixture(scope="module")
def seven(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, list[Path]]:
    """Return a study of seven sites, of which two may be missing."""
    study = study_of(
        study={**clinics.ABOUT, "sites": list(SEVEN)},
        rounds={"quorum": 7, "dropouts": 2, "deadline_seconds": 1},
        model=None,
        evaluation=None,
    )
    return study, hospitals(tmp_path_factory.mktemp("seven"), study, list(SEVEN))


@settings(max_examples=6, deadline=None)
@given(
    gone=st.dictionaries(st.integers(1, 7), st.sampled_from(LEGS), min_size=1).filter(
        lambda each: len(each) <= 2
    )
)
def test_whoever_drops_out_at_any_leg_the_sum_is_that_of_the_survivors(
    seven: tuple[Study, list[Path]], gone: dict[int, str]
) -> None:
    study, paths = seven
    client.app.SHELF.held.clear()
    found = run(study, Watched(paths, gone)).states["describe"].arrays
    before = {node for node, leg in gone.items() if LEGS.index(leg) <= UPLOAD}
    left = [path for node, path in enumerate(paths, 1) if node not in before]
    tables = [open_study(site.read(path), study, clinics.TODAY).table for path in left]
    for key, array in plain.run(study, tables)["describe"].arrays.items():
        np.testing.assert_allclose(found[key], array, 1e-9)


def test_one_dropout_more_ends_the_round_and_nothing_is_opened(tmp_path: Path) -> None:
    study = study_of(rounds={"dropouts": 1, "deadline_seconds": 1})
    paths = hospitals(tmp_path, study, list(NAMES))
    grid = Watched(paths, {2: wire.ROUND, 3: wire.ROUND})
    with pytest.raises(QuorumError, match="round 1 of describe is incomplete"):
        run(study, grid)
    assert legs.UNMASK not in grid.seen.kinds


def test_a_site_that_was_missing_stays_out_to_the_end(tmp_path: Path) -> None:
    """Its sums would not belong to those of the tasks before."""
    study = study_of(rounds={"dropouts": 1, "deadline_seconds": 5})
    paths = hospitals(tmp_path, study, list(NAMES))

    class Back(Watched):
        def _answer(self, message: Message) -> str:
            if message.metadata.message_type == wire.ROUND:
                place = wire.read_place(message.content)
                if place.task == "logistic" and place.round == 2:
                    self.silent.clear()
                    self.gone = {}
            return super()._answer(message)

    grid = Back(paths, {3: wire.ROUND})
    found = run(study, grid)
    assert not grid.silent, "it was back"
    assert not [key for key in grid.seen.vectors if key[0] == 3]
    assert found.states["evaluate"].done


class Restarting(Watched):
    """Loses what a site holds just before it is asked a leg, some times."""

    def __init__(self, paths: list[Path], study: Study, leg: str, times: int) -> None:
        super().__init__(paths)
        self.path, self.study, self.leg, self.left = str(paths[1]), study, leg, times

    def _answer(self, message: Message) -> str:
        about = message.metadata
        if about.dst_node_id == 2 and about.message_type == self.leg and self.left:
            self.left -= 1
            client.app.SHELF.drop(self.path, self.study.digest())
        return super()._answer(message)


@pytest.mark.parametrize("leg", [legs.KEYS, legs.SHARE, wire.ROUND, legs.UNMASK])
def test_a_site_that_restarts_in_any_leg_is_waited_for(
    tmp_path: Path, leg: str
) -> None:
    study = study_of()
    paths = hospitals(tmp_path, study, list(NAMES))
    whole = engine.run(study, paths)
    times = 1 if leg in {legs.KEYS, legs.SHARE} else 2
    outcome = run(study, grid := Restarting(paths, study, leg, times))
    assert bits(outcome) == bits(whole)
    assert grid.left == 0


class Restless(Watched):
    """Has a south that says in one leg, again and again, that it has lost its place."""

    leg, times = wire.ROUND, 0

    def _answer(self, message: Message) -> str:
        about = message.metadata
        if about.dst_node_id != SOUTH or about.message_type != self.leg:
            return super()._answer(message)
        self.times += 1
        self._sent += 1
        number = engine.named(message, self._sent)
        no = Error(legs.UNSEATED, "restarted, id 01234567")
        self._replies[number] = Message(no, reply_to=message)
        return number


SOUTH = 3


def test_a_site_that_never_keeps_its_place_ends_the_round_by_name(
    tmp_path: Path,
) -> None:
    study = study_of(rounds={"deadline_seconds": 1})
    grid = Restless(hospitals(tmp_path, study, list(NAMES)), {})
    with pytest.raises(QuorumError, match=r"describe was begun \d+ times") as ended:
        run(study, grid)
    assert ended.value.missing == ("south",)
    assert f"or says so: south {grid.times} times" in ended.value.hints["likely"]


@pytest.mark.parametrize("leg", [legs.KEYS, legs.SHARE, wire.ROUND])
def test_a_round_that_may_goes_on_without_who_never_keeps_its_place(
    tmp_path: Path, leg: str
) -> None:
    study = study_of(rounds={"dropouts": 1}, model=None, evaluation=None)
    paths = hospitals(tmp_path, study, list(NAMES))
    grid = Restless(paths, {})
    grid.leg = leg
    found = run(study, grid)
    assert grid.times == masked_round.TRIES
    left = [path for path in paths if path.parent.name != "south"]
    tables = [open_study(site.read(path), study, clinics.TODAY).table for path in left]
    for key, array in plain.run(study, tables)["describe"].arrays.items():
        np.testing.assert_allclose(found.states["describe"].arrays[key], array, 1e-9)


def test_an_aggregator_without_keys_says_how_to_do_without(
    world: tuple[Study, list[Path]],
) -> None:
    engine.become(91)
    study = study_of(rounds={"secure_aggregation": True})
    for path in world[1]:
        path.write_text(path.read_text().replace(approved(path), study.digest()))
    with pytest.raises(UsageError, match="masks its sums") as said:
        rounds.run(study, InProcess(world[1], 91))
    assert "secure_aggregation = false" in said.value.hints["fix"]


def test_a_number_beyond_its_limit_names_its_field_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_of()
    paths = hospitals(tmp_path, study, list(NAMES))
    monkeypatch.setattr(coding, "RECORDS", 1.0)
    with (
        caplog.at_level(logging.WARNING, "consilium.client"),
        pytest.raises(QuorumError, match="round 1 of describe is incomplete"),
    ):
        engine.run(study, paths)
    assert "total is beyond its declared limit of 1" in caplog.text


def test_a_sum_that_could_wrap_is_refused_when_the_study_is_read() -> None:
    loud = {"epsilon": 100.0, "delta": 1e-5, "noise": "site"}
    names = [f"site-{number}" for number in range(50)]
    about = {**clinics.ABOUT, "sites": names}
    study = clinics.study(privacy=loud, study=about, rounds={"quorum": 50})
    with pytest.raises(StudyError, match="could wrap around"):
        manifest.lines(study)


def test_a_site_that_answers_another_attempt_is_not_believed(
    world: tuple[Study, list[Path]],
) -> None:
    study = study_of(rounds={"secure_aggregation": True})

    class Other(Watched):
        def _answer(self, message: Message) -> str:
            number = super()._answer(message)
            reply = self._replies[number]
            if message.metadata.message_type == legs.KEYS and reply.has_content():
                reply.content["about"]["attempt"] = 7
            return number

    for path in world[1]:
        path.write_text(path.read_text().replace(approved(path), study.digest()))
    with pytest.raises(IntegrityError, match="answered at another attempt"):
        run(study, Other(world[1]))


@pytest.mark.parametrize("kind", [legs.KEYS, wire.ROUND])
def test_a_site_that_sends_wrong_keys_is_named_before_others_see_them(
    world: tuple[Study, list[Path]], kind: str
) -> None:
    """They would refuse them, and be taken for those who end the round."""
    study, south = study_of(rounds={"secure_aggregation": True}), NAMES.index("south")

    class Wrong(Watched):
        def _answer(self, message: Message) -> str:
            number, about = super()._answer(message), message.metadata
            reply = self._replies[number]
            if (about.message_type, about.dst_node_id) == (kind, south + 1):
                document = legs.heard(reply.content, "keys").parts["keys"][legs.ONE]
                other = document.replace(b'"seed":"', b'"seed":"00')[:-2] + b'"}'
                said = legs.said(reply.content, 1, keys={legs.ONE: other})
                reply.content["about"] = said["about"]
            return number

    for path in world[1]:
        path.write_text(path.read_text().replace(approved(path), study.digest()))
    grid = Wrong(world[1])
    with pytest.raises((IntegrityError, IdentityError), match=r"^south: "):
        run(study, grid)
    assert legs.UNMASK not in grid.seen.kinds
    assert (legs.SHARE in grid.seen.kinds) == (kind == wire.ROUND)
