"""A question that is lost is asked again, and every site is counted once."""

import itertools
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo

import client.app
from common.errors import QuorumError, UsageError
from common.study import Study
from common.task import fingerprint
from common.travel import packed_arrays, wire
from server.conduct import asking, journal, question, roster, rounds, studies
from server.conduct.rounds import Outcome, Terms
from server.conduct.studies import Progress, Submitted
from simulations.engines import engine
from simulations.engines.engine import InProcess
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


PATIENT = Terms(waits=lambda _: True)


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


class Late(InProcess):
    """Is slow to hand over anything: a few answers take longer than a lost message."""

    asked: ClassVar[Counter[tuple[int, str, int]]] = Counter()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        told = list(messages)
        for place, to in ((wire.read_place(m.content), m) for m in told if is_round(m)):
            self.asked[to.metadata.dst_node_id, place.task, place.round] += 1
        return super().push_messages(told)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = list(super().pull_messages(message_ids))
        if any(map(is_round, replies)):
            time.sleep(1.5 * asking.LOST_FIRST)
        return replies


def test_who_has_answered_is_not_asked_again_while_others_are_fetched(
    tmp_path: Path,
) -> None:
    study, paths = world(tmp_path, NAMES)
    engine.become(79)
    rounds.run(study, Late(paths, 79))
    assert set(Late.asked.values()) == {1}


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
    told: list[tuple[object, ...]] = []
    engine.become(74)
    terms = Terms(tell=lambda *what: told.append(what))
    with pytest.raises(QuorumError, match="round 1 of describe") as caught:
        rounds.run(study, Mute(paths, 74), terms=terms)
    assert told[-1] == ("round 1 of describe", ("south",), {})
    assert "no answer from south within 1 s" in caught.value.hints["likely"]
    assert "waiting for south since" in caplog.text


class Failing(InProcess):
    """Has a site that opens the study, and says to each round that it cannot."""

    asked = 0

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        numbers = []
        for message in messages:
            number = self._answer(message)
            if is_round(message) and message.metadata.dst_node_id == 2:
                self.asked += 1
                no = Error(0, "it hurts")
                self._replies[number] = Message(no, reply_to=message)
            numbers.append(number)
        return numbers


def test_a_site_that_fails_again_and_again_does_not_keep_a_round_open(
    tmp_path: Path,
) -> None:
    rules = {"quorum": 1, "deadline_seconds": 1}
    study = clinics.study(rounds=rules)
    engine.become(84)
    grid = Failing(hospitals(tmp_path, study, ["north", "south"]), 84)
    with pytest.raises(QuorumError, match="round 1 of describe") as caught:
        rounds.run(study, grid)
    assert caught.value.missing == ("south",)
    most = asking.TRIES + 1 / asking.LOST_LAST + 1 / asking.LOST_FIRST
    assert grid.asked <= most


@pytest.mark.parametrize("tries", [0, 1, 2000, 10**9])
def test_a_pause_grows_to_its_end_however_often_somebody_is_asked(tries: int) -> None:
    open_ = roster.door(clinics.study(), wire.Place("", "", "", 1, "", "", 1), str)
    open_.tries[1] = tries
    assert roster._growing(open_, 1, 0.25, 10.0) == min(0.25 * 2.0 ** min(tries, 9), 10)
    assert asking._growing(tries) <= asking.LOST_LAST


def test_a_study_waits_for_those_who_have_not_opened_it_yet(tmp_path: Path) -> None:
    study, paths = world(tmp_path, ["north", "south"])
    closed = paths[1].read_text()
    paths[1].write_text(closed.replace(study.digest(), "0" * 64))
    patience = itertools.count()

    def waits(_: int) -> bool:
        if next(patience) == 3:  # the steward says yes
            paths[1].write_text(closed)
        return True

    engine.become(75)
    outcome = rounds.run(study, InProcess(paths, 75), terms=Terms(waits=waits))
    assert outcome.roster == ("north", "south")
    assert outcome.refusals == ()


class Known(InProcess):
    """Knows its sites by name, as a SuperLink does; notes whom it was to ask."""

    names = ("", "north", "south", "west")

    def __init__(self, sites: list[Path], run: int) -> None:
        super().__init__(sites, run)
        self.told: list[tuple[str, int]] = []

    def get_nodes(self) -> Iterable[NodeInfo]:
        nodes = self.get_node_ids()
        return [NodeInfo(node_id=node, name=self.names[node]) for node in nodes]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        sent = list(messages)
        for each in sent:
            about = each.metadata
            self.told.append((about.message_type, about.dst_node_id))
        return super().push_messages(sent)


def test_below_its_quorum_a_study_that_is_to_begin_waits_and_says_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "KNOCK_LAST", 0.2)
    study = clinics.study(rounds={"quorum": 2, "deadline_seconds": 2})
    paths = hospitals(tmp_path / "real", study, ["north", "south"])
    approves = paths[1].read_text()
    paths[1].write_text(approves.replace(study.digest(), "0" * 64))
    given = studies.submit(tmp_path, study)
    studies.mark(given, "begin")
    note, seen = studies.note, list[Progress]()

    def noted(about: Submitted, so_far: Progress) -> None:
        note(about, so_far)
        seen.append(so_far)
        if len(seen) == 3:  # the steward of south says yes
            paths[1].write_text(approves)

    monkeypatch.setattr(studies, "note", noted)
    engine.become(76)
    grid = Known(paths, 76)
    terms = Terms(waits=studies.waits(given), tell=studies.tells(given))
    outcome = rounds.run(study, grid, terms=terms)
    assert outcome.roster == ("north", "south")
    waiting = [each for each in seen if each.doing == roster.OPENING]
    assert waiting[0].waiting == ("south",)
    assert re.fullmatch(r"not approved yet, id [0-9a-f]{8}", waiting[0].said["south"])


def test_a_site_that_a_study_does_not_name_hears_nothing_of_it(tmp_path: Path) -> None:
    study, paths = world(tmp_path, ["north", "south"])
    engine.become(77)
    grid = Known([*paths, paths[1]], 77)
    assert rounds.run(study, grid).roster == ("north", "south")
    assert {node for _, node in grid.told} == {1, 2}


def test_when_it_begins_who_said_no_is_asked_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "KNOCK_FIRST", 3600.0)
    monkeypatch.setattr(roster, "KNOCK_LAST", 3600.0)
    study, paths = world(tmp_path, ["north", "south"])
    approves = paths[1].read_text()
    paths[1].write_text(approves.replace(study.digest(), "0" * 64))
    looks = itertools.count()

    def waits(here: int) -> bool:
        assert here == 1
        if (look := next(looks)) == 2:  # the steward says yes, the operator: begin
            paths[1].write_text(approves)
        return look < 2

    engine.become(78)
    outcome = rounds.run(study, Known(paths, 78), terms=Terms(waits=waits))
    assert outcome.roster == ("north", "south")


def test_a_study_that_is_stopped_waits_until_every_site_knows(tmp_path: Path) -> None:
    """Until then Flower's run lasts, and what it carries is handed on."""
    study, paths = world(tmp_path, ["north", "south"])
    engine.become(79)

    class Late(Known):
        """Hands the answer to a closing over at the fifth look."""

        looks = 0

        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            if self.told[-1][0] == wire.CLOSE:
                self.looks += 1
                if self.looks < 5:
                    return []
            return super().pull_messages(message_ids)

    grid = Late(paths, 79)
    terms = Terms(stopped=lambda: (wire.ROUND, 2) in grid.told)
    with (
        journal.held(tmp_path / "journal", study.digest(), wire.PROTOCOL) as book,
        pytest.raises(UsageError, match="the operator stopped") as told,
    ):
        rounds.run(study, grid, book, terms)
    assert grid.told[-2:] == [(wire.CLOSE, 1), (wire.CLOSE, 2)]
    assert grid.looks == 5
    assert client.app.SHELF.held == {}
    assert not told.value.hints["likely"]


def test_who_does_not_hear_that_a_study_was_stopped_is_named(tmp_path: Path) -> None:
    study = clinics.study(rounds={"quorum": 2, "deadline_seconds": 1})
    paths = hospitals(tmp_path, study, ["north", "south"])
    engine.become(80)

    class Deaf(Known):
        """Has a second site that leaves once the first round was asked."""

        def get_node_ids(self) -> Iterable[int]:
            return [1] if (wire.ROUND, 2) in self.told else [1, 2]

    grid = Deaf(paths, 80)
    terms = Terms(stopped=lambda: (wire.ROUND, 2) in grid.told)
    with (
        journal.held(tmp_path / "journal", study.digest(), wire.PROTOCOL) as book,
        pytest.raises(UsageError) as told,
    ):
        rounds.run(study, grid, book, terms)
    assert "south did not hear it" in told.value.hints["likely"]


def test_who_refused_the_last_round_hears_that_the_study_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It left the line when it refused, and nobody but itself had said its name."""

    def refusing(message: Message, context: Context) -> Message | None:
        about = message.metadata
        if about.message_type == wire.ROUND and about.dst_node_id == 2:
            no = Error(wire.REFUSED, "refused, id 01234567")
            return Message(no, reply_to=message)
        return client.app.app(message, context)

    study = clinics.study(rounds={"quorum": 2, "deadline_seconds": 1})
    paths = hospitals(tmp_path, study, ["north", "south"])
    engine.become(81)
    with pytest.raises(QuorumError) as told:
        rounds.run(study, InProcess(paths, 81, refusing))
    assert "south: refused" in told.value.hints["likely"]
    assert "did not hear" not in told.value.hints["likely"]
    assert "did not hear" not in caplog.text


class Busy(InProcess):
    """Hands answers to rounds over late, and notes how often each was asked.

    A site may restart, known by the moment at which it became active, and with it goes
    what it was asked. If it is not asked again soon, it hears nothing any more.
    """

    def __init__(self, sites: list[Path], run: int, *, restart: bool) -> None:
        super().__init__(sites, run)
        self.asked: Counter[tuple[int, str, int]] = Counter()
        self.since, self.began, self.restart = "noon", 0.0, restart

    def get_nodes(self) -> Iterable[NodeInfo]:
        if self.restart and self.began and time.monotonic() > self.began + 0.3:
            self.since, self.restart = "one", False
            self._replies.clear()
        infos = {"last_activated_at": self.since}
        return [NodeInfo(node_id=node, **infos) for node in self.get_node_ids()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        told = list(messages)
        for message in filter(is_round, told):
            place = wire.read_place(message.content)
            key = (message.metadata.dst_node_id, place.task, place.round)
            if self.asked[key] and time.monotonic() > self.began + 3.0:
                return ["too late"]
            self.began = time.monotonic()
            self.asked[key] += 1
        return super().push_messages(told)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = list(message_ids)
        held = [self._replies[each] for each in wanted if each in self._replies]
        if any(map(is_round, held)) and time.monotonic() < self.began + 0.6:
            return []
        return super().pull_messages(wanted)


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_large_is_asked_again_only_of_a_site_that_restarted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    restart: bool,
) -> None:
    monkeypatch.setattr(packed_arrays, "LARGE", 16)
    monkeypatch.setattr(asking, "SLOWEST", 1)
    rules = {"quorum": 1, "deadline_seconds": 8, "secure_aggregation": False}
    study = clinics.study(study={**clinics.ABOUT, "sites": ["north"]}, rounds=rules)
    paths = hospitals(tmp_path, study, ["north"])
    engine.become(77)
    grid = Busy(paths, 77, restart=restart)
    with caplog.at_level(logging.INFO, "consilium.server"):
        assert bits(rounds.run(study, grid)) == bits(engine.run(study, paths))
    counts = sorted(grid.asked.values())
    assert counts[:-1] == [1] * (len(counts) - 1)
    assert counts[-1] == 1 + restart, "soon, and long before its line could be done"
    assert ("north has left" in caplog.text) == restart
    assert "waiting for north" in caplog.text, "its operator is told all the same"


def test_a_site_that_takes_longer_than_the_others_is_waited_for_in_proportion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(question, "GRACE", 10.0)
    place = wire.Place("0" * 64, "0" * 32, "tabular_network", 1)
    asked = question.Question(wire.ROUND, place, RecordDict(), ("a", "b"), spare=1)

    def enough(now: float, *, heard: float, until: float) -> bool:
        arrived = {"a": RecordDict()}
        found = question.Asking(asked, 0.0, until, ["a", "b"], arrived=arrived)
        found.heard = heard
        return found.enough(now)

    assert not enough(79.9, heard=20.0, until=600.0)
    assert enough(80.0, heard=20.0, until=600.0)
    assert enough(70.0, heard=20.0, until=100.0)
    assert not enough(10.9, heard=1.0, until=600.0)
    assert enough(11.0, heard=1.0, until=600.0)
