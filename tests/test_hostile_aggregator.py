"""An aggregator that cheats, with its own true key: refused, written down, no number.

Every case goes to the resident node of a hospital with real papers, as it would arrive.
"""

import io
import itertools
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.serde import (
    message_to_proto,
    recorddict_from_proto,
    recorddict_to_proto,
)
from flwr.proto.recorddict_pb2 import RecordDict as Wire
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import client.app
from client.books import home, ledger
from client.books.chain import Entry
from client.line import answering, node
from client.line.node import Resident
from common import plan
from common.study import Study
from common.task import State, fingerprint
from common.travel import seal, wire
from common.travel.wire import Place
from common.trust import identity
from common.trust.enrolment import Member
from server.members import consortium as consortia
from server.members.consortium import Consortium
from simulations import plain
from simulations.engines import consortium, engine
from tests import clinics, residents

SITES = ("east", "north", "south")
REASON = re.compile(
    "(?:refused|not approved yet|denied|paused|approval revoked|approval used|not open)"
    ", id ([0-9a-f]{8})"
)
NUMBER = itertools.count(1)
CLEAR = {"quorum": 2, "deadline_seconds": 2, "secure_aggregation": False}
"""Sums in clear; tests/test_hostile_masks.py has those under masks."""
CANARY = "Wilhelmina"
"""The name of a person at north: it must be nowhere but in north's own files."""


def changed(**changes: Any) -> Study:
    """Return the study of these tests, with changes."""
    people = {**clinics.ABOUT, "sites": list(SITES)}
    return clinics.study(**{"rounds": CLEAR, "study": people, **changes})


STUDY = changed()
RUN = "run"


def replied(question: Message, here: Resident) -> Message:
    """Return what the true ClientApp says."""
    reply = answering.answer(question, here.site, here.papers).reply
    assert reply is not None
    return reply


@dataclass(frozen=True, slots=True)
class Ward:
    """One hospital with real papers, and the aggregator that it believes in."""

    here: Resident
    made: Consortium
    log: pytest.LogCaptureFixture

    @property
    def state(self) -> Path:
        """The folder of the ledger."""
        return self.here.papers.folder

    def entries(self) -> tuple[Entry, ...]:
        """Return the ledger."""
        return ledger.read(home.log(self.state))

    def released(self) -> int:
        """Return how many rounds have left."""
        return sum(each.kind == "released" for each in self.entries())

    def opening(self, study: Study = STUDY, run: str = RUN) -> RecordDict:
        """Return an opening as it should be."""
        return wire.opening(study, run, self.made.sealed_roster().decode())

    def say(self, content: RecordDict, kind: str) -> Message:
        """Return *content* signed by the aggregator, as a message that has arrived."""
        key = self.made.signing_key
        return letter(seal.sign(content, kind, seal.AGGREGATOR, key), kind)

    def ask(self, content: RecordDict, kind: str) -> Message:
        """Return what the hospital answers to *content*."""
        return replied(self.say(content, kind), self.here)

    def approve(self, study: Study = STUDY) -> None:
        """Let the steward say yes, in the ledger."""
        residents.approve(self.here.site, study)

    def open(self, study: Study = STUDY, run: str = RUN) -> None:
        """Open *study* as an honest aggregator would."""
        assert self.ask(self.opening(study, run), wire.OPEN).has_content()

    def refuses(self, message: Message) -> str:
        """Return why *message* is refused, having seen that nothing else happens."""
        before = self.entries()
        self.log.clear()
        reply = replied(message, self.here)
        return self.refused(reply, before)

    def refused(self, reply: Message, before: tuple[Entry, ...]) -> str:
        """Return why, from the log; the answer says an id and nothing else."""
        assert reply.has_error()
        found = REASON.fullmatch(reply.error.reason)
        assert found
        assert reply.error.code == wire.REFUSED
        added = {each.kind for each in self.entries()[len(before) :]}
        assert added <= {"requested", "refused"}
        refusals = [each for each in self.entries() if each.kind == "refused"]
        assert any(str(each.facts["reason"]) in self.log.text for each in refusals)
        assert f"(id {found[1]})" in self.log.text
        travels = message_to_proto(reply).SerializeToString()
        for secret in (CANARY, "Traceback", "Error", str(self.state)):
            assert secret.encode() not in travels
        assert CANARY not in self.log.text
        return self.log.text


def letter(content: RecordDict, kind: str) -> Message:
    """Return *content* as a message that has arrived."""
    engine.become(1)
    message = Message(content, dst_node_id=1, message_type=kind)
    message.metadata.__dict__["_message_id"] = str(next(NUMBER))
    return message


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Found a consortium of the three hospitals; north has a person with a name."""
    real, net = (tmp_path_factory.mktemp(name) for name in ("real", "net"))
    paths = clinics.hospitals(real, STUDY)
    export = real / "north" / "export.csv"
    export.write_text(export.read_text().replace("p7,", f"{CANARY},"))
    consortium.found(net, STUDY, paths, 9)
    return net


@pytest.fixture
def ward(
    founded: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Ward]:
    """Return north as it was admitted, and its aggregator; a copy for each test."""
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, "consilium.client")  # what is refused again
    shutil.copytree(founded, tmp_path / "net", symlinks=True)
    made = consortia.load(tmp_path / "net" / "aggregator")
    path = tmp_path / "net" / "north" / "site.toml"
    yield Ward(node.resident(path), made, caplog)
    client.app.SHELF.held.clear()


def fitted() -> dict[str, np.ndarray]:
    """Return what the study's model shows its sites, as an honest one would be."""
    (opened,) = client.app.SHELF.held.values()
    found = plain.run(STUDY, [opened.table])["logistic"].arrays
    return {name: found[name] for name in plan.find(STUDY, "logistic").shows(STUDY)}


def question(
    task: str = "describe",
    number: int = 1,
    arrays: dict[str, Any] | None = None,
    sites: tuple[str, ...] = SITES,
    **place: Any,
) -> RecordDict:
    """Return a round's question; a part of its *place* may be another."""
    shown, first = arrays or {}, 0 if task == "describe" else 1
    whole = Place(
        *(STUDY.digest(), RUN, task, number),
        state=fingerprint(shown),
        roster=wire.roster(sites),
        sequence=first + number,
    )
    return wire.ask(wire.Ask(replace(whole, **place), State(shown), sites))


def words(content: RecordDict, **changes: Any) -> RecordDict:
    """Return *content* with other words."""
    about = ConfigRecord({**content.config_records["about"], **changes})
    return RecordDict({**content, "about": about})


def test_an_honest_round_is_answered_and_released_once(ward: Ward) -> None:
    ward.open()
    asked = ward.say(question(), wire.ROUND)
    first, again = (replied(asked, ward.here) for _ in range(2))
    assert first.has_content()
    one, two = (
        recorddict_to_proto(each.content).SerializeToString(deterministic=True)
        for each in (first, again)
    )
    assert one == two
    assert ward.released() == 1


OTHER: dict[str, Callable[[], Study]] = {
    "one word": lambda: changed(study={**STUDY_WORDS, "purpose": "to test!"}),
    "one release more": lambda: changed(
        evaluation={"test": 0.3, "bins": 400},
    ),
    "one variable more": lambda: changed(
        variables=[
            *clinics.VARIABLES,
            {"kind": "number", "name": "ldl", "unit": "mg/dL", "range": [0, 400]},
        ]
    ),
    "fewer people a sum": lambda: changed(disclosure={"min_people": 2, "min_sites": 1}),
    "a smaller quorum": lambda: changed(rounds={**CLEAR, "quorum": 1}),
    "masked sums": lambda: changed(rounds={"quorum": 2, "deadline_seconds": 2}),
    "another model": lambda: changed(model={"kind": "logistic", "ridge": 0.0}),
}
STUDY_WORDS = {**clinics.ABOUT, "sites": list(SITES)}


@pytest.mark.parametrize("other", OTHER)
def test_a_study_that_was_altered_after_approval_is_refused(
    ward: Ward, other: str
) -> None:
    study = OTHER[other]()
    assert study.digest() != STUDY.digest()
    why = ward.refuses(ward.say(ward.opening(study), wire.OPEN))
    assert "has not approved this version of study small" in why
    why = ward.refuses(ward.say(question(digest=study.digest()), wire.ROUND))
    assert "not open here" in why
    assert ward.released() == 0


def test_other_privacy_words_are_another_study_or_none(ward: Ward) -> None:
    said = STUDY.canonical().decode()
    weaker = said.replace('"privacy":"none"', '"privacy":"epsilon 100"')
    assert weaker != said
    content = words(ward.opening(), study=weaker)
    assert "holds no valid study" in ward.refuses(ward.say(content, wire.OPEN))
    assert not client.app.SHELF.held


def test_a_study_whose_approval_was_withdrawn_is_refused(ward: Ward) -> None:
    log, clock = home.log(ward.state), lambda: datetime.now(UTC)
    older = changed(study={**STUDY_WORDS, "purpose": "to test, version 1"})
    facts = {"by": "ada", "until": "2030-12-31"}
    for study in (older, STUDY):
        ledger.append(log, home.about("approved", study, **facts), clock)
    ward.open(older)
    ledger.append(log, home.about("revoked", older, by="ada"), clock)
    why = ward.refuses(ward.say(question(digest=older.digest()), wire.ROUND))
    assert "the steward revoked it" in why
    why = ward.refuses(ward.say(ward.opening(older), wire.OPEN))
    assert "the steward revoked it" in why
    assert ward.released() == 0
    ward.open()
    assert ward.ask(question(), wire.ROUND).has_content()


def test_a_replay_a_reorder_and_a_fork_are_refused(ward: Ward) -> None:
    ward.open()
    shown = fitted()
    old = ward.say(question(), wire.ROUND)
    assert replied(old, ward.here).has_content()
    first = ward.say(question("logistic", 1, shown), wire.ROUND)
    assert replied(first, ward.here).has_content()
    assert ward.released() == 2
    moved = {**shown, "weights": shown["weights"] + 1e-12}
    cases = [
        (old, "does not follow round 1: replayed or forked"),
        (ward.say(question("logistic", 3, shown), wire.ROUND), "does not follow"),
        (ward.say(question("evaluate", 2, shown), wire.ROUND), "does not follow"),
        (ward.say(question("logistic", 1, moved), wire.ROUND), "from another state"),
        (ward.say(question("logistic", 2, shown, sequence=9), wire.ROUND), "follow"),
        (ward.say(question("logistic", 99, shown), wire.ROUND), "has no round 99"),
        (ward.say(question("pca", 1, shown), wire.ROUND), "has no task 'pca'"),
        (
            ward.say(question("logistic", 2, shown, run="other"), wire.ROUND),
            "a run that did not open the study here",
        ),
        (
            ward.say(question("logistic", 2, shown, SITES[:2]), wire.ROUND),
            "another roster",
        ),
    ]
    for message, told in cases:
        assert told in ward.refuses(message)
    assert ward.released() == 2
    assert ward.ask(question("logistic", 2, shown), wire.ROUND).has_content()


def test_the_message_of_an_older_run_is_worth_nothing_in_a_newer_one(
    ward: Ward,
) -> None:
    ward.open()
    assert ward.ask(question(), wire.ROUND).has_content()
    closing = ward.say(wire.closing(STUDY.digest(), RUN), wire.CLOSE)
    assert replied(closing, ward.here).has_content()
    old = ward.say(question(), wire.ROUND)
    assert "not open here" in ward.refuses(old)
    ward.approve()
    ward.open(run="second")
    assert "a run that did not open the study here" in ward.refuses(old)
    assert "a run that did not open the study here" in ward.refuses(closing)
    assert ward.released() == 1


def test_an_exact_study_runs_once_on_one_approval(ward: Ward) -> None:
    """Two runs from two states would tell more than the one that was approved."""
    ward.open()
    assert ward.ask(question(), wire.ROUND).has_content()
    why = ward.refuses(ward.say(ward.opening(run="second"), wire.OPEN))
    assert "small ran here already on this approval" in why
    why = ward.refuses(ward.say(ward.opening(run="third"), wire.OPEN))
    assert "small ran here already on this approval" in why
    assert ward.ask(question("logistic", 1, fitted()), wire.ROUND).has_content()
    ward.approve()
    ward.open(run="third")
    assert ward.ask(question(run="third"), wire.ROUND).has_content()
    assert ward.released() == 3


def test_after_a_restart_an_exact_round_is_not_answered_from_another_state(
    ward: Ward,
) -> None:
    ward.open()
    shown = fitted()
    assert ward.ask(question(), wire.ROUND).has_content()
    asked = question("logistic", 1, shown)
    first = ward.ask(asked, wire.ROUND).content
    client.app.SHELF.held.clear()
    ward.open()
    other = {name: 2 * array for name, array in shown.items()}
    forked = ward.say(question("logistic", 1, other), wire.ROUND)
    assert "from another state or in another order" in ward.refuses(forked)
    again = ward.ask(asked, wire.ROUND).content
    vectors = [wire.read_answer(each).vector for each in (first, again)]
    assert vectors[0].tobytes() == vectors[1].tobytes()


@pytest.mark.parametrize(
    ("sites", "told"),
    [
        (("north", "south", "west"), "1 sites that are not on the roster"),
        (("north",), "asked of other sites than it may be"),
        (("east", "south"), "asked of other sites than it may be"),
        (("north", "north"), "asked of other sites than it may be"),
        ((), "asked of other sites than it may be"),
    ],
    ids=["a stranger", "below quorum", "without us", "us twice", "nobody"],
)
def test_a_roster_that_may_not_be_is_refused(
    ward: Ward, sites: tuple[str, ...], told: str
) -> None:
    ward.open()
    assert told in ward.refuses(ward.say(question(sites=sites), wire.ROUND))
    assert ward.released() == 0


def publish(ward: Ward, members: tuple[Member, ...]) -> None:
    """Make a newer roster of *members* the consortium's."""
    roster = ward.made.roster()
    changes = {"version": roster.version + 1, "members": members}
    ward.made.publish(roster.model_copy(update=changes))


def test_a_site_that_the_study_does_not_name_is_no_company(ward: Ward) -> None:
    """The consortium knows it; those who approved the study never heard of it."""
    members = ward.made.roster().members
    publish(ward, (*members, members[0].model_copy(update={"site": "west"})))
    ward.open()
    asked = ward.say(question(sites=("north", "south", "west")), wire.ROUND)
    assert "asked of other sites than it may be" in ward.refuses(asked)
    assert ward.released() == 0


def test_a_revoked_site_is_no_company(ward: Ward) -> None:
    ward.open()
    *others, south = ward.made.roster().members
    publish(ward, (*others, south.model_copy(update={"state": "revoked"})))
    ward.open()  # which brings the newer roster
    asked = ward.say(question(), wire.ROUND)
    assert "1 sites that are not on the roster" in ward.refuses(asked)
    assert ward.released() == 0


def test_an_older_roster_is_refused(ward: Ward) -> None:
    before = ward.opening()
    roster = ward.made.roster()
    newer = roster.model_copy(update={"version": roster.version + 1})
    ward.made.publish(newer)
    ward.open()
    assert "is not newer than the one kept" in ward.refuses(ward.say(before, wire.OPEN))
    assert ward.here.papers.roster() == newer
    another = newer.model_copy(update={"members": newer.members[:1]})
    ward.made.publish(another)
    why = ward.refuses(ward.say(ward.opening(), wire.OPEN))
    assert "is not newer than the one kept" in why
    assert ward.here.papers.roster() == newer


@pytest.mark.parametrize("members", ["", "{}", "no roster"])
def test_an_opening_without_a_roster_is_refused(ward: Ward, members: str) -> None:
    content = words(ward.opening(), members=members)
    assert "this is no" in ward.refuses(ward.say(content, wire.OPEN))
    assert not client.app.SHELF.held


def test_only_the_aggregators_own_key_is_obeyed(ward: Ward) -> None:
    ward.open()
    stranger, own = identity.new_signing_key(), ward.here.papers.signing_key
    for key in (stranger, own):
        sealed = seal.sign(question(), wire.ROUND, seal.AGGREGATOR, key)
        why = ward.refuses(letter(sealed, wire.ROUND))
        assert "the signature on the message is wrong" in why
    for sender in ("north", "south"):
        key = ward.made.signing_key
        sealed = seal.sign(question(), wire.ROUND, sender, key)
        why = ward.refuses(letter(sealed, wire.ROUND))
        assert "something else than what was signed" in why
    assert "carries no signature" in ward.refuses(letter(question(), wire.ROUND))
    assert ward.released() == 0


def test_a_sites_own_answer_is_no_question(ward: Ward) -> None:
    ward.open()
    said = ward.ask(question(), wire.ROUND).content
    assert "signature on the message is wrong" in ward.refuses(letter(said, wire.ROUND))
    assert ward.released() == 1


def test_a_message_of_another_kind_under_the_same_signature_is_refused(
    ward: Ward,
) -> None:
    ward.open()
    kinds = {
        wire.ROUND: question(),
        wire.OPEN: ward.opening(),
        wire.CLOSE: wire.closing(STUDY.digest(), RUN),
    }
    for kind, content in kinds.items():
        sealed = ward.say(content, kind).content
        for other in {*kinds, "train", "evaluate", "query"} - {kind}:
            why = ward.refuses(letter(sealed, other))
            assert "something else than what was signed" in why
    assert client.app.SHELF.held
    assert ward.released() == 0


@pytest.mark.parametrize(
    "kind", ["train", "evaluate", "query", "query.other", "system"]
)
def test_a_kind_that_no_one_knows_is_refused(ward: Ward, kind: str) -> None:
    ward.open()
    ward.refuses(ward.say(question(), kind))
    assert ward.released() == 0


def test_another_protocol_is_refused(ward: Ward) -> None:
    protocol = wire.PROTOCOL + 1
    opening = words(ward.opening(), protocol=protocol)
    told = f"not of protocol {wire.PROTOCOL}"
    assert told in ward.refuses(ward.say(opening, wire.OPEN))
    ward.open()
    content = words(question(), protocol=protocol)
    assert told in ward.refuses(ward.say(content, wire.ROUND))
    assert ward.released() == 0


@pytest.mark.parametrize(
    "name", ["digest", "run", "task", "state", "roster", "sites", "round", "sequence"]
)
def test_words_that_contradict_each_other_are_refused(ward: Ward, name: str) -> None:
    ward.open()
    for wrong in ("", "x", "-1", "1e3", "[1]", "\uff19"):
        ward.refuses(ward.say(words(question(), **{name: wrong}), wire.ROUND))
    rest = {n: v for n, v in question().config_records["about"].items() if n != name}
    content = RecordDict({**question(), "about": ConfigRecord(rest)})
    ward.refuses(ward.say(content, wire.ROUND))
    assert ward.released() == 0


def test_more_than_words_and_arrays_is_refused(ward: Ward) -> None:
    ward.open()
    sealed = ward.say(question(), wire.ROUND).content
    for name, record in [
        ("more", MetricRecord({"loss": 1.0})),
        ("arrays", MetricRecord({"loss": 1.0})),
        ("more", ConfigRecord({"epsilon": 100.0})),
        ("more", ArrayRecord({"x": Array(np.zeros(2))})),
    ]:
        content = RecordDict({**sealed, name: record})
        why = ward.refuses(letter(content, wire.ROUND))
        assert "more than words and arrays" in why
    assert ward.released() == 0


class Trap:
    """What a pickle of it would do where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("sprung"),))


def packed(array: np.ndarray, *, objects: bool = False) -> bytes:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=objects)
    return data.getvalue()


def claiming(shape: str) -> bytes:
    """Return a few bytes that claim to be an array of *shape*."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    padded = head.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


TRUE = packed(np.zeros(2))
LIES: dict[str, Callable[[], Array]] = {
    "a pickle": lambda: Array(
        "object", (1,), "numpy.ndarray", packed(np.array([Trap()]), objects=True)
    ),
    "a bare pickle": lambda: Array("float64", (2,), "numpy.ndarray", b"\x80\x04K\x01."),
    "another form": lambda: Array("float64", (2,), "torch.Tensor", TRUE),
    "another kind": lambda: Array("float32", (2,), "numpy.ndarray", TRUE),
    "another shape": lambda: Array("float64", (3,), "numpy.ndarray", TRUE),
    "cut off": lambda: Array("float64", (2,), "numpy.ndarray", TRUE[:-1]),
    "nothing": lambda: Array("float64", (2,), "numpy.ndarray", b""),
    "a vast one": lambda: Array(
        "float64", (10**15,), "numpy.ndarray", claiming("(1000000000000000,)")
    ),
    "a negative one": lambda: Array(
        "float64", (2,), "numpy.ndarray", claiming("(-2,)")
    ),
    "a zip": lambda: Array("float64", (2,), "numpy.ndarray", b"PK\x03\x04" + TRUE),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_array_that_lies_is_refused(
    ward: Ward, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ward.open()
    shown = {"x": np.zeros(2)}
    honest = question(arrays=shown)
    content = RecordDict({**honest, "arrays": ArrayRecord({"x": LIES[lie]()})})
    why = ward.refuses(ward.say(content, wire.ROUND))
    assert "arrays that cannot be read" in why
    assert not Path("sprung").exists()
    assert ward.released() == 0


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    part=st.sampled_from(["about", "arrays", "seal"]),
    where=st.floats(0, 1),
    bit=st.integers(0, 7),
)
def test_no_bit_of_any_part_can_be_turned(
    ward: Ward, part: str, where: float, bit: int
) -> None:
    if not client.app.SHELF.held:
        ward.open()
        assert ward.ask(question(), wire.ROUND).has_content()
    asked = ward.say(question("logistic", 1, fitted()), wire.ROUND).content
    whole = recorddict_to_proto(asked)
    (item,) = [each for each in whole.items if each.key == part]
    data = bytearray(item.SerializeToString())
    data[min(int(where * len(data)), len(data) - 1)] ^= 1 << bit
    try:
        item.ParseFromString(bytes(data))
        arrived = recorddict_from_proto(Wire.FromString(whole.SerializeToString()))
    except Exception:  # noqa: BLE001 - Flower's own, of many kinds: it never arrives
        return
    if arrived != asked:
        ward.refuses(letter(arrived, wire.ROUND))
    assert ward.released() == 1
