"""What a site leaves in the SuperLink is read before, has an end, and is told by name.

The database is Flower's own, written by Flower's own store.
"""

import asyncio
import hashlib
import logging
from pathlib import Path

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import ObjectTree, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.object_store.sql_object_store import SqlObjectStore

from common import plan
from common.masked import coding, fixed_point
from common.release import length
from common.travel import arrivals, direct, parcels
from server.conduct import studies
from server.conduct.studies import Progress
from server.gate import allowance, exchange, left
from server.gate.exchange import No
from server.gate.left import MESSAGE, PART, ROW, Store
from server.running import wide
from simulations.engines import engine
from tests import clinics

SITE, NODE, RUN = "south", 7, 1


pytestmark = pytest.mark.filterwarnings("ignore:No path_separator found")
"""Flower's migrations say so, of alembic."""


@pytest.fixture
def aggregator(tmp_path: Path) -> Path:
    (tmp_path / "superlink").mkdir()
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def flower(aggregator: Path) -> SqlObjectStore:
    made = SqlObjectStore(str(aggregator / "superlink" / "state.db"), verify=False)
    made.initialize()
    return made


@pytest.fixture
def store(aggregator: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store that looks whenever it must, not once in a second."""
    monkeypatch.setattr(left, "LOOK", 0.0)
    monkeypatch.setattr(allowance, "BESIDE", 100 * ROW)
    return Store(aggregator)


def named(word: object) -> str:
    return hashlib.sha256(str(word).encode()).hexdigest()


def tree(word: object, children: int) -> ObjectTree:
    below = [ObjectTree(object_id=named((word, n))) for n in range(children)]
    return ObjectTree(object_id=named(word), children=below)


def announced(word: object = "a", children: int = 3, **said: object) -> bytes:
    """Return the call that announces an answer of so many parts."""
    engine.become(RUN)
    content = RecordDict({"about": ConfigRecord({"round": 3})})
    message = Message(content, dst_node_id=1, message_type="query.round")
    head = parcels.pack(message).head
    head.metadata.message_id, head.metadata.src_node_id = named(word), NODE
    whole: dict[str, object] = {
        "node": Node(node_id=NODE),
        "messages_list": [head],
        "message_object_trees": [tree(word, children)],
        "clientapp_runtime_list": [0.0],
        **said,
    }
    return bytes(PushMessagesRequest(**whole).SerializeToString())


def part(name: str, size: int = 10) -> bytes:
    said = PushObjectRequest(object_id=name, object_content=bytes(size))
    return bytes(said.SerializeToString())


def admit(store: Store, path: str, body: bytes) -> None:
    """Let a site leave something, as the gateway does."""
    asyncio.run(store.admit(SITE, left.read(path, body, store.of(SITE).parts)))


def test_an_answer_is_counted_with_its_parts(store: Store) -> None:
    admit(store, MESSAGE, body := announced("a", 3))
    assert store.of(SITE).size == 4 * ROW + len(body)
    admit(store, PART, part(named(("a", 1)), 500))
    assert store.of(SITE).size == 4 * ROW + len(body) + 500


def test_what_is_sent_again_is_counted_once(store: Store) -> None:
    for _ in range(3):
        admit(store, MESSAGE, body := announced("a", 3))
        admit(store, PART, part(named(("a", 1)), 500))
    assert store.of(SITE).size == 4 * ROW + len(body) + 500


def other_tree() -> bytes:
    return announced("a", message_object_trees=[tree("b", 3)])


BAD = {
    "another tree under its name": (other_tree, "the name of an answer"),
    "another node's": (lambda: announced(node=Node(node_id=8)), "and of its sender"),
    "two trees": (
        lambda: announced(message_object_trees=[tree("a", 1)] * 2),
        "one answer at a time",
    ),
    "no message": (lambda: announced(messages_list=[]), "one answer at a time"),
    "so many parts": (lambda: announced("a", left.PARTS), "too many parts"),
    "a time it took": (
        lambda: announced(clientapp_runtime_list=[float("nan")]),
        "nobody asked how long",
    ),
    "no message at all": (lambda: b"\xff" * 9, "it cannot be read"),
}


@pytest.mark.parametrize("how", BAD)
def test_an_answer_that_is_none_is_not_handed_on(store: Store, how: str) -> None:
    make, told = BAD[how]
    with pytest.raises(No, match=told) as refused:
        admit(store, MESSAGE, make())
    assert refused.value.status in {400, 413}
    assert store.of(SITE).size == 0


def test_a_part_of_no_answer_is_not_handed_on(store: Store) -> None:
    admit(store, MESSAGE, announced("a", 3))
    for body in (part(named("x")), part(""), b"\xff" * 9):
        with pytest.raises(No) as refused:
            admit(store, PART, body)
        assert refused.value.status == 400


def test_an_answer_as_large_as_a_message_can_be_has_few_enough_parts() -> None:
    engine.become(RUN)
    array = Array("float64", (2,), "numpy.ndarray", bytes(arrivals.MOST))
    whole = RecordDict({"arrays": ArrayRecord({"vector": array})})
    packed = parcels.pack(Message(whole, dst_node_id=1, message_type="query.round"))
    assert len(list(left._names(packed.tree))) < left.PARTS / 4


def test_a_few_answers_are_less_than_the_aggregator_reads_of_one_call() -> None:
    """Each holds what one call may carry, and its tree again: or a run would end."""
    assert wide.FEW * (exchange.BODY + left.PARTS * 100) < direct.ANSWER


def fill(store: Store, flower: SqlObjectStore, word: object) -> None:
    """Let an answer of 30 parts be announced, and arrive."""
    admit(store, MESSAGE, announced(word, 30))
    flower.preregister(RUN, tree(word, 30))


def test_who_leaves_too_much_is_refused_by_name_until_it_is_taken(
    store: Store, flower: SqlObjectStore, caplog: pytest.LogCaptureFixture
) -> None:
    for word in "abc":
        fill(store, flower, word)
    for _ in range(2):
        with pytest.raises(No, match="south has left 0 MiB that nobody") as refused:
            admit(store, MESSAGE, announced("d", 30))
    assert refused.value.status == 507
    assert caplog.text.count("south has left") == 1
    assert "consilium server revoke south" in caplog.text
    asyncio.run(store.admit("north", left.read(MESSAGE, announced("d", 30), {})))
    flower.delete(named("a"))  # the aggregator has taken it
    fill(store, flower, "d")


def test_what_a_part_has_in_the_database_is_what_is_counted(
    store: Store, flower: SqlObjectStore
) -> None:
    fill(store, flower, "a")
    name = named(("a", 1))
    flower.put(name, bytes(5000))
    admit(store, PART, part(name, 5000))
    there = store._there(store.of(SITE).parts | {named("gone"): 9})
    assert there[name] == ROW + 5000
    assert there.keys() == store.of(SITE).parts.keys() - {named("gone")}


def test_a_database_that_cannot_be_read_frees_nothing(
    store: Store, aggregator: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (aggregator / "superlink" / "state.db").write_bytes(b"no database" * 100)
    for word in "abc":
        admit(store, MESSAGE, announced(word, 30))
    with caplog.at_level(logging.WARNING), pytest.raises(No, match="south has left"):
        admit(store, MESSAGE, announced("d", 30))
    assert "database cannot be read: DatabaseError" in caplog.text


def test_studies_that_cannot_be_read_allow_nothing_more(
    store: Store, aggregator: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = studies.submit(aggregator, clinics.study())
    for word in "abcd":
        admit(store, MESSAGE, announced(word, 30))
    (given.folder / "study.json").chmod(0o644)
    with pytest.raises(No, match="south has left"):
        admit(store, MESSAGE, announced("e", 30))
    assert "study.json is open to other users" in caplog.text


def test_a_site_may_leave_what_its_studies_ask(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert allowance.of(tmp_path, SITE) == allowance.BESIDE
    given = studies.submit(tmp_path, clinics.study())
    unknown = allowance.BESIDE + allowance.TIMES * arrivals.MOST
    assert allowance.of(tmp_path, SITE) == unknown
    allowance.note(given.folder, 1000)
    assert allowance.of(tmp_path, SITE) == allowance.BESIDE + 3000
    assert allowance.of(tmp_path, "elsewhere") == allowance.BESIDE
    for phase in ("finished", "failed", "stopped"):
        studies.note(given, Progress(phase))
        assert allowance.of(tmp_path, SITE) == allowance.BESIDE
    assert allowance.MOST == arrivals.MOST
    assert {*allowance.OVER} | studies.OPEN == {*studies.Phase.__args__}


@pytest.mark.parametrize("masked", [False, True])
def test_a_study_says_how_large_its_answers_are(*, masked: bool) -> None:
    sites = ["east", "north", "south"]
    study = clinics.study(
        study={**clinics.ABOUT, "sites": sites},
        rounds={"quorum": 3, "secure_aggregation": masked},
    )
    words = [
        fixed_point.length(coding.parts(study, task))
        if masked
        else length(task.release(study))
        for task in plan.tasks(study)
    ]
    assert coding.largest(study) == 8 * max(words)
