"""Killed at any moment, a run goes on to the same model, to the last bit."""

import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message

import client.app
from client.door import egress
from common.errors import IntegrityError, QuorumError
from common.study import Study
from common.task import fingerprint
from common.travel import wire
from server.conduct import journal, rounds, sealed
from server.conduct.rounds import Outcome
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals

KILLED = 9


class Died(BaseException):
    """The aggregator's end, where its sites live on."""


@dataclass
class Fuse:
    """Counts the moments at which a process may die, and dies at one of them."""

    left: float = np.inf
    die: Callable[[], Any] = lambda: os._exit(KILLED)
    passed: list[str] = field(default_factory=list)

    def __call__(self, moment: str) -> None:
        self.passed.append(moment)
        self.left -= 1
        if self.left < 0:
            self.die()


class Mortal(InProcess):
    """A grid with a moment before and after everything that a site does."""

    def __init__(self, sites: Iterable[Path], fuse: Fuse) -> None:
        super().__init__(sites, 60)
        self.fuse = fuse

    def _answer(self, message: Message) -> str:
        self.fuse("ask")
        number = super()._answer(message)
        self.fuse("answered")
        return number

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        replies = super().pull_messages(message_ids)
        self.fuse("pulled")
        return replies


@dataclass(frozen=True)
class World:
    study: Study
    paths: list[Path]
    whole: Outcome
    moments: list[str]


def attempt(study: Study, paths: list[Path], folder: Path, fuse: Fuse) -> Outcome:
    engine.become(60)
    with journal.held(folder, study.digest(), wire.PROTOCOL, fuse) as book:
        return rounds.run(study, Mortal(paths, fuse), book)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    study = clinics.study(rounds={"quorum": 1, "deadline_seconds": 1})
    place, fuse = tmp_path_factory.mktemp("world"), Fuse()
    paths = hospitals(place, study)
    whole = attempt(study, paths, place / "journal", fuse)
    return World(study, paths, whole, fuse.passed)


@pytest.fixture(autouse=True)
def _nothing_open() -> Iterator[None]:
    client.app.SHELF.held.clear()
    yield
    client.app.SHELF.held.clear()


def bits(outcome: Outcome) -> dict[str, str]:
    return {name: fingerprint(state.arrays) for name, state in outcome.states.items()}


def recorded(folder: Path) -> list[tuple[str, int]]:
    facts = [record.facts for record, _ in sealed.read(folder)]
    return [(each["task"], each["round"]) for each in facts if "task" in each]


def asked(outcome: Outcome) -> list[tuple[str, int]]:
    counted = outcome.rounds.items()
    return [(task, number + 1) for task, n in counted for number in range(n)]


def check(world: World, folder: Path, outcome: Outcome, restarts: int = 1) -> None:
    """Hold a resumed run to the undisturbed one."""
    assert bits(outcome) == bits(world.whole)
    assert outcome.rounds == world.whole.rounds
    assert outcome.roster == world.whole.roster
    assert recorded(folder) == asked(world.whole)
    opening = wire.size(wire.opening(world.study, "r" * 32))
    closing = wire.size(wire.closing(world.study.digest(), "r" * 32))
    for name in outcome.roster:
        more = outcome.sent[name] - world.whole.sent[name]
        openings = [again * opening for again in range(restarts + 1)]
        assert more in openings or more + closing in openings
        heard = outcome.received[name] - world.whole.received[name]
        assert abs(heard) <= restarts * (closing + len(name))


def killed(work: Callable[[], object]) -> int:
    """Do *work* in a process of its own; return how it ended."""
    number = os.fork()
    if number == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def kill_at(world: World, folder: Path, moment: int) -> None:
    """Kill the whole of it at one moment, in a real process, and go on."""
    fuse = Fuse(moment)
    code = killed(lambda: attempt(world.study, world.paths, folder, fuse))
    assert code == KILLED
    check(world, folder, engine.run(world.study, world.paths, folder))


def boundaries(world: World) -> list[int]:
    """Return when each record gets its name; just after it, the round is over."""
    return [n for n, moment in enumerate(world.moments) if moment == "name"]


def test_killed_at_every_round_boundary(world: World, tmp_path: Path) -> None:
    assert len(boundaries(world)) == len(asked(world.whole)) + 2
    for moment in boundaries(world):
        kill_at(world, tmp_path / str(moment), moment + 1)


def test_killed_at_random_moments_inside(world: World, tmp_path: Path) -> None:
    draw = np.random.default_rng()
    for moment in draw.choice(len(world.moments), 8, replace=False):
        kill_at(world, tmp_path / f"moment {moment}", int(moment))


@pytest.mark.slow
def test_killed_at_every_moment(world: World, tmp_path: Path) -> None:
    for moment in range(len(world.moments)):
        kill_at(world, tmp_path / str(moment), moment)


def test_killed_after_every_single_record(world: World, tmp_path: Path) -> None:
    """Each life of the run lasts for one record only, and is cut at its end."""
    folder, lives = tmp_path / "journal", 0
    while True:
        lives += 1
        left = [1]

        def end(what: str, left: list[int] = left) -> None:
            if what == "write":
                left[0] -= 1
                if left[0] < 0:
                    os._exit(KILLED)

        fuse = Fuse()

        def live(fuse: Fuse = fuse, end: Callable[[str], None] = end) -> None:
            engine.become(60)
            digest = world.study.digest()
            with journal.held(folder, digest, wire.PROTOCOL, end) as book:
                rounds.run(world.study, Mortal(world.paths, fuse), book)

        if killed(live) == 0:
            break
    assert lives == len(asked(world.whole)) + 2
    check(world, folder, engine.run(world.study, world.paths, folder), lives)


def shot(world: World, folder: Path, times: int) -> None:
    """Kill -9 a running process after a random while, *times* times, each a new run."""
    draw = np.random.default_rng()
    begun = time.perf_counter()
    engine.run(world.study, world.paths)
    length = time.perf_counter() - begun
    for shot_ in range(times):
        place = folder / str(shot_)
        number = os.fork()
        if number == 0:
            try:
                engine.run(world.study, world.paths, place)
            finally:
                os._exit(0)
        time.sleep(draw.uniform(0.0, 1.2) * length)
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        check(world, place, engine.run(world.study, world.paths, place))


def test_kill_nine(world: World, tmp_path: Path) -> None:
    shot(world, tmp_path, 5)


@pytest.mark.slow
def test_kill_nine_fifty_times(world: World, tmp_path: Path) -> None:
    shot(world, tmp_path, 50)


def test_an_aggregator_that_dies_alone_gets_the_same_answers_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sites live on, and each computes each round once."""
    ran: Counter[str] = Counter()
    run = egress.training.run

    def counted(task: Any, *rest: Any) -> Any:
        ran[task.name] += 1
        return run(task, *rest)

    def die() -> None:
        raise Died

    monkeypatch.setattr(egress.training, "run", counted)
    once = {task: 2 * number for task, number in world.whole.rounds.items()}
    for moment in range(0, len(world.moments), 5):
        ran.clear()
        folder = tmp_path / str(moment)
        with pytest.raises(Died):
            attempt(world.study, world.paths, folder, Fuse(moment, die))
        check(world, folder, engine.run(world.study, world.paths, folder))
        assert ran == once


def test_a_finished_run_is_not_run_again(world: World, tmp_path: Path) -> None:
    first = engine.run(world.study, world.paths, tmp_path)
    fuse = Fuse()
    again = attempt(world.study, world.paths, tmp_path, fuse)
    assert fuse.passed == []
    assert bits(again) == bits(first)
    assert (again.sent, again.received) == (first.sent, first.received)


def test_another_study_does_not_go_on_from_this_journal(
    world: World, tmp_path: Path
) -> None:
    engine.run(world.study, world.paths, tmp_path)
    other = clinics.study(rounds={"quorum": 2})
    with pytest.raises(IntegrityError, match="another study"):
        engine.run(other, world.paths, tmp_path)


def begun(world: World, folder: Path, paths: list[Path] | None = None) -> None:
    """Leave a run in *folder* that was killed in the middle."""
    fuse = Fuse(len(world.moments) // 2)
    work = lambda: attempt(world.study, paths or world.paths, folder, fuse)  # noqa: E731
    assert killed(work) == KILLED


def test_a_site_that_is_missing_is_waited_for_and_named(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun(world, tmp_path)
    with (
        caplog.at_level(logging.INFO, "consilium.server"),
        pytest.raises(
            QuorumError, match="missing since the study opened: south"
        ) as caught,
    ):
        engine.run(world.study, world.paths[:1], tmp_path)
    assert "waiting for south since" in caplog.text
    assert "north has opened the study again" in caplog.text
    assert "waited 1 s" in caught.value.hints["likely"]
    check(world, tmp_path, engine.run(world.study, world.paths, tmp_path), 2)


class Late(Mortal):
    """A grid on which the second site appears after a while."""

    looks = 0

    def get_node_ids(self) -> Iterable[int]:
        self.looks += 1
        return [1] if self.looks < 4 else [1, 2]


def test_a_site_that_comes_back_late_is_let_in(world: World, tmp_path: Path) -> None:
    begun(world, tmp_path)
    engine.become(60)
    digest = world.study.digest()
    with journal.held(tmp_path, digest, wire.PROTOCOL) as book:
        outcome = rounds.run(world.study, Late(world.paths, Fuse()), book)
    check(world, tmp_path, outcome)


def test_a_site_that_said_no_is_asked_again(world: World, tmp_path: Path) -> None:
    begun(world, tmp_path)
    export = world.paths[1].parent / "export.csv"
    away = export.rename(tmp_path / "export.csv")

    class Mended(Mortal):
        def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
            replies = list(super().pull_messages(message_ids))
            if any(reply.has_error() for reply in replies):
                away.rename(export)
            return replies

    engine.become(60)
    with journal.held(tmp_path, world.study.digest(), wire.PROTOCOL) as book:
        outcome = rounds.run(world.study, Mended(world.paths, Fuse()), book)
    check(world, tmp_path, outcome)


def test_a_site_that_was_not_there_from_the_start_stays_out(tmp_path: Path) -> None:
    about = {**clinics.ABOUT, "sites": ["east", "north", "south"]}
    rules = {"quorum": 1, "deadline_seconds": 1, "secure_aggregation": False}
    study = clinics.study(study=about, rounds=rules)
    paths = hospitals(tmp_path, study, ["north", "south", "east"])
    whole = attempt(study, paths[:2], tmp_path / "whole", fuse := Fuse())
    world = World(study, paths[:2], whole, fuse.passed)
    begun(world, tmp_path / "journal")
    outcome = engine.run(study, [paths[2], *paths[:2]], tmp_path / "journal")
    check(world, tmp_path / "journal", outcome)


@pytest.mark.parametrize("kept", [True, False])
def test_a_site_that_restarts_in_the_middle_rejoins(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, kept: bool
) -> None:
    class Restarting(Mortal):
        """Forgets the study at one site, before rounds 2, 3 and 4 of the model."""

        gone = {2, 3, 4}  # noqa: RUF012 - of this test alone

        def _answer(self, message: Message) -> str:
            if message.metadata.message_type == wire.ROUND:
                place = wire.read_place(message.content)
                if place.task == "logistic" and place.round in self.gone:
                    self.gone = self.gone - {place.round}
                    path = str(world.paths[1])
                    client.app.SHELF.drop(path, place.digest)
            return super()._answer(message)

    engine.become(60)
    grid = Restarting(world.paths, Fuse())
    with caplog.at_level(logging.INFO, "consilium.server"):
        if kept:
            with journal.held(tmp_path, world.study.digest(), wire.PROTOCOL) as book:
                outcome = rounds.run(world.study, grid, book)
        else:
            outcome = rounds.run(world.study, grid)
    assert caplog.text.count("south has opened the study again") == 3
    assert bits(outcome) == bits(world.whole)
    assert outcome.rounds == world.whole.rounds


def test_a_site_that_refuses_a_round_for_good_ends_the_run_by_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any) -> Any:
        raise ValueError

    monkeypatch.setattr(egress.training, "run", fault)
    with pytest.raises(QuorumError, match="round 1 of describe is incomplete") as error:
        engine.run(world.study, world.paths)
    assert "south: refused, id " in error.value.hints["likely"]


def test_a_site_that_cannot_be_reached_for_a_while_is_tried_again(
    world: World,
) -> None:
    class Gap(InProcess):
        """Has no way to the second site for its third message."""

        count = 0

        def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
            sent = []
            for message in messages:
                self.count += message.metadata.dst_node_id == 2
                gap = message.metadata.dst_node_id == 2 and self.count == 3
                sent.append("" if gap else self._answer(message))
            return sent

    engine.become(62)
    outcome = rounds.run(world.study, grid := Gap(world.paths, 62))
    assert bits(outcome) == bits(world.whole)
    assert grid.count > 3
