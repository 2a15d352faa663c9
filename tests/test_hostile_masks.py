"""An aggregator that cheats in a masked round: an honest site says no before it opens.

The real ClientApps of four hospitals are asked, by the real legs; on the way to a
victim a message is changed, with the aggregator's own true key where one is needed. The
aggregator's own checks are taken out: it would not look for what it does itself.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict

import client.app
from client.door import seats
from client.door.seats import Seats
from common.errors import ConsiliumError, IntegrityError, UnseatedError
from common.masked import circle as circles
from common.masked import fixed_point, masking, unmasking
from common.masked.circle import Circle, Keys, View
from common.masked.fixed_point import Ring
from common.masked.stages import Upload
from common.masked.unmasking import Gathered
from common.study import Study
from common.task import State, fingerprint
from common.travel import legs, wire
from common.travel.pinned import Pinned
from common.trust.identity import SigningKey
from server.conduct import question, rounds
from server.conduct import voice as voices
from server.conduct.rounds import Terms
from simulations.engines import engine
from simulations.engines.engine import InProcess
from tests import clinics
from tests.simulations.test_engine import hospitals
from tests.simulations.test_masked_study import NAMES, study_of

VICTIM = 2
"""The node of north, which is honest and is shown something else than the others."""
Change = Callable[[RecordDict], RecordDict]


@pytest.fixture(autouse=True)
def _blind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the aggregator see nothing, and wait for nobody."""

    def gathered(
        view: View, keys: dict[str, Keys], uploads: Iterable[tuple[str, Upload]], n: int
    ) -> Gathered:
        total, said = np.zeros(n, np.uint64), {}
        for site, upload in uploads:
            total += upload.vector
            said[site] = upload.confirmation
        return Gathered(view, keys, tuple(sorted(said)), total, said)

    monkeypatch.setattr(unmasking, "gathered", gathered)
    monkeypatch.setattr(unmasking, "routed", lambda *_: None)
    monkeypatch.setattr(question, "GRACE", 0.05)
    client.app.SHELF.held.clear()
    yield
    client.app.SHELF.held.clear()


class Cheating(InProcess):
    """Changes what the victim is asked, and writes down who has opened."""

    def __init__(self, paths: list[Path], kind: str, change: Change) -> None:
        super().__init__(paths, 95)
        self.kind, self.change = kind, change
        self.opened: set[int] = set()
        self.openings = 0

    def _answer(self, message: Message) -> str:
        about = message.metadata
        node, kind = about.dst_node_id, about.message_type
        asked = message.content
        if node == VICTIM and kind == self.kind:
            message = Message(self.change(message.content), node, kind)
        number = super()._answer(message)
        reply = self._replies[number]
        if kind == wire.ROUND and reply.has_content():  # it would not mind
            reply.content["about"]["state"] = asked["about"]["state"]
        if kind == legs.UNMASK and reply.has_content():
            self.opened.add(node)
            self.openings += 1
        return number


def words(content: RecordDict, **changes: object) -> RecordDict:
    about = ConfigRecord({**content["about"], **changes})
    return RecordDict({**content, "about": about})


def documents(
    content: RecordDict, name: str, change: Callable[[dict], dict]
) -> RecordDict:
    found = dict(legs.heard(content, name).parts[name])
    return legs.said(content, int(content["about"]["attempt"]), **{name: change(found)})


OTHER = SigningKey.generate()


def swapped(content: RecordDict) -> RecordDict:
    """Put the aggregator's own keys in place of those of east."""

    def change(found: dict[str, bytes]) -> dict[str, bytes]:
        circle = circle_of(content)
        mine = Keys(
            *(masking.masks.public(bytes([k]) * 32).hex() for k in (1, 2)), "0" * 64
        )
        return {**found, "east": circles.keys_document(circle, "east", mine, OTHER)}

    return documents(content, "keys", change)


def circle_of(content: RecordDict) -> Circle:
    place = wire.read_place(content)
    pinned = Pinned.read(PINNED[0])
    return pinned.circle(place, int(content["about"]["attempt"]), NAMES)


PINNED: list[str] = []


def sites(*names: str) -> Change:
    def change(content: RecordDict) -> RecordDict:
        said = {"sites": json.dumps(names), "roster": wire.roster(names)}
        return words(content, **said)

    return change


def state(content: RecordDict) -> RecordDict:
    """Show the victim a model that differs in one bit."""
    question = wire.read_ask(content)
    arrays = dict(question.state.arrays)
    if "weights" not in arrays:
        return content
    arrays["weights"] = np.nextafter(arrays["weights"], 9)
    place = replace(question.place, state=fingerprint(arrays))
    other = wire.ask(replace(question, place=place, state=State(arrays)))
    boxes = legs.heard(content, "boxes").parts["boxes"]
    return legs.said(other, int(content["about"]["attempt"]), boxes=boxes)


def listing(*names: str) -> Change:
    """Name other survivors to the victim, with the aggregator's true signature."""

    def change(content: RecordDict) -> RecordDict:
        (held,) = [
            each for each in client.app.SHELF.held.values() if each.site.name == "north"
        ]
        place, attempt = wire.read_place(content), int(content["about"]["attempt"])
        stage = held.seats.stage(place, attempt)
        key = engine.key_of(engine.AGGREGATOR)
        signed = circles.survivors_document(stage.view, names, key)
        return documents(content, "survivors", lambda _: {legs.ONE: signed})

    return change


def torn(content: RecordDict) -> RecordDict:
    return documents(
        content, "boxes", lambda found: {n: b[:-1] + b"\0" for n, b in found.items()}
    )


def few(content: RecordDict) -> RecordDict:
    """Show two of the four confirmations."""
    return documents(
        content, "confirmations", lambda found: dict(list(found.items())[:2])
    )


CASES: dict[str, tuple[str, Change, str]] = {
    "swapped keys": (legs.SHARE, swapped, "east: "),
    "a stranger": (legs.KEYS, sites(*NAMES, "stranger"), "other sites than it may be"),
    "one site fewer": (legs.KEYS, sites(*NAMES[:3]), "other sites than it may be"),
    "two sites": (legs.KEYS, sites("east", "north"), "other sites than it may be"),
    "another roster later": (legs.UNMASK, sites(*NAMES[:3]), "of another roster"),
    "a survivor less": (
        legs.UNMASK,
        listing("east", "north", "south"),
        "have survived",
    ),
    "two survivors": (legs.UNMASK, listing("east", "north"), "have survived"),
    "one survivor": (legs.UNMASK, listing("north"), "have survived"),
    "others survived": (legs.UNMASK, listing("east", "south", "west"), "have survived"),
    "few confirmations": (legs.UNMASK, few, "have confirmed"),
    "torn boxes": (wire.ROUND, torn, "a box does not open"),
    "another attempt": (legs.UNMASK, lambda c: words(c, attempt=99), "no seat here"),
    "no attempt": (legs.UNMASK, lambda c: words(c, attempt="x"), "names no attempt"),
    "an older round": (legs.SHARE, lambda c: words(c, sequence=9), "no seat here"),
    "in clear": (wire.ROUND, lambda c: words(c, boxes="{}"), "have shared"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_honest_site_says_no_before_it_opens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    kind, change, told = CASES[case]
    study = study_of(rounds={"deadline_seconds": 1})
    grid = Cheating(hospitals(tmp_path, study, list(NAMES)), kind, change)
    PINNED[:] = [str(grid.keys["pinned"])]
    engine.become(95)
    voice = voices.simulated(str(grid.keys["key"]), PINNED[0])
    with caplog.at_level(logging.WARNING, "consilium.client"):
        ends = contextlib.suppress(ConsiliumError)
        with ends if kind == legs.UNMASK else pytest.raises(ConsiliumError):
            rounds.run(study, grid, terms=Terms(voice))
    assert told in caplog.text
    assert VICTIM not in grid.opened
    assert kind == legs.UNMASK or not grid.opened, "three could open without it"


def test_a_round_of_other_sites_than_its_masks_is_not_computed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two lists, both allowed: their sums would differ by one hospital."""
    study = study_of(rounds={"quorum": 3, "deadline_seconds": 1})
    paths = hospitals(tmp_path, study, list(NAMES))
    grid = Cheating(paths, wire.ROUND, sites(*NAMES[:3]))
    engine.become(95)
    voice = voices.simulated(str(grid.keys["key"]), str(grid.keys["pinned"]))
    with (
        caplog.at_level(logging.WARNING, "consilium.client"),
        pytest.raises(ConsiliumError),
    ):
        rounds.run(study, grid, terms=Terms(voice))
    assert "other sites than its masks were made for" in caplog.text
    assert not grid.opened


def test_a_site_that_is_shown_another_state_is_opened_by_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_of(rounds={"deadline_seconds": 1})
    grid = Cheating(hospitals(tmp_path, study, list(NAMES)), wire.ROUND, state)
    engine.become(95)
    voice = voices.simulated(str(grid.keys["key"]), str(grid.keys["pinned"]))
    with (
        caplog.at_level(logging.WARNING, "consilium.client"),
        pytest.raises(ConsiliumError),
    ):
        rounds.run(study, grid, terms=Terms(voice))
    assert grid.openings == len(NAMES), "describe was shown to all alike, and no more"
    assert "north signed for another view of this round" in caplog.text


def circle(attempt: int = 1, sequence: int = 1) -> Circle:
    keys = {
        name: engine.key_of(name).public_key().public_bytes_raw().hex()
        for name in NAMES
    }
    own = engine.key_of(engine.AGGREGATOR).public_key().public_bytes_raw().hex()
    return Circle("d" * 64, "run", sequence, own, keys, attempt)


def seat(of: Circle) -> masking.Seat:
    return masking.seat(of, "north", engine.key_of("north"), 4)


def test_a_setup_that_is_started_again_gets_no_second_seat() -> None:
    held = Seats()
    first = held.take(seat(circle(2)))
    assert held.take(seat(circle(2))) is first, "lost on its way, it is said again"
    place = wire.Place("d" * 64, "run", sequence=1)
    said = {
        name: masking.advertise(
            masking.seat(circle(2), name, engine.key_of(name), 4)
        ).reply
        for name in NAMES
    } | {"north": first.reply}
    held.pass_(place, 2, masking.share(first, said))
    for again in (circle(2), circle(1), replace(circle(2), sites=circle().sites | {})):
        with pytest.raises(UnseatedError):
            held.take(seat(again))
    fewer = dict(list(circle().sites.items())[:3])
    with pytest.raises(UnseatedError, match="another attempt"):
        held.take(
            masking.seat(
                replace(circle(2), sites=fewer), "north", engine.key_of("north")
            )
        )
    later = held.take(seat(circle(3)))
    assert later.reply != first.reply
    with pytest.raises(UnseatedError, match="no seat here"):
        held.stage(place, 2)


def test_no_more_than_this_round_and_the_one_beside_it_are_held() -> None:
    held = Seats()
    for sequence in (1, 2, 3):
        held.take(seat(circle(sequence=sequence)))
    assert sorted(held.held) == [("run", 2), ("run", 3)]
    held.take(seat(replace(circle(), run="another")))
    assert sorted(held.held) == [("another", 1)], "a run that is over"


def test_what_a_sum_was_opened_for_is_in_the_ledger_with_its_turn(
    tmp_path: Path,
) -> None:
    study = study_of()
    paths = hospitals(tmp_path, study, list(NAMES))
    for path in paths:
        path.write_text(f'home = "state"\n{path.read_text()}')
    grid = InProcess(paths, 98)
    engine.become(98)
    voice = voices.simulated(str(grid.keys["key"]), str(grid.keys["pinned"]))
    rounds.run(study, grid, terms=Terms(voice))
    entries = client.app.site.read(paths[0]).entries()
    names = ("run", "task", "round", "state")
    turns = {
        kind: [[e.facts[n] for n in names] for e in entries if e.kind == kind]
        for kind in ("released", "opened")
    }
    assert turns["opened"] == turns["released"]
    lists = {e.facts["survivors"] for e in entries if e.kind == "opened"}
    assert lists == {wire.roster(NAMES)}


def test_the_sums_of_a_masked_study_never_leave_in_clear(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = study_of()
    paths = hospitals(tmp_path, study, ["north"])
    grid = InProcess(paths, 96)
    engine.become(96)
    place = wire.Place(
        *(study.digest(), "run", "describe", 1, fingerprint({})),
        roster=wire.roster(NAMES),
        sequence=1,
    )
    asked = wire.ask(wire.Ask(place, State({}), NAMES))
    sent = [
        Message(wire.opening(study, "run"), 1, wire.OPEN),
        Message(asked, 1, wire.ROUND),
    ]
    with caplog.at_level(logging.WARNING, "consilium.client"):
        replies = list(grid.send_and_receive(sent))
    assert [reply.has_error() for reply in replies] == [False, True]
    assert "names no attempt" in caplog.text


def test_keys_of_a_study_that_masks_nothing_are_not_given(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study = clinics.study()
    grid = InProcess(hospitals(tmp_path, study, ["north"]), 97)
    engine.become(97)
    place = wire.Place(study.digest(), "run", roster=wire.roster(("north", "south")))
    asked = legs.said(wire.asking(place, ("north", "south")), 1)
    sent = [
        Message(wire.opening(study, "run"), 1, wire.OPEN),
        Message(asked, 1, legs.KEYS),
    ]
    with caplog.at_level(logging.WARNING, "consilium.client"):
        replies = list(grid.send_and_receive(sent))
    assert replies[1].has_error()
    assert "a study that masks nothing" in caplog.text


def test_a_site_without_an_identity_masks_nothing(tmp_path: Path) -> None:
    study: Study = study_of()
    (path,) = hospitals(tmp_path, study, ["north"])
    local = client.app.site.read(path)
    with pytest.raises(ConsiliumError, match="has no identity"):
        seats.of(local, {"site": str(path)})


def test_a_wrong_number_of_words_is_no_sum() -> None:
    ring: Ring = np.zeros(3, np.uint64)
    with pytest.raises(IntegrityError):
        fixed_point.decode((fixed_point.Part("x", 2, 1.0, wide=True),), 3, ring)
