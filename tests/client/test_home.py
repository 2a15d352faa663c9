"""A site with a home: requests, refusals and releases are written before they count."""

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message

import client.app
from client import site
from client.books import home, ledger
from client.books.chain import Entry
from client.door import egress
from common.errors import IntegrityError, MachineError, QuorumError, Refusal
from common.study import Study
from common.travel import wire
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics

CANARY = "Kanarienvogel"


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    yield
    client.app.SHELF.held.clear()


def now() -> datetime:
    return datetime.now(UTC)


def hospital(place: Path, records: list[str] | None = None) -> Path:
    """Write a hospital that has a home."""
    path = clinics.folder(place / "north", records or clinics.lines(60))
    path.write_text('home = "state"\n' + path.read_text())
    return path


def decide(path: Path, study: Study, kind: str = "approved") -> None:
    facts = {"by": "ada", "until": "2030-01-01"}
    at = site.read(path).home
    home.note(at, home.about(kind, study, **facts), now)


def entries(path: Path) -> tuple[Entry, ...]:
    return site.read(path).entries()


def test_a_run_is_written_down_in_order(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    outcome = engine.run(study, [path])
    found = entries(path)
    assert [each.kind for each in found][:3] == ["approved", "requested", "admitted"]
    released = found[3:-1]
    assert found[-1].kind == "closed"
    assert {each.kind for each in released} == {"released"}
    asked = [(each.facts["task"], each.facts["round"]) for each in released]
    assert asked == [
        (task, number + 1)
        for task, rounds in outcome.rounds.items()
        for number in range(rounds)
    ]
    assert all(each.digest == study.digest() for each in found)
    assert home.stored(home.inbox(path.parent / "state")) == (study,)
    assert client.app.SHELF.held == {}


def test_a_home_changes_no_bit_of_the_result(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    plain = clinics.folder(
        tmp_path / "plain", clinics.lines(60), approved=study.digest()
    )
    one, two = engine.run(study, [path]), engine.run(study, [plain])
    assert not (tmp_path / "plain" / "state").exists()
    for name, state in one.states.items():
        for key, array in state.arrays.items():
            assert array.tobytes() == two.states[name].arrays[key].tobytes()


def test_a_release_is_durable_before_its_reply_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    seen: list[tuple[str, int]] = []

    def built(*args: Any, **rest: Any) -> Message:
        last = entries(path)[-1]
        seen.append((last.kind, last.number))
        return Message(*args, **rest)

    monkeypatch.setattr(egress, "Message", built)
    engine.run(study, [path])
    kinds = [kind for kind, _ in seen]
    assert kinds[0] == "admitted"
    assert set(kinds[1:-1]) == {"released"}
    assert kinds[-1] == "closed"
    numbers = [number for _, number in seen]
    assert numbers == sorted(set(numbers)), "one entry for each reply"


def test_a_release_that_never_left_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)

    def lost(reply: wire.Answer) -> None:
        raise OSError(reply.site)

    monkeypatch.setattr(wire, "answer", lost)
    with pytest.raises(QuorumError):
        engine.run(study, [path])
    kinds = [each.kind for each in entries(path)]
    assert kinds[:5] == ["approved", "requested", "admitted", "released", "refused"]
    assert kinds.count("released") == 1  # the same answer sent again is no new one


def unwritable(log: ledger.Log, note: object, clock: object) -> None:
    del note, clock
    raise MachineError(f"{log._path} cannot be used: no space left on device")


def test_what_cannot_be_written_down_does_not_happen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    monkeypatch.setattr(ledger.Log, "append", unwritable)
    with caplog.at_level(logging.WARNING), pytest.raises(QuorumError):
        engine.run(study, [path])
    assert "is not in the ledger" in caplog.text
    assert [each.kind for each in entries(path)] == ["approved"]


def test_a_broken_ledger_stops_every_answer(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    log = path.parent / "state" / "ledger.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"ada"', b'"eve"'))
    before = log.read_bytes()
    with pytest.raises(QuorumError):
        engine.run(study, [path])
    assert log.read_bytes() == before


def break_off(path: Path, study: Study) -> None:
    del path, study


@pytest.mark.parametrize(
    ("prepare", "says", "told"),
    [
        (break_off, "has not approved this version", "not approved yet"),
        (
            lambda path, study: decide(path, study, "denied"),
            "was denied by the st",
            "denied",
        ),
        (
            lambda path, study: (decide(path, study), decide(path, study, "paused")),
            "is paused by the steward",
            "paused",
        ),
        (
            lambda path, study: (decide(path, study), decide(path, study, "revoked")),
            "the steward revoked it",
            "approval revoked",
        ),
    ],
)
def test_a_refusal_is_logged_under_its_id(
    tmp_path: Path, prepare: Callable[[Path, Study], None], says: str, told: str
) -> None:
    """The aggregator is told the id, and which decision it is; not by whom, or why."""
    study, path = clinics.study(rounds={"quorum": 1}), hospital(tmp_path)
    prepare(path, study)
    with pytest.raises(QuorumError) as caught:
        engine.run(study, [path])
    requested, refused = entries(path)[-2:]
    assert (requested.kind, refused.kind) == ("requested", "refused")
    assert says in str(refused.facts["reason"])
    assert f"{told}, id {refused.facts['id']}" in caught.value.hints["likely"]
    assert (refused.digest, refused.study) == (study.digest(), "small")
    assert home.stored(home.inbox(path.parent / "state")) == (study,)


def test_a_question_that_is_repeated_is_written_down_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    engine.become(12)
    grid = InProcess([path], 12)

    def ask(run: str) -> str:
        opening = Message(wire.opening(study, run), 1, wire.OPEN)
        (reply,) = grid.send_and_receive([opening])
        return str(reply.error.reason)

    said = [ask("first") for _ in range(5)]
    assert len(set(said)) == 1
    assert caplog.text.count(f"refused ({said[0].partition(', ')[2]})") == 1
    assert [each.kind for each in entries(path)] == ["requested", "refused"]
    assert f"id {entries(path)[1].facts['id']}" in said[0]
    ask("second")
    assert len(entries(path)) == 2, "nor is it by another name: a disk is not endless"
    decide(path, study, "denied")
    ask("second")
    ask("second")
    assert [each.kind for each in entries(path)][2:] == ["denied", "refused"]


def test_the_ledger_comes_before_the_list_in_the_file(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    path.write_text(f'approved = ["{study.digest()}"]\n' + path.read_text())
    site.admit(site.read(path), study, clinics.TODAY)
    decide(path, study, "denied")
    with pytest.raises(Refusal, match="was denied"):
        site.admit(site.read(path), study, clinics.TODAY)


class Interrupted(InProcess):
    """A grid on which something happens at the site after so many rounds."""

    def after(self, rounds: int, event: Callable[[], None]) -> InProcess:
        self.left, self.event = rounds, event
        return self

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        asked = list(messages)
        if asked[0].metadata.message_type == wire.ROUND:
            self.left -= 1
            if self.left == -1:
                self.event()
        return super().push_messages(asked)


@pytest.mark.parametrize("kind", ["paused", "revoked", "denied"])
def test_a_steward_who_says_stop_is_heard_at_the_next_round(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    run, computed = egress.training.run, []

    def counted(*args: Any) -> Any:
        computed.append(args)
        return run(*args)

    monkeypatch.setattr(egress.training, "run", counted)
    grid = Interrupted([path], 11).after(2, lambda: decide(path, study, kind))
    with pytest.raises(QuorumError):
        engine.on(grid, study)
    kinds = [each.kind for each in entries(path)]
    stop = kinds.index(kind)
    assert kinds[stop - 2 : stop + 2] == ["released", "released", kind, "refused"]
    assert "released" not in kinds[stop:]
    with pytest.raises(QuorumError, match="0 of 1 needed sites"):
        engine.run(study, [path])
    assert len(computed) == 2, "nothing is computed after the stop"


def test_a_stop_during_the_computation_is_heard_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    decide(path, study)
    run = egress.training.run

    def meanwhile(*args: Any) -> Any:
        decide(path, study, "revoked")
        return run(*args)

    monkeypatch.setattr(egress.training, "run", meanwhile)
    with pytest.raises(QuorumError):
        engine.run(study, [path])
    assert "released" not in {each.kind for each in entries(path)}


def test_no_cell_reaches_the_home(tmp_path: Path) -> None:
    study = clinics.study()
    good = [row.replace(",2020", f",{CANARY}") for row in clinics.lines(60)]
    for place, records in (
        (tmp_path / "good", good),
        (tmp_path / "bad", [*good, f"p,v,61,{CANARY},mild,m,yes"]),
        (tmp_path / "odd", [*good, f"p,v,61,1,{CANARY},m,yes"]),
        (tmp_path / "long", [*good, f"p,v,61,1,mild,m,yes,{CANARY},{CANARY}"]),
    ):
        path = hospital(place, records)
        decide(path, study)
        if place.name == "good":
            engine.run(study, [path])
        else:
            with pytest.raises(QuorumError):
                engine.run(study, [path])
            assert entries(path)[-1].kind == "refused"
        kept = [each for each in (path.parent / "state").rglob("*") if each.is_file()]
        assert {each.name for each in kept} > {"ledger.jsonl", "person.key"}
        assert not any(CANARY.encode() in each.read_bytes() for each in kept)


def test_a_message_that_is_none_is_refused_and_logged(tmp_path: Path) -> None:
    study, path = clinics.study(), hospital(tmp_path)
    nonsense = wire.opening(study, "run")
    nonsense["about"]["study"] = '{"format": 1}'
    unknown = wire.closing(study.digest(), "run")
    odd = wire.closing("../../ledger", "run")
    for content, kind in (
        (nonsense, wire.OPEN),
        (unknown, wire.CLOSE),
        (odd, wire.CLOSE),
    ):
        grid = InProcess([path], 12)
        engine.become(12)
        (reply,) = grid.send_and_receive([Message(content, 1, kind)])
        assert reply.has_error()
    found = entries(path)
    assert [each.kind for each in found] == 3 * ["refused"]
    assert [each.digest for each in found] == ["", study.digest(), ""]
    assert found[0].facts["reason"] == "an opening holds no valid study"


def test_an_inbox_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "MOST", 1)
    folder = tmp_path / "state" / "inbox"
    home.keep(folder, clinics.study())
    home.keep(folder, clinics.study())
    with pytest.raises(Refusal, match="holds 1 studies already"):
        home.keep(folder, clinics.study(rounds={"quorum": 2}))


@pytest.mark.parametrize("change", [("small", "large"), ("{", "")])
def test_a_changed_study_in_the_inbox_is_seen(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    study, folder = clinics.study(), tmp_path / "state" / "inbox"
    home.keep(folder, study)
    assert home.find(folder, study.digest()) == study
    assert home.find(folder, "0" * 64) is None
    (path,) = folder.iterdir()
    assert path.read_bytes() == study.canonical()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(IntegrityError, match="is not the study of that digest"):
        home.stored(folder)
