"""A study goes on among fewer sites by one command, and is then a run of its own."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message
from flwr.proto.node_pb2 import NodeInfo

import client.app
from client import site
from common import large_arrays
from common.errors import IntegrityError, QuorumError, StudyError, UsageError
from common.study import Study
from common.task import State
from common.travel import wire
from common.written.slips import of_key
from server import app
from server.conduct import asking, journal, question, retry, roster, rounds, studies
from server.conduct import voice as voices
from server.conduct.journal import Entry, Traffic
from server.conduct.rounds import Outcome, Terms
from server.conduct.studies import Progress, Submitted
from server.running import runner
from simulations.engines import engine
from tests import charges, clinics
from tests.enrolling import Desk, desk
from tests.simulations.test_masked_study import NAMES, Watched
from tests.tomls import toml

__all__ = ["desk"]

ABOUT = {**clinics.ABOUT, "sites": list(NAMES)}
RULES = {"quorum": 3, "deadline_seconds": 1}
PRIVATE = charges.study(study=ABOUT, rounds=RULES)
WHOLE = clinics.study(study=ABOUT, rounds=RULES, privacy=charges.PRIVACY)
EXACT = clinics.study(study=ABOUT, rounds=RULES)
SOUTH = frozenset({"south"})
NORTH, SOUTH_NODE = (NAMES.index(name) + 1 for name in ("north", "south"))
GONE = QuorumError("round 2 of x is incomplete", missing=SOUTH, fix="call them")


def given_of(place: Path, study: Study = PRIVATE) -> Submitted:
    return studies.submit(place, study)


def asked(given: Submitted) -> None:
    """Let the sites of a study have been asked: its journal has begun."""
    with journal.held(given.journal, given.study.digest(), wire.PROTOCOL) as book:
        book.opened(NAMES, ())


@pytest.mark.parametrize(
    ("study", "without", "told"),
    [
        (PRIVATE, ["vale"], "vale is no site of small"),
        (PRIVATE, ["south", "west"], "2 sites would be left, and small needs 3"),
        (EXACT, ["south"], "are exact, and its sites were asked already"),
    ],
)
def test_what_cannot_be_tried_again_is_refused_and_changes_nothing(
    tmp_path: Path, study: Study, without: list[str], told: str
) -> None:
    given = given_of(tmp_path, study)
    asked(given)
    studies.note(given, Progress("failed", since="then"))
    with pytest.raises(UsageError, match=told) as said:
        retry.retry(given, without)
    assert said.value.hints["fix"]
    assert studies.progress(given).phase == "failed"
    assert retry.left_out(given) == frozenset()
    assert given.journal.exists()


def test_a_result_is_not_tried_again(tmp_path: Path) -> None:
    given = given_of(tmp_path)
    studies.note(given, Progress("finished", since="then"))
    with pytest.raises(UsageError, match="has finished already"):
        retry.retry(given, ["south"])


@pytest.mark.parametrize("phase", ["failed", "stopped"])
def test_a_study_that_ended_is_submitted_anew(
    tmp_path: Path, phase: studies.Phase
) -> None:
    given = given_of(tmp_path)
    asked(given)
    studies.note(given, Progress(phase, since="then"))
    retry.retry(given, ["south"])
    assert studies.progress(given).phase == "submitted"
    assert not given.journal.exists(), "another run has another journal"
    assert retry.left_out(given) == SOUTH


def test_of_a_run_that_is_laid_aside_hashes_stay_and_no_large_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_arrays, "LARGE", 64)
    given, state = given_of(tmp_path), State({"weights": np.arange(9.0)})
    with journal.held(given.journal, given.study.digest(), wire.PROTOCOL) as book:
        book.opened(("north", "south"), ())
        book.add(Entry("fit", 1, state, {}), Traffic())
    assert list(given.journal.glob("*.arrays"))
    studies.anew(given)
    (aside,) = given.folder.glob("journal-stopped-*")
    assert not list(aside.glob("*.arrays"))
    assert b'"beside":"' in (aside / "000001.record").read_bytes()


def test_exact_sums_are_tried_again_before_anybody_was_asked(tmp_path: Path) -> None:
    given = given_of(tmp_path, EXACT)
    retry.retry(given, ["south"])
    assert studies.marked(given, "retry")


def test_one_that_runs_is_ended_first_and_goes_on_from_there(tmp_path: Path) -> None:
    given = given_of(tmp_path)
    asked(given)
    studies.note(given, Progress("running", "round 2 of x", ("south",), "then"))
    retry.retry(given, ["south"])
    assert studies.progress(given).phase == "running", "its runner lives"
    runner._ended(given, UsageError("the operator stopped this study"))
    assert studies.progress(given).phase == "submitted"
    assert not studies.marked(given, "retry")
    assert not given.journal.exists()
    assert retry.left_out(given) == SOUTH


def test_a_word_that_comes_as_it_finishes_leaves_nobody_out(tmp_path: Path) -> None:
    given = given_of(tmp_path)
    studies.note(given, Progress("running", since="then"))
    retry.retry(given, ["south"])
    runner._finished(given)
    assert studies.progress(given).phase == "finished"
    assert retry.left_out(given) == frozenset(), "they are in the result"
    assert not studies.marked(given, "retry")


def test_after_a_stop_all_sites_take_part_again(tmp_path: Path) -> None:
    given = given_of(tmp_path)
    retry.retry(given, ["south"])
    studies.note(given, Progress("failed", since="then"))
    studies.submit(tmp_path, PRIVATE)
    assert retry.left_out(given) == SOUTH, "the same run goes on"
    studies.note(given, Progress("stopped", since="then"))
    studies.submit(tmp_path, PRIVATE)
    assert retry.left_out(given) == frozenset()


def test_who_is_missing_is_told_with_the_command_that_does_without(
    tmp_path: Path,
) -> None:
    given = given_of(tmp_path)
    facts = retry.advised(given, GONE)
    word = PRIVATE.digest()[:12]
    command = f"consilium server retry {word} --dir {tmp_path} --without south"
    assert facts["fix"] == f"call them; or   {command}"
    two = QuorumError("incomplete", missing=["south", "west"], fix="call them")
    assert retry.advised(given, two)["fix"] == "call them", "two are too few"
    torn = IntegrityError("something else", fix="call them")
    assert retry.advised(given, torn)["fix"] == "call them"
    exact = given_of(tmp_path, EXACT)
    asked(exact)
    assert retry.advised(exact, GONE)["fix"] == "call them"


def test_what_the_study_itself_ends_takes_another_version(tmp_path: Path) -> None:
    given = given_of(tmp_path)
    facts = retry.advised(given, of_key("model.ridge", StudyError("no solution")))
    assert facts["where"] == "model.ridge of small"
    command = f"consilium server submit STUDY.toml --dir {tmp_path}"
    assert facts["then"] == f"a new version, for each steward to approve:   {command}"


def test_the_command_and_the_status(desk: Desk) -> None:
    for name in NAMES:
        desk.admit(name)
    Path("study.toml").write_text(toml(PRIVATE))
    desk.facts("server", "submit", "study.toml", "--dir", "agg")
    code, out, _ = desk.operator("retry", "small", "--without", "south")
    assert code == 0
    assert "small is told to begin anew without south, as soon as" in out
    assert "    without south" in desk.operator("status")[1]
    row = desk.facts("server", "status", "--dir", "agg")["studies"][0]
    assert (row["without"], row["told"]) == (["south"], ["retry"])
    code, _, err = desk.operator(
        "retry", "small", "--without", "south", "--without", "west"
    )
    assert code == 2
    assert "small needs 3" in err


class Named(Watched):
    """A grid that knows its nodes by name, and what north says below its mask."""

    def __init__(self, paths: list[Path], gone: dict[int, str] | None = None) -> None:
        super().__init__(paths, gone)
        self.noisy: list[np.ndarray] = []

    def get_nodes(self) -> Iterable[NodeInfo]:
        names = enumerate(NAMES, start=1)
        return [NodeInfo(node_id=node, name=name) for node, name in names]

    def _answer(self, message: Message) -> str:
        number = super()._answer(message)
        about = message.metadata
        if (about.message_type, about.dst_node_id) == (wire.ROUND, NORTH):
            (held,) = [
                each
                for each in client.app.SHELF.held.values()
                if each.site.name == "north"
            ]
            self.noisy += [kept[1] for kept in held.memory.last.values() if kept]
        return number


class Later(Named):
    """Has its silent site from the model on."""

    def _answer(self, message: Message) -> str:
        opening = message.metadata.message_type == wire.OPEN
        if not opening and wire.read_place(message.content).task == "logistic":
            self.silent.add(SOUTH_NODE)
        return super()._answer(message)


def ran(
    grid: Watched, place: Path, without: frozenset[str], study: Study = PRIVATE
) -> Outcome:
    engine.become(grid.run.run_id)
    voice = voices.simulated(str(grid.keys["key"]), str(grid.keys["pinned"]))
    with journal.held(place, study.digest(), wire.PROTOCOL) as book:
        return rounds.run(study, grid, book, Terms(voice, without=without))


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(question, "GRACE", 0.1)
    for each in (asking, roster):
        monkeypatch.setattr(each, "LOST_FIRST", 0.2)
    client.app.SHELF.held.clear()
    yield
    client.app.SHELF.held.clear()


def homes(place: Path, study: Study) -> list[Path]:
    paths = clinics.hospitals(place, study)
    for path in paths:
        own = f'home = "state"\n{path.read_text()}\n[budget]\nepsilon = 3.0\n'
        path.write_text(own)
    return paths


@pytest.mark.usefixtures("_soon")
def test_sites_that_have_the_study_open_encode_anew(tmp_path: Path) -> None:
    """With fresh noise describe says something else, and the design follows it."""
    paths = homes(tmp_path, WHOLE)
    with pytest.raises(QuorumError, match="round 1 of logistic") as said:
        ran(Later(paths), tmp_path / "one", frozenset(), WHOLE)
    assert said.value.missing == ("south",)
    found = ran(Named(paths), tmp_path / "two", SOUTH, WHOLE)
    assert found.roster == ("east", "north", "west")
    assert "evaluate" in found.states


@pytest.mark.usefixtures("_soon")
def test_the_smaller_run_has_noise_of_its_own_and_is_charged(tmp_path: Path) -> None:
    """Nothing that was masked for four sites is used again for three."""
    paths = homes(tmp_path, PRIVATE)
    gone = {SOUTH_NODE: wire.ROUND}
    with pytest.raises(QuorumError, match="round 1 of describe") as said:
        ran(one := Named(paths, gone), tmp_path / "one", frozenset())
    assert said.value.missing == ("south",)
    found = ran(two := Named(paths), tmp_path / "two", SOUTH)
    assert found.roster == ("east", "north", "west")
    assert found.refusals == ("south: left out by the aggregator's operator",)
    north = site.read(paths[NORTH - 1])
    charged = [
        (e.facts["run"], e.facts["roster"])
        for e in north.entries()
        if (e.kind, e.facts.get("round")) == ("released", 1)
    ]
    assert len({run for run, _ in charged}) == len(charged) == 2
    assert [roster for _, roster in charged] == [
        wire.roster(NAMES),
        wire.roster(found.roster),
    ]
    assert not (one.noisy[0] == two.noisy[0]).any(), "noise is drawn anew"
    quiet = site.read(paths[SOUTH_NODE - 1]).entries()
    runs = {e.facts.get("run") for e in quiet if e.kind == "admitted"}
    assert runs == {charged[0][0]}, "whom it leaves out hears nothing of it"


def test_an_app_reads_whom_its_run_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = given_of(tmp_path)
    retry.retry(given, ["south"])
    monkeypatch.setattr("server.members.consortium.load", lambda _: None)
    monkeypatch.setattr("server.conduct.voice.of", lambda _: voices.PLAIN)
    config = {"consortium": str(tmp_path), "submitted": str(given.folder)}
    terms = app._terms(config, PRIVATE)
    assert terms.without == SOUTH
    assert terms.stopped()
