"""A question that is lost is asked again, and every site is counted once."""

import itertools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

import client.app
from common import wire
from common.errors import QuorumError
from common.study import Study
from common.task import fingerprint
from server import asking, roster, rounds
from server.rounds import Outcome, Terms
from simulations import engine
from simulations.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals

NAMES = [f"site-{k}" for k in range(10)]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take a message for lost sooner than in life, and forget what was open."""
    monkeypatch.setattr(asking, "LOST_FIRST", 0.05)
    monkeypatch.setattr(asking, "LOOK", 0.05)
    monkeypatch.setattr(roster, "LOST_FIRST", 0.05)
    monkeypatch.setattr(asking, "LOST_LAST", 0.1)
    monkeypatch.setattr(roster, "LOST_LAST", 0.1)
    client.app.SHELF.held.clear()
    yield
    client.app.SHELF.held.clear()


def bits(outcome: Outcome) -> dict[str, str]:
    return {name: fingerprint(state.arrays) for name, state in outcome.states.items()}


def world(tmp_path: Path, names: list[str]) -> tuple[Study, list[Path]]:
    rules = {"quorum": 1, "deadline_seconds": 2, "secure_aggregation": False}
    study = clinics.study(study={**clinics.ABOUT, "sites": names}, rounds=rules)
    return study, hospitals(tmp_path, study, names)


def is_round(message: Message) -> bool:
    return message.metadata.message_type == wire.ROUND


class Lossy(InProcess):
    """Loses every third message on its way to a site, and every third answer."""

    count = itertools.count()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        numbers = []
        for message in messages:
            if next(self.count) % 3 == 0:
                numbers.append(f"lost {next(self.count)}")
            else:
                numbers.append(self._answer(message))
        return numbers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = super().pull_messages(message_ids)
        return [reply for reply in replies if next(self.count) % 3]


def test_what_is_lost_is_asked_again(tmp_path: Path) -> None:
    study, paths = world(tmp_path, ["north", "south"])
    engine.become(70)
    assert bits(rounds.run(study, Lossy(paths, 70), terms=PATIENT)) == bits(
        engine.run(study, paths)
    )


PATIENT = Terms(waits=lambda: True)


class Slow(InProcess):
    """Hands an answer over only when its question was asked twice."""

    def __init__(self, sites: list[Path], run: int) -> None:
        super().__init__(sites, run)
        self.asked: dict[tuple[int, str, int], int] = {}
        self.both = 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        told = list(messages)
        for message in told:
            if is_round(message):
                place = wire.read_place(message.content)
                key = (message.metadata.dst_node_id, place.task, place.round)
                self.asked[key] = self.asked.get(key, 0) + 1
        return super().push_messages(told)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = list(message_ids)
        replies = [self._replies[each] for each in wanted if each in self._replies]
        if any(is_round(each) for each in replies) and len(replies) < 2:
            return []
        self.both += len(replies) > 1
        return super().pull_messages(wanted)


def test_a_site_that_was_asked_twice_and_answers_twice_counts_once(
    tmp_path: Path,
) -> None:
    study, paths = world(tmp_path, ["north"])
    engine.become(71)
    grid = Slow(paths, 71)
    assert bits(rounds.run(study, grid)) == bits(engine.run(study, paths))
    assert grid.both >= 3
    assert min(grid.asked.values()) >= 2


class Renewed(InProcess):
    """Has its second site under another number from the third round on."""

    seen = 0

    def get_node_ids(self) -> Iterable[int]:
        return [1, 3] if self.seen > 4 else [1, 2]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        numbers = []
        for message in messages:
            self.seen += is_round(message)
            there = message.metadata.dst_node_id in set(self.get_node_ids())
            numbers.append(self._answer(message) if there else "gone")
        return numbers


def test_a_site_that_comes_back_as_another_node_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study, paths = world(tmp_path, ["north", "south"])
    engine.become(72)
    grid = Renewed([*paths, paths[1]], 72)
    with caplog.at_level(logging.INFO, "consilium.server"):
        outcome = rounds.run(study, grid)
    assert bits(outcome) == bits(engine.run(study, paths))
    assert "south has left" in caplog.text
    assert "south has opened the study again" in caplog.text


class Shuffled(InProcess):
    """Answers in any order, and counts how many are handed over at a time."""

    most, draw = 0, np.random.default_rng(0)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(super().pull_messages(message_ids))
        nodes = {each.metadata.src_node_id for each in replies if is_round(each)}
        self.most = max(self.most, len(nodes))  # a slow one may be asked twice
        return [replies[k] for k in self.draw.permutation(len(replies))]


def test_a_few_answers_at_a_time_and_the_same_bits_in_any_order(
    tmp_path: Path,
) -> None:
    study, paths = world(tmp_path, NAMES)
    engine.become(73)
    grid = Shuffled(paths, 73)
    assert bits(rounds.run(study, grid)) == bits(engine.run(study, paths[::-1]))
    assert grid.most == asking.WINDOW


class Mute(InProcess):
    """Has a site that never answers a round."""

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = super().pull_messages(message_ids)
        return [
            each
            for each in replies
            if not (is_round(each) and each.metadata.src_node_id == 2)
        ]


def test_a_silent_site_is_named_in_log_progress_and_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = {"quorum": 1, "deadline_seconds": 1}
    study = clinics.study(rounds=rules)
    paths = hospitals(tmp_path, study, ["north", "south"])
    told: list[tuple[str, tuple[str, ...]]] = []
    engine.become(74)
    terms = Terms(tell=lambda *what: told.append(what))
    with pytest.raises(QuorumError, match="round 1 of describe") as caught:
        rounds.run(study, Mute(paths, 74), terms=terms)
    assert told[-1] == ("round 1 of describe", ("south",))
    assert "no answer from south within 1 s" in caught.value.hints["likely"]
    assert "waiting for south since" in caplog.text


def test_a_study_waits_for_those_who_have_not_opened_it_yet(tmp_path: Path) -> None:
    study, paths = world(tmp_path, ["north", "south"])
    closed = paths[1].read_text()
    paths[1].write_text(closed.replace(study.digest(), "0" * 64))
    patience = itertools.count()

    def waits() -> bool:
        if next(patience) == 3:  # the steward says yes
            paths[1].write_text(closed)
        return True

    engine.become(75)
    outcome = rounds.run(study, InProcess(paths, 75), terms=Terms(waits=waits))
    assert outcome.roster == ("north", "south")
    assert outcome.refusals == ()
