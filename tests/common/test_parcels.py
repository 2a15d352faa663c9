"""Messages arrive as they left: small ones whole, large ones part by part."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.proto import message_pb2 as wire
from flwr.proto.node_pb2 import Node

from common.errors import IntegrityError
from common.travel import arrivals, parcels
from common.travel.arrivals import ALL_SECONDS
from common.travel.parcels import INLINE, Place
from simulations.engines import engine

PLACE = Place(Node(node_id=1), 1)


def message(numbers: int) -> Message:
    engine.become(1)
    arrays = ArrayRecord({"x": Array(np.arange(numbers, dtype=float))})
    content = RecordDict({"about": ConfigRecord({"round": 3}), "arrays": arrays})
    return Message(content, dst_node_id=1, message_type="query.round")


class Store:
    """The other side: it keeps what it is sent, and refuses what it has."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def push(self, request: wire.PushObjectRequest) -> wire.PushObjectResponse:
        stored = request.object_id not in self.kept
        self.kept.setdefault(request.object_id, request.object_content)
        return wire.PushObjectResponse(stored=stored)

    def pull(self, request: wire.PullObjectRequest) -> wire.PullObjectResponse:
        content = self.kept[request.object_id]
        return wire.PullObjectResponse(
            object_found=True, object_available=True, object_content=content
        )


def numbers(arrived: Message) -> list[float]:
    array = arrived.content.array_records["arrays"]["x"].numpy()
    return [float(each) for each in array]


@pytest.mark.parametrize("count", [0, 5, INLINE // 8 + 1])
def test_a_message_arrives_as_it_left(count: int) -> None:
    sent, store = message(count), Store()
    parcel = parcels.pack(sent)
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    head = wire.Message.FromString(parcel.head.SerializeToString())
    arrived = arrivals.fetch(head, parcel.tree, store.pull, PLACE.node)
    assert bool(store.kept) == (count > 5)
    assert arrived.metadata.message_id == sent.object_id
    assert arrived.content.config_records["about"]["round"] == 3
    assert numbers(arrived) == numbers(sent)


def test_a_message_in_parts_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    parcel, store = parcels.pack(message(INLINE // 8 + 1)), Store()
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    monkeypatch.setattr(arrivals, "MOST", INLINE)
    with pytest.raises(IntegrityError, match="is larger than 1 MiB"):
        arrivals.fetch(parcel.head, parcel.tree, store.pull, PLACE.node)


def test_a_refusal_travels_whole() -> None:
    question = message(1)
    question.metadata.__dict__["_message_id"] = "1"
    parcel = parcels.pack(Message(Error(1, "refused, id 7"), reply_to=question))
    arrived = arrivals.fetch(parcel.head, parcel.tree, Store().pull, PLACE.node)
    assert not parcel.parts
    assert arrived.error.reason == "refused, id 7"


def test_a_parcel_is_completed_after_a_break() -> None:
    parcel, store = parcels.pack(message(INLINE)), Store()
    some = list(parcel.parts)[:2]
    parcels.post([parcel], some, store.push, (PLACE, "session"))
    parcels.complete([parcel], store.push, PLACE)
    assert set(store.kept) == set(parcel.parts)


def test_the_same_message_is_the_same_bytes() -> None:
    sent = message(5)
    one, two = parcels.pack(sent), parcels.pack(sent)
    assert one.head.SerializeToString() == two.head.SerializeToString()


def spoiled(how: str) -> tuple[wire.Message, wire.ObjectTree]:
    """Return what a message is announced by, and cannot be read."""
    parcel = parcels.pack(message(5))
    if how == "nothing":
        parcel.head.ClearField("content")
    if how == "no kind of record":
        parcel.head.content.items[0].ClearField("value")
    if how == "another part":
        parcel.tree.children.add(object_id="f" * 64)
    if how == "no such part":
        parcel.tree.children.add(object_id="0" * 64)
    return parcel.head, parcel.tree


@pytest.mark.parametrize(
    "how", ["nothing", "no kind of record", "another part", "no such part"]
)
def test_what_cannot_be_read_is_said(how: str) -> None:
    store = Store()
    store.kept["f" * 64] = b"nonsense"
    head, tree = spoiled(how)
    with pytest.raises(IntegrityError, match="a message cannot be read"):
        arrivals.fetch(head, tree, store.pull, PLACE.node)
    instead = arrivals.answer(head, tree, store.pull, PLACE.node, lambda: False)
    assert instead.error.reason == "its answer cannot be read"
    assert instead.metadata.dst_node_id == 1


def told(reader: Message, reply_to: str) -> tuple[wire.Message, wire.ObjectTree, Store]:
    """Return a large message whose content says that it answers *reply_to*."""
    store, true = Store(), parcels.pack(message(INLINE // 8 + 1))
    reader.metadata.__dict__["_message_id"] = ""
    reader.metadata.__dict__["_reply_to_message_id"] = reply_to
    lie = parcels.pack(reader)
    parcels.post([lie], lie.parts, store.push, (PLACE, "session"))
    return true.head, lie.tree, store


def test_the_head_alone_says_which_question_a_message_answers() -> None:
    head, tree, store = told(message(INLINE // 8 + 1), "the question to another site")
    arrived = arrivals.fetch(head, tree, store.pull, PLACE.node)
    assert arrived.metadata.reply_to_message_id == head.metadata.reply_to_message_id
    assert arrived.metadata.reply_to_message_id != "the question to another site"
    assert numbers(arrived) == [float(each) for each in range(INLINE // 8 + 1)]


def part(kind: str, body: bytes, *children: str) -> bytes:
    return f"{kind} {','.join(children)} {len(body)}".encode() + b"\0" + body


TREES = {
    "an array for a root": part("Array", b'{"arraychunk_ids": []}'),
    "words for a root": part("ConfigRecord", b""),
    "words that are none": part("ConfigRecord", b"\xff\xff"),
    "a message that is none": part("Message", b"\xff\xff"),
    "lists in lists": part("Array", b"[" * 100_000),
    "records in records": part("RecordDict", b"[" * 100_000),
}


@pytest.mark.parametrize("how", TREES)
def test_a_tree_that_is_no_message_is_said(how: str) -> None:
    head, store = parcels.pack(message(INLINE // 8 + 1)).head, Store()
    store.kept = {"0" * 64: TREES[how], "f" * 64: part("ConfigRecord", b"")}
    tree = wire.ObjectTree(object_id="0" * 64)
    tree.children.add(object_id="f" * 64)
    with pytest.raises(IntegrityError, match="a message cannot be read"):
        arrivals.fetch(head, tree, store.pull, PLACE.node)


def test_words_have_an_end_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, store = message(INLINE // 8 + 1), Store()
    sent.content["about"] = ConfigRecord({"numbers": [1] * INLINE})
    parcel = parcels.pack(sent)
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    arrivals.fetch(parcel.head, parcel.tree, store.pull, PLACE.node)
    monkeypatch.setattr(arrivals, "WORDS", INLINE // 2)
    with pytest.raises(IntegrityError, match="a message is larger than 0 MiB"):
        arrivals.fetch(parcel.head, parcel.tree, store.pull, PLACE.node)


def test_an_array_that_is_named_again_and_again_counts_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent, store = message(INLINE // 8 + 1), Store()
    one = sent.content.array_records["arrays"]["x"]
    sent.content["arrays"] = ArrayRecord({f"{each}": one for each in range(20)})
    parcel = parcels.pack(sent)
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    monkeypatch.setattr(arrivals, "MOST", 4 * INLINE)
    with pytest.raises(IntegrityError, match="a message is larger than 4 MiB"):
        arrivals.fetch(parcel.head, parcel.tree, store.pull, PLACE.node)


def test_a_tree_of_a_million_parts_has_an_end_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, store = parcels.pack(message(INLINE // 8 + 1)).head, Store()
    store.kept = {"0" * 64: part("ConfigRecord", b"")}
    tree = wire.ObjectTree(object_id="0" * 64)
    tree.children.extend([wire.ObjectTree(object_id="0" * 64)] * 1000)
    late = iter([0.0, *[1.0] * 10, *[ALL_SECONDS + 1] * 1000])
    monkeypatch.setattr("common.travel.arrivals.time.monotonic", lambda: next(late))
    calls: list[str] = []

    def pull(request: wire.PullObjectRequest) -> wire.PullObjectResponse:
        calls.append(request.object_id)
        return store.pull(request)

    with pytest.raises(IntegrityError, match="a message cannot be read"):
        arrivals.fetch(head, tree, pull, PLACE.node)
    assert len(calls) <= 20


def test_once_it_is_late_what_is_there_is_fetched_and_nothing_is_waited_for() -> None:
    parcel, store = parcels.pack(message(INLINE)), Store()
    parcels.post([parcel], parcel.parts, store.push, (PLACE, "session"))
    arrived = arrivals.fetch(
        parcel.head, parcel.tree, store.pull, PLACE.node, lambda: True
    )
    assert len(numbers(arrived)) == INLINE
    missing, asked = next(iter(parcel.parts)), list[str]()

    def pull(request: wire.PullObjectRequest) -> wire.PullObjectResponse:
        if request.object_id == missing:
            asked.append(missing)
            return wire.PullObjectResponse(object_found=True)
        return store.pull(request)

    late = iter([False] * 3)
    instead = arrivals.answer(
        parcel.head, parcel.tree, pull, PLACE.node, lambda: next(late, True)
    )
    assert instead.error.reason == "its answer did not come in time"
    assert len(asked) <= 4
