"""Who sends slowly has until the round's deadline, and holds up nobody else."""

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from flwr.app import Error, Message

import client.app
from client import site
from client.door.opened import open_study
from common.errors import NetworkError, QuorumError, UsageError
from common.study import Study
from common.travel import arrivals, wire
from server.conduct import asking, line, question, roster, rounds
from server.conduct import voice as voices
from server.conduct.coming import Coming, Late
from server.conduct.rounds import Outcome, Terms
from simulations import plain
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals

NAMES = ("east", "north", "south", "west")
SOUTH, WEST = 3, 4
RUN = itertools.count(900)
Send = Callable[[Message, Message, Late], Message]
"""What south does with its answer to a question, from when it is announced."""


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


def never(question: Message, _: Message, late: Late) -> Message:
    """Send one part, and the next one never."""
    while not late():
        time.sleep(0.005)
    question.metadata.__dict__["_message_id"] = question.metadata.message_id
    return Message(Error(0, arrivals.LATE), reply_to=question)


def slowly(_: Message, reply: Message, late: Late) -> Message:
    """Send all of it, long after everybody else."""
    until = time.monotonic() + 5 * question.GRACE
    while time.monotonic() < until and not late():
        time.sleep(0.005)
    return reply


class Dripping(InProcess):
    """Has a south that sends its rounds part by part, as it likes."""

    def __init__(self, sites: list[Path], send: Send) -> None:
        super().__init__(sites, next(RUN))
        self.coming, self.send = Coming(), send
        self.asked: dict[str, Message] = {}

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        told = list(messages)
        names = list(super().push_messages(told))
        about = dict(zip(names, told, strict=True))
        self.asked |= {name: each for name, each in about.items() if to_south(each)}
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted, whole = set(message_ids), list[Message]()
        for reply in super().pull_messages(wanted - self.coming.of(wanted)):
            number = reply.metadata.reply_to_message_id
            if number in self.asked:
                send = partial(self.send, self.asked[number], reply)
                self.coming.begin(SOUTH, number, send)
            else:
                whole.append(reply)
        return whole + self.coming.here(wanted, 0.0 if whole else 0.05)


def is_round(question: Message) -> bool:
    return question.metadata.message_type == wire.ROUND


def to_south(question: Message) -> bool:
    return question.metadata.dst_node_id == SOUTH and is_round(question)


def study_of(dropouts: int, deadline: int) -> Study:
    """Return a study of describe alone, of four sites."""
    return clinics.study(
        study={**clinics.ABOUT, "sites": list(NAMES)},
        rounds={"quorum": 4, "dropouts": dropouts, "deadline_seconds": deadline},
        model=None,
        evaluation=None,
    )


def run(study: Study, grid: Dripping, terms: Terms | None = None) -> Outcome:
    engine.become(grid.run.run_id)
    keys = str(grid.keys["key"]), str(grid.keys["pinned"])
    try:
        return rounds.run(study, grid, terms=terms or Terms(voices.simulated(*keys)))
    finally:
        assert not grid.coming.answers  # nobody fetches what nobody waits for
        grid.coming.close()


def agrees(found: Outcome, study: Study, paths: Iterable[Path]) -> None:
    """Assert that *found* is the sum over the hospitals at *paths*."""
    tables = [open_study(site.read(path), study, clinics.TODAY).table for path in paths]
    for key, array in plain.run(study, tables)["describe"].arrays.items():
        np.testing.assert_allclose(found.states["describe"].arrays[key], array, 1e-9)


def test_who_does_not_send_it_all_in_time_ends_the_round_by_name(
    tmp_path: Path,
) -> None:
    study = study_of(dropouts=0, deadline=1)
    grid = Dripping(hospitals(tmp_path, study, list(NAMES)), never)
    with pytest.raises(QuorumError, match="round 1 of describe is incomplete") as ended:
        run(study, grid)
    assert ended.value.missing == ("south",)
    assert ended.value.hints["likely"] == "south: its answer did not come in time"


def test_who_is_sending_is_not_asked_again(tmp_path: Path) -> None:
    study = study_of(dropouts=0, deadline=60)
    paths = hospitals(tmp_path, study, list(NAMES))
    grid = Dripping(paths, slowly)
    agrees(run(study, grid), study, paths)
    assert len(grid.asked) == 1


def test_the_round_goes_on_without_who_is_too_slow_where_the_study_allows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_of(dropouts=1, deadline=1)
    paths = hospitals(tmp_path, study, list(NAMES))
    with caplog.at_level(logging.WARNING, "consilium.server"):
        found = run(study, Dripping(paths, never))
    assert "going on without south" in caplog.text
    agrees(found, study, [path for path in paths if path.parent.name != "south"])


def test_who_sends_slowly_is_waited_for_as_long_as_there_is_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Longer than for one that is silent."""
    study = study_of(dropouts=1, deadline=60)
    paths = hospitals(tmp_path, study, list(NAMES))
    with caplog.at_level(logging.WARNING, "consilium.server"):
        found = run(study, Dripping(paths, slowly))
    assert "going on without" not in caplog.text
    agrees(found, study, paths)


class Twice(Dripping):
    """South hands over nothing before it was asked twice; west hears no round."""

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        told = list(messages)
        here = [m for m in told if m.metadata.dst_node_id != WEST or not is_round(m)]
        names = iter([*super().push_messages(here)])
        return [next(names) if each in here else "lost" for each in told]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        wanted = set(message_ids)
        early = self.asked.keys() if len(self.asked) < 2 else set()
        return super().pull_messages(wanted - early)


def test_an_answer_that_nobody_waits_for_holds_up_no_round(tmp_path: Path) -> None:
    """South answers twice, the second time without end, and west is down."""
    study = study_of(dropouts=0, deadline=2)
    sent, until = list[Message](), time.monotonic() + 60

    def send(question: Message, reply: Message, late: Late) -> Message:
        sent.append(reply)
        return reply if len(sent) == 1 else never(question, reply, late)

    grid = Twice(hospitals(tmp_path, study, list(NAMES)), send)
    keys = str(grid.keys["key"]), str(grid.keys["pinned"])
    stopped = lambda: time.monotonic() > until  # noqa: E731 - it would go on for ever
    with pytest.raises(QuorumError, match="round 1 of describe is inc") as ended:
        run(study, grid, Terms(voices.simulated(*keys), stopped=stopped))
    assert ended.value.missing == ("west",)
    assert len(sent) == 2


def test_a_study_is_stopped_though_somebody_is_sending(tmp_path: Path) -> None:
    study, stop = study_of(dropouts=0, deadline=600), Event()
    grid = Dripping(hospitals(tmp_path, study, list(NAMES)), never)
    keys = str(grid.keys["key"]), str(grid.keys["pinned"])
    sending = grid.send

    def send(question: Message, reply: Message, late: Late) -> Message:
        stop.set()
        return sending(question, reply, late)

    grid.send = send
    terms = Terms(voices.simulated(*keys), stopped=stop.is_set)
    with pytest.raises(UsageError, match="the operator stopped this study"):
        run(study, grid, terms)


def test_answers_of_one_node_come_one_by_one_and_of_others_beside_it() -> None:
    coming, first = Coming(), Event()
    sent = {name: Message(Error(0, name), reply_to=asked(name)) for name in "abc"}

    def held(_: Late) -> Message:
        first.wait()
        return sent["a"]

    coming.begin(1, "a", held)
    coming.begin(1, "b", lambda _: sent["b"])
    coming.begin(2, "c", lambda _: sent["c"])
    try:
        assert coming.here("abc", 60) == [sent["c"]]
        assert coming.of("abcd") == {"a", "b"}
    finally:
        first.set()
    arrived: list[Message] = []
    while len(arrived) < 2:
        arrived += coming.here("ab", 60)
    assert {each.error.reason for each in arrived} == {"a", "b"}
    coming.close()


def test_who_is_late_does_not_hide_behind_another_answer_of_its_own() -> None:
    """South still sends an answer to the opening, and its round stands behind it."""
    coming, question = Coming(), asked("round")
    opening = partial(never, asked("opening"), question)
    coming.begin(SOUTH, "opening", opening)
    coming.begin(SOUTH, "round", lambda _: question)
    coming.hurry(["other"])
    assert not coming.here(["round"], 0.05)
    coming.hurry(["round"])
    try:
        assert coming.here(["round"], 60) == [question]
    finally:
        coming.close()


def test_what_nobody_waits_for_and_was_not_begun_is_remembered() -> None:
    """For it may come, and is to be taken."""
    coming = Coming()
    coming.begin(1, "a", lambda _: asked("a"))
    coming.let_go("ab")
    assert [*coming.idle] == ["b"]
    assert not coming.answers
    coming.close()


def asked(name: str) -> Message:
    engine.become(next(RUN))
    question = Message(wire.RecordDict(), dst_node_id=1, message_type="query.round")
    question.metadata.__dict__["_message_id"] = name
    return question


def test_what_fetching_raises_is_raised_to_who_asks_for_the_answer() -> None:
    coming = Coming()

    def broken(_: Late) -> Message:
        raise NetworkError("it broke off")

    coming.begin(1, "a", broken)
    with pytest.raises(NetworkError, match="it broke off"):
        coming.here("a", 60)
    assert not coming.answers
    coming.close()


def test_a_grid_whose_answers_come_whole_has_none_on_the_way(tmp_path: Path) -> None:
    study = study_of(dropouts=0, deadline=1)
    grid = InProcess(hospitals(tmp_path, study, list(NAMES)), next(RUN))
    here = line.Line(grid, 1.0)
    assert line.coming(here, ["a"]) == frozenset()
    line.hurry(here, ["a"])
    line.let_go(here, ["a"])
